//! An adversary for the tests of depinmesh: a plain rust-libp2p node without any gate.
//!
//! It shares no code with depinmesh, so a defect of our gate cannot hide behind the same defect in the attacker.
//! Everything it finds out is one JSON object per line on standard output. The same program is the positive control of
//! every test: run as a listener it takes whatever comes, so an attack that fails against depinmesh and succeeds here was
//! stopped by depinmesh.
//!
//! ```text
//! depinmesh-attacker [node] [--key BASE58] [--listen ADDRESS]... [--transport quic|tcp] [--security noise|tls|both] [--agent TEXT] [--autonat]
//! depinmesh-attacker silent --address ADDRESS [--count N] [--seconds S]
//! depinmesh-attacker flood  --address ADDRESS [--count N] [--concurrency N] [--sources N] [--hold-ms MS]
//! depinmesh-attacker forge  --address ADDRESS [--point HEX]... [--hold-ms MS]
//! depinmesh-attacker forge  --control-listen ADDRESS
//! depinmesh-attacker raw    [--key BASE58] [--transport quic|tcp] [--security noise|tls|both]
//! depinmesh-attacker noise  --address ADDRESS [--key BASE58] [--count N] [--seconds S]
//! depinmesh-attacker yamux  --address ADDRESS [--key BASE58] [--count N] [--seconds S]
//! depinmesh-attacker tls    --address ADDRESS [--key BASE58] [--count N] [--seconds S]
//! depinmesh-attacker initial --address ADDRESS [--count N] [--seconds S]
//! depinmesh-attacker half-open --address ADDRESS [--count N] [--seconds S]
//! ```
//!
//! `node` and `raw` are driven by JSON lines on standard input, see [`session`] and [`raw`].

#![forbid(unsafe_code)]

mod attempt;
mod behaviour;
mod flood;
mod forge;
mod hex;
mod identity;
mod multistream;
mod node;
mod observe;
mod options;
mod protobuf;
mod raw;
mod report;
mod security;
mod session;
mod silent;
mod sniffer;
mod sum;
#[cfg(test)]
mod tests;
mod transport;
mod wire;

use std::{error::Error, process::ExitCode};

use crate::options::{Command, Options};

/// A tool for tests: every error ends the run with one sentence, none is handled by kind.
type BoxedError = Box<dyn Error + Send + Sync>;
type Result<T> = std::result::Result<T, BoxedError>;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report::line(&serde_json::json!({"event": "failed", "error": report::describe(error.as_ref())}));
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<()> {
    let options = Options::from_env()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        match options.command {
            Command::Node => session::run(&options).await,
            Command::Silent => silent::run(&options).await,
            Command::Flood => flood::run(&options).await,
            Command::Forge => forge::run(&options).await,
            Command::Raw => raw::run(&options).await,
            Command::Noise => wire::noise::run(&options).await,
            Command::Yamux => wire::yamux::run(&options).await,
            Command::Tls => wire::tls::run(&options).await,
            Command::Initial => wire::initial::run(&options).await,
            Command::HalfOpen => wire::initial::half_open(&options).await,
        }
    })
}
