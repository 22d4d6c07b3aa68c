//! What a node tells of a peer.

use std::time::{Duration, SystemTime};

use libp2p::PeerId;

use crate::{events::Direction, identity::Wallet};

/// A peer that is connected: it has passed the gate and said who it is.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerInfo {
    pub peer: PeerId,
    pub wallet: Wallet,
    pub addresses: Vec<String>,
    pub direction: Direction,
    pub transport: &'static str,
    pub connected_at: SystemTime,
    pub agent: String,
    pub rtt: Option<Duration>,
}
