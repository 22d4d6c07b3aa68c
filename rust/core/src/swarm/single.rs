//! One connection for each peer, as the task sees to it: what `door.rs` and `second_connections.rs` ask for is done
//! here.

use std::time::{Duration, Instant};

use libp2p::{
    PeerId,
    swarm::{
        ConnectionId,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use crate::{
    events::{Direction, DisconnectReason},
    swarm::{dial_errors::refusal, door::Arrival, task::Task},
};

/// Silent peers are dialled at most once in this time; and not so long after this node was late.
const PROBE_EVERY: Duration = Duration::from_secs(2);
const LATE: Duration = Duration::from_millis(250);

/// In the place of a reason of our gate.
const REFUSED_BY_PEER: &str = "refused-by-peer";

/// A peer before the door, and the old connections that are being closed for it.
pub(super) struct Waiting {
    arrival: Arrival,
    leftovers: Vec<ConnectionId>,
}

impl Task {
    pub(super) fn on_arrival(&mut self, arrival: Arrival) {
        // The guard sends it away again.
        if self.swarm.behaviour().guard.expects(&arrival.peer) && arrival.direction == Direction::Inbound {
            let _ = arrival.cleared.send(());
            return;
        }
        let leftovers = self.peers.leftovers(&arrival.peer, arrival.direction, arrival.relayed, Instant::now());
        if leftovers.is_empty() {
            // `Err`: it has gone again.
            let _ = arrival.cleared.send(());
            return;
        }
        tracing::debug!(peer_id = %arrival.peer, "a peer is back: closing what its earlier life left behind");
        for connection in &leftovers {
            self.swarm.close_connection(*connection);
        }
        self.at_door.retain(|waiting| !waiting.arrival.cleared.is_closed());
        self.at_door.push(Waiting { arrival, leftovers });
    }

    pub(super) fn leftover_closed(&mut self, id: ConnectionId) {
        for waiting in &mut self.at_door {
            waiting.leftovers.retain(|other| *other != id);
        }
        for cleared in self.at_door.extract_if(.., |waiting| waiting.leftovers.is_empty()) {
            let _ = cleared.arrival.cleared.send(());
        }
    }

    /// A peer that does not answer may live anew at the same place, and a former one answer a fresh dial sooner.
    pub(super) fn probe(&mut self, now: Instant) {
        // Who is late itself hears every answer late.
        if now.duration_since(self.tick_at) >= LATE {
            self.probe_at = now + PROBE_EVERY;
        }
        let silent = if now >= self.probe_at { self.peers.silent(now) } else { Vec::new() };
        for peer in silent {
            let Some(addresses) = self.dialer.addresses(&peer, now) else { continue };
            self.probe_at = now + PROBE_EVERY;
            let condition = if self.punches(&peer) { PeerCondition::Always } else { PeerCondition::NotDialing };
            let options = DialOpts::peer_id(peer).addresses(addresses).condition(condition).build();
            // `Err`: it is being dialled, or it has left the list.
            let _ = self.swarm.dial(options);
        }
        for peer in self.dialer.overdue(now) {
            if !self.ops.is_dialling_peer(&peer) {
                let _ = self.swarm.disconnect_peer_id(peer);
            }
        }
    }

    /// There was a second connection to the peer.
    pub(super) fn second(&mut self, peer: PeerId, now: Instant) {
        self.shared.counters.second_connections.add(1);
        self.second_connections.second(peer, now);
        self.hurry(now);
    }

    /// Who closed our connection nameless, and is not connected by another one, has a gate that refuses us.
    pub(super) fn judge_refusals(&mut self, now: Instant) {
        let peers = &self.peers;
        for peer in self.second_connections.refusals(now, |peer| peers.connections(peer) > 0) {
            let text = format!(
                "{peer} closed the connection before it said who it is: its list of wallets probably lacks this node's; \
                 a node that was started again can also meet a peer that still holds a connection to the former process"
            );
            tracing::info!(
                peer_id = %peer,
                "a peer refused this node: its list probably lacks our wallet, or it still holds a connection to a \
                 former process of ours",
            );
            self.refused(peer, REFUSED_BY_PEER);
            self.dialer.refused(peer, now);
            self.dialer.blame(&peer, text.as_str());
            let error = refusal(peer, text, REFUSED_BY_PEER);
            self.ops.dial_failed(Some(peer), None, &error, &self.shared);
        }
    }

    pub(super) fn reset_due(&mut self, now: Instant) {
        let peers = &self.peers;
        for peer in self.second_connections.due(now, |peer| peers.view(peer)) {
            self.reset(peer);
        }
    }

    pub(super) fn reset(&mut self, peer: PeerId) {
        tracing::debug!(peer_id = %peer, "a second connection may have ended gossip with a peer: dialling it anew");
        self.shared.counters.resets.add(1);
        self.peers.closing(&peer, DisconnectReason::Reset);
        let _ = self.swarm.disconnect_peer_id(peer);
    }
}
