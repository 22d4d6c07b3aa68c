//! Relays and hole punching, as the task sees to them: what `nat/relay.rs` and `upgrades.rs` ask for is done here.

use std::{
    io,
    time::{Duration, Instant},
};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol, core::transport::ListenerId, dcutr, identity::Keypair, multiaddr::Protocol,
    relay, swarm::ConnectionId,
};

use crate::{
    addresses::{Reach, is_direct, is_relayed, without_peer},
    config::{NatConfig, NodeConfig},
    events::NodeEvent,
    nat::{
        autonat::AutoNat,
        dialback::{self, DialBack},
        holepunch::HolePunch,
        reachability::Reachability,
        relay::HOP,
        relay_server::RelayServer,
    },
    swarm::{behaviour::Passages, patient::Pace, task::Task, transport, upgrades::LOOKS_FOR},
};

/// Pings come every two seconds; a relayed connection that ends after so long a silence was dead when the direct one came.
const MISSED: Duration = Duration::from_secs(3);

impl Task {
    /// A connected peer has said what it speaks: whether it is a relay.
    pub(super) fn meet_relay(
        &mut self,
        peer: &PeerId,
        id: ConnectionId,
        speaks: &[StreamProtocol],
        told: &[Multiaddr],
        now: Instant,
    ) {
        let Some(remote) = self.peers.remote(peer, id).filter(|remote| !is_relayed(remote)) else { return };
        // Who came to us did so from any port.
        let dialled = self.peers.is_dialled(peer, id).then_some(remote);
        let Some(address) = dialled.or_else(|| told.iter().find(|address| is_direct(address))) else { return };
        if self.config.nat.relay_client && speaks.contains(&HOP) {
            self.relays.offers(*peer, without_peer(address), now);
        } else {
            self.relays.gone(peer);
        }
        self.hurry(now);
    }

    /// Asks the relays whose time has come for a reservation.
    pub(super) fn reserve(&mut self, now: Instant) {
        for (peer, address) in self.relays.due(now, self.needs_relays()) {
            let circuit = address.with(Protocol::P2p(peer)).with(Protocol::P2pCircuit);
            match self.swarm.listen_on(circuit) {
                Ok(listener) => self.relays.asked(&peer, listener),
                Err(error) => {
                    tracing::warn!(peer_id = %peer, %error, "a relay cannot be asked for a reservation");
                    self.relays.failed(&peer, now);
                }
            }
        }
    }

    /// A node that others reach directly, or that is a relay itself, looks for no relays.
    pub(super) fn needs_relays(&self) -> bool {
        self.config.listen.announce.is_empty()
            && !self.config.nat.relay_server
            && self.outer.reachability != Reachability::Public
    }

    /// Others reach us at this address, through a relay.
    pub(super) fn on_circuit(&mut self, address: Multiaddr) {
        let text = address.to_string();
        self.swarm.add_external_address(address);
        self.shared.views().addresses.push(text.clone());
        self.emit(NodeEvent::ListenAddress { address: text });
        self.hurry(Instant::now());
    }

    /// A listener has closed. `false`: it was none of a relay.
    pub(super) fn circuit_closed(&mut self, listener: ListenerId, addresses: &[Multiaddr], cause: &str) -> bool {
        let now = Instant::now();
        let Some((peer, held)) = self.relays.closed(listener, now) else { return false };
        for address in addresses {
            self.swarm.remove_external_address(address);
            let text = address.to_string();
            self.shared.views().addresses.retain(|other| *other != text);
        }
        if held {
            self.shared.counters.reservations_lost.add(1);
            tracing::info!(peer_id = %peer, cause, "a relay is lost: this node is no longer reached through it");
        } else {
            tracing::debug!(peer_id = %peer, cause, "a relay gave no reservation");
        }
        self.show_relays();
        self.hurry(now);
        true
    }

    pub(super) fn on_relay_client(&mut self, event: relay::client::Event) {
        match event {
            relay::client::Event::ReservationReqAccepted { relay_peer_id, renewal, .. } => {
                self.relays.accepted(&relay_peer_id);
                if !renewal {
                    tracing::info!(peer_id = %relay_peer_id, "others can reach this node through a relay");
                }
                self.show_relays();
            }
            relay::client::Event::OutboundCircuitEstablished { relay_peer_id, .. } => {
                tracing::debug!(relay = %relay_peer_id, "a relay has connected us");
            }
            relay::client::Event::InboundCircuitEstablished { src_peer_id, .. } => {
                tracing::debug!(peer_id = %src_peer_id, "a peer comes through a relay");
            }
        }
    }

    pub(super) fn on_relay_server(&mut self, event: relay::Event) {
        let counters = &self.shared.counters;
        match event {
            relay::Event::ReservationReqAccepted { src_peer_id, renewed } => {
                if !renewed {
                    tracing::info!(peer_id = %src_peer_id, "a peer is reached through this node from now on");
                }
                self.relayed.reserved(src_peer_id);
            }
            relay::Event::ReservationTimedOut { src_peer_id } => self.relayed.ended(&src_peer_id),
            // Comes with the end of every connection, with a reservation or without.
            relay::Event::ReservationClosed { src_peer_id } if !self.swarm.is_connected(&src_peer_id) => {
                self.relayed.ended(&src_peer_id);
            }
            relay::Event::ReservationReqDenied { src_peer_id, status } => {
                counters.reservations_denied.add(1);
                tracing::debug!(peer_id = %src_peer_id, ?status, "a reservation was denied");
            }
            relay::Event::CircuitReqAccepted { src_peer_id, dst_peer_id } => {
                counters.circuits.add(1);
                self.relayed.opened(src_peer_id);
                tracing::debug!(from = %src_peer_id, to = %dst_peer_id, "two peers are connected through this node");
            }
            relay::Event::CircuitReqDenied { src_peer_id, dst_peer_id, status } => {
                counters.circuits_denied.add(1);
                tracing::debug!(from = %src_peer_id, to = %dst_peer_id, ?status, "a circuit was denied");
            }
            relay::Event::CircuitClosed { src_peer_id, dst_peer_id, error } => {
                self.relayed.closed(&src_peer_id);
                tracing::debug!(from = %src_peer_id, to = %dst_peer_id, ?error, "a circuit has ended");
            }
            _ => {}
        }
        self.show_relays();
    }

    pub(super) fn on_hole_punch(&mut self, event: dcutr::Event) {
        let dcutr::Event { remote_peer_id: peer, result } = event;
        match result {
            Ok(_) => {
                self.shared.counters.hole_punches.add(1);
                tracing::info!(peer_id = %peer, "a direct connection takes the place of a relayed one");
            }
            Err(error) => {
                self.shared.counters.hole_punches_failed.add(1);
                tracing::info!(peer_id = %peer, %error, "no direct connection came about: the peer stays relayed");
            }
        }
    }

    /// A direct connection to the peer is being tried beside a relayed one. That takes up to half a minute, in which the
    /// relay may be lost: it keeps nobody from another relay.
    pub(super) fn punches(&self, peer: &PeerId) -> bool {
        self.swarm.behaviour().hole_punch.as_ref().is_some_and(|hole_punch| hole_punch.is_dialling(peer))
    }

    pub(super) fn has_punch_failed(&self, connection: ConnectionId) -> bool {
        self.swarm.behaviour().hole_punch.as_ref().is_some_and(|hole_punch| hole_punch.has_failed(connection))
    }

    /// Direct connections are there, and have proved good: what they replace is closed.
    pub(super) fn settle_upgrades(&mut self, now: Instant) {
        for peer in self.upgrades.last_looks(now) {
            self.paused_until = self.paused_until.max(Some(now + LOOKS_FOR));
            let view = self.peers.upgrade(&peer, self.upgrades.is_smaller(&peer), now);
            for connection in view.into_iter().flat_map(|view| view.surplus) {
                self.swarm.behaviour_mut().gossip.pace(peer, connection, Pace::LastLook(LOOKS_FOR * 2 / 3));
            }
        }
        let (peers, own) = (&self.peers, self.swarm.local_peer_id().to_bytes());
        let due = self.upgrades.due(now, |peer, since| peers.upgrade(peer, own < peer.to_bytes(), since));
        for connection in due.close {
            tracing::debug!(%connection, "closing what a direct connection has replaced");
            self.swarm.close_connection(connection);
        }
        for peer in due.over {
            for connection in self.peers.ids(&peer) {
                self.swarm.behaviour_mut().gossip.pace(peer, connection, Pace::Prompt);
            }
        }
    }

    /// One more connection of a peer has been identified: from now on gossip goes over the one that will stay.
    pub(super) fn pace_upgrade(&mut self, peer: PeerId, now: Instant) {
        let view = self.peers.upgrade(&peer, self.upgrades.is_smaller(&peer), now);
        let Some(view) = view.filter(|view| view.ours == Some(true)) else { return };
        let Some(stays) = view.stays else { return };
        tracing::debug!(peer_id = %peer, %stays, surplus = ?view.surplus, "a direct connection is to stay");
        let gossip = &mut self.swarm.behaviour_mut().gossip;
        gossip.pace(peer, stays, Pace::Prompt);
        for connection in view.surplus {
            gossip.pace(peer, connection, Pace::Retiring);
        }
        self.show_peers();
    }

    /// A relayed connection ended that had not answered beside the direct one: the peer may have been started anew in
    /// between, and gossip would take the direct one for another connection to the process that is gone.
    pub(super) fn is_another_life(&self, peer: &PeerId, id: ConnectionId, now: Instant) -> bool {
        let Some(since) = self.upgrades.since(peer) else { return false };
        self.peers.remote(peer, id).is_some_and(is_relayed)
            && self.peers.last_answer(peer, id).is_some_and(|at| at < since && now.duration_since(at) >= MISSED)
    }

    pub(super) fn show_relays(&self) {
        let mut views = self.shared.views();
        views.relays = self.relays.held();
        (views.relay_reservations, views.relay_circuits) = self.relayed.sizes();
    }
}

/// What the node is configured to be.
pub(super) fn passages(
    own: PeerId,
    config: &NodeConfig,
    relay_client: Option<relay::client::Behaviour>,
) -> io::Result<Passages> {
    let NatConfig { relay_client: uses, relay_server, hole_punching, autonat, autonat_server, relays: _, upnp: _ } =
        &config.nat;
    let dial_back = if *autonat_server {
        let transport = transport::direct(&Keypair::generate_ed25519(), &config.listen, dialback::LIMIT)?;
        Some(DialBack::new(transport))
    } else {
        None
    };
    let answers = dial_back.is_some();
    Ok(Passages {
        relay_client,
        relay_server: relay_server.then(|| RelayServer::new(own)),
        hole_punch: (*uses && *hole_punching).then(|| HolePunch::new(own, Reach::of(&config.listen.hosts))),
        autonat: (*autonat || answers)
            .then(|| AutoNat::new(own, *autonat, config.listen.announce.is_empty(), dial_back)),
    })
}
