//! One connection: where it leads, since when, and whether the other side still answers.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use libp2p::{Multiaddr, PeerId, core::ConnectedPoint, multiaddr::Protocol, swarm::ConnectionId};

use crate::{addresses::is_relayed, events::Direction};

/// Two pings that should have been answered.
const SILENT: Duration = Duration::from_secs(4);

pub(crate) struct Connection {
    pub(super) id: ConnectionId,
    pub(super) address: Multiaddr,
    /// The same as text.
    pub(super) shown: Arc<str>,
    pub(super) direction: Direction,
    pub(super) since: Instant,
    pub(super) opened_at: SystemTime,
    pub(super) identified: bool,
    /// It is being closed, as it was silent or nameless for too long.
    pub(super) overdue: bool,
    pub(super) last_answer: Instant,
    pub(super) rtt: Option<Duration>,
}

impl Connection {
    pub(crate) fn new(id: ConnectionId, endpoint: &ConnectedPoint, now: Instant) -> Self {
        let address = match endpoint {
            ConnectedPoint::Dialer { address, .. } => address.clone(),
            // Who comes through a relay has no address but the relay's.
            ConnectedPoint::Listener { local_addr, send_back_addr } if endpoint.is_relayed() => {
                send_back_addr.iter().fold(local_addr.clone(), Multiaddr::with)
            }
            ConnectedPoint::Listener { send_back_addr, .. } => send_back_addr.clone(),
        };
        Self {
            id,
            shown: address.to_string().into(),
            address,
            direction: Direction::of(endpoint),
            since: now,
            opened_at: SystemTime::now(),
            identified: false,
            overdue: false,
            last_answer: now,
            rtt: None,
        }
    }

    pub(super) fn is_silent(&self, now: Instant) -> bool {
        now.duration_since(self.last_answer) >= SILENT + self.rtt.unwrap_or_default()
    }

    pub(super) fn transport(&self) -> &'static str {
        if self.is_relayed() {
            "relay"
        } else if self.address.iter().any(|part| part == Protocol::QuicV1) {
            "quic"
        } else {
            "tcp"
        }
    }

    pub(super) fn is_relayed(&self) -> bool {
        is_relayed(&self.address)
    }

    /// The peer that it leads through.
    pub(super) fn relay(&self) -> Option<PeerId> {
        self.address.iter().take_while(|part| *part != Protocol::P2pCircuit).find_map(|part| match part {
            Protocol::P2p(relay) if self.is_relayed() => Some(relay),
            _ => None,
        })
    }
}
