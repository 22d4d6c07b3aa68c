//! The reference of the benchmarks: GossipSub on plain rust-libp2p with the options of depinmesh, and nothing of depinmesh.
//! What depinmesh costs is the distance to this pair.
//!
//! ```text
//! depinmesh-raw-peer recv --transport quic|tcp --credit FILE --count N [--warmup N] [--latency]
//! depinmesh-raw-peer send --transport quic|tcp --credit FILE --count N [--warmup N] --address ADDRESS [--size BYTES] [--window N]
//! depinmesh-raw-peer send --transport quic|tcp --credit FILE --address ADDRESS --rate HZ --seconds S [--warmup N] [--size BYTES]
//! depinmesh-raw-peer calibrate
//! ```
//!
//! Common options: `--topic NAME` (the full one, `bench_events`), `--workers N` (2), `--linger S` (0), seconds for which it
//! stays connected and does nothing more after its result. A message is a depinmesh event of exactly
//! `--size` bytes, `{"id":..,"from_peer":..,"message":{"t":..,"n":..,"pad":..},"timestamp":..}`: `n` counts from 0, `t` is the
//! instant of `CLOCK_MONOTONIC` in nanoseconds for which the message was scheduled (`time.monotonic_ns()` in Python), 0 when
//! throughput is measured. Each side prints JSON lines; the last one is its result. Neither result holds the first `--warmup`
//! messages. `send` says how long its dial took. `recv` ends after `--count` messages, or when none has come for ten seconds.
//!
//! # The credit file
//!
//! A receiver tells how far it is through shared memory, so that the feedback costs no traffic and nothing is ever dropped: the
//! file begins with one unsigned 64-bit little-endian integer, the number of messages received since the receiver started. The
//! receiver creates the file and writes 0 before it prints its address; the sender keeps at most `--window` messages beyond that
//! number. A receiver in Python is `m = mmap.mmap(fd, 8)` and `struct.pack_into("<Q", m, 0, count)` after each message or batch.
//!
//! Linux only, as the benchmarks are.

#![deny(unsafe_code)]

mod calibrate;
mod credit;
mod envelope;
mod options;
#[expect(unsafe_code, reason = "what the standard library does not reach; each call says why it holds")]
mod os;
mod peer;
mod recv;
mod send;
mod usage;

use std::{error::Error, process::ExitCode};

use serde_json::{Value, json};

use crate::options::{Mode, Options};

/// A tool for benchmarks: every error ends the run with one sentence.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            line(&json!({"event": "failed", "error": error.to_string()}));
            ExitCode::FAILURE
        }
    }
}

fn start() -> Result<()> {
    let options = Options::from_env()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(options.workers).enable_all().build()?;
    runtime.block_on(async {
        // A task of its own: what `block_on` runs itself stays on the main thread, beside the workers.
        tokio::spawn(async move {
            match options.mode {
                Mode::Receive => recv::run(&options).await,
                Mode::Send => send::run(&options).await,
                Mode::Calibrate => calibrate::run(),
            }
        })
        .await?
    })
}

/// Prints one line; standard output is line buffered, so a driver sees it at once.
fn line(value: &Value) {
    println!("{value}");
}
