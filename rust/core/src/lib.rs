//! The network core of depinmesh: wallet-gated publish/subscribe on libp2p, without a word of Python.
//!
//! ```text
//! host --Node (node.rs)--> commands, outbox, topics --> swarm/task.rs, the one task that owns the swarm
//! host <--mailbox, rings-- pubsub/receive.rs <-- gossip <-- swarm <-- gate/upgrade.rs <-- QUIC | TCP
//! ```
#![forbid(unsafe_code)]

mod addresses;
pub mod bridge;
pub mod config;
mod defences;
mod discovery;
pub mod error;
pub mod events;
pub mod gate;
mod histogram;
pub mod identity;
mod jitter;
mod limited;
pub mod logs;
pub mod metrics;
pub mod nat;
pub mod node;
pub mod peer;
pub mod pubsub;
mod runtime;
mod samples;
mod shared;
pub mod stranger;
mod swarm;

pub use runtime::check_process;

/// What a bug report needs to know of this build.
pub fn versions() -> Vec<(&'static str, String)> {
    let mut versions = vec![
        ("depinmesh", env!("CARGO_PKG_VERSION").to_owned()),
        ("libp2p", LIBP2P.to_owned()),
        ("profile", if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned()),
        ("target", format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS)),
    ];
    let missing = defences::missing();
    if !missing.is_empty() {
        versions.push(("without", missing.join(", ")));
    }
    versions
}

/// As `Cargo.toml` pins it; `tests` compare the two.
const LIBP2P: &str = "0.57.1";

#[cfg(test)]
mod tests {
    #[test]
    fn the_reported_version_of_libp2p_is_the_pinned_one() {
        let lock = include_str!("../../../Cargo.lock");
        assert!(lock.contains(&format!("name = \"libp2p\"\nversion = \"{}\"", super::LIBP2P)));
    }
}
