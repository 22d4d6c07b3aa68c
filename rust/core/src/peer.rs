//! What a node tells of a peer.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use libp2p::PeerId;

use crate::{events::Direction, identity::Wallet};

/// A peer that is connected: it has passed the gate and said who it is.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerInfo {
    pub peer: PeerId,
    pub wallet: Wallet,
    pub addresses: Vec<Arc<str>>,
    pub direction: Direction,
    pub transport: &'static str,
    pub connected_at: SystemTime,
    pub agent: Arc<str>,
    pub rtt: Option<Duration>,
}

/// A bootstrap node, and what became of the last dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootstrapInfo {
    pub peer: PeerId,
    pub wallet: Wallet,
    pub addresses: Vec<String>,
    pub connected: bool,
    pub dialled_at: Option<SystemTime>,
    /// Why it is not connected.
    pub error: Option<String>,
}
