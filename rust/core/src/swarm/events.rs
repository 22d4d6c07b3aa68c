//! What the swarm reports, and what the node makes of it.

use std::time::{Duration, Instant};

use libp2p::{
    Multiaddr, PeerId,
    core::ConnectedPoint,
    identify,
    multiaddr::Protocol,
    ping,
    swarm::{ConnectionError, ConnectionId, ListenError, SwarmEvent},
};

use crate::{
    addresses::{Scope, is_relayed},
    error::{Error, ErrorKind},
    events::{Direction, DisconnectReason, NodeEvent, Value},
    identity::Wallet,
    swarm::{
        behaviour::BehaviourEvent,
        connection::Connection,
        guard::{Deaf, Denial},
        peers::Gone,
        task::Task,
        told::taken,
    },
};

/// A peer that stands before the door is not dialled for so long.
const RETURNS_WITHIN: Duration = Duration::from_secs(1);

impl Task {
    pub(super) fn on_swarm(&mut self, event: SwarmEvent<BehaviourEvent>) {
        self.library.record(&event);
        match event {
            SwarmEvent::Behaviour(BehaviourEvent::Gossip(event)) => self.on_gossip(event),
            SwarmEvent::Behaviour(BehaviourEvent::Guard(Deaf(peer))) => {
                tracing::warn!(peer_id = %peer, "gossip has given up on a connection: it will be made anew");
                self.second_connections.gossip_gone(peer, Instant::now());
            }
            SwarmEvent::Behaviour(BehaviourEvent::Identify(event)) => self.on_identify(event),
            SwarmEvent::Behaviour(BehaviourEvent::RelayClient(event)) => self.on_relay_client(event),
            SwarmEvent::Behaviour(BehaviourEvent::RelayServer(event)) => self.on_relay_server(event),
            SwarmEvent::Behaviour(BehaviourEvent::HolePunch(event)) => self.on_hole_punch(event),
            SwarmEvent::Behaviour(BehaviourEvent::Autonat(event)) => self.on_autonat(event),
            SwarmEvent::ExternalAddrConfirmed { .. } | SwarmEvent::ExternalAddrExpired { .. } => self.show_outer(),
            SwarmEvent::Behaviour(BehaviourEvent::Wan(event)) => self.on_table(Scope::Wan, event),
            SwarmEvent::Behaviour(BehaviourEvent::Lan(event)) => self.on_table(Scope::Lan, event),
            SwarmEvent::Behaviour(BehaviourEvent::Mdns(event)) => self.on_mdns(event),
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event { peer, connection, result: Ok(rtt) })) => {
                self.peers.answered(&peer, connection, rtt, Instant::now());
                self.shared.counters.ping.observe(rtt);
            }
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, established_in, .. } => {
                self.shared.counters.connect.observe(established_in);
                self.on_established(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, cause, .. } => {
                self.on_closed(peer_id, connection_id, cause.as_ref());
            }
            SwarmEvent::OutgoingConnectionError { peer_id, connection_id, error } => {
                self.dial_failed(peer_id, Some(connection_id), &error);
            }
            SwarmEvent::IncomingConnectionError { error, send_back_addr, peer_id, .. } => {
                self.on_incoming_error(&error, &send_back_addr, peer_id);
            }
            SwarmEvent::NewListenAddr { listener_id, address } => {
                self.opening.reported(listener_id, Instant::now());
                self.on_listening(address);
                self.opened();
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                // What the operator names stays: it may be back in a moment, and nothing would name it again.
                if self.config.listen.announce.is_empty() {
                    self.swarm.remove_external_address(&address);
                }
                let text = self.with_identity(address).to_string();
                self.shared.views().addresses.retain(|other| *other != text);
                self.show_outer();
            }
            SwarmEvent::ListenerClosed { listener_id, addresses, reason } => {
                let shown: Vec<_> = addresses.iter().map(ToString::to_string).collect();
                let cause =
                    reason.as_ref().map_or_else(ToString::to_string, |()| "its connection has ended".to_owned());
                if self.circuit_closed(listener_id, &addresses, &cause) {
                    return;
                }
                if self.opening.contains(listener_id) {
                    let text = format!("a listener closed before it was open: {reason:?}");
                    self.failure = Some(Error::new(ErrorKind::Listen, text));
                } else if !self.shared.is_closed() {
                    tracing::error!(addresses = shown.join(", "), ?reason, "a listener has closed");
                }
            }
            // With QUIC also each packet that nobody can read.
            SwarmEvent::ListenerError { error, .. } => {
                self.shared.counters.listener_errors.add(1);
                if let Some(more) = self.listener_errors.pass(Instant::now()) {
                    tracing::warn!(%error, more, "a listener reported an error");
                }
            }
            _ => {}
        }
    }

    fn on_listening(&mut self, address: Multiaddr) {
        if is_relayed(&address) {
            return self.on_circuit(address);
        }
        // The tables tell others nothing else, and an operator who names addresses names all of them.
        if self.config.listen.announce.is_empty() && self.reach.admits(&address) {
            self.swarm.add_external_address(address.clone());
        }
        let text = self.with_identity(address).to_string();
        tracing::debug!(address = text, "a listener is open");
        self.shared.views().addresses.push(text.clone());
        self.emit(NodeEvent::ListenAddress { address: text });
        self.show_outer();
    }

    /// The node has started when its listeners are open.
    pub(super) fn opened(&mut self) {
        if self.opening.is_over()
            && let Some(op) = self.start.take()
        {
            let addresses = self.shared.views().addresses.join(", ");
            tracing::info!(addresses, peer_id = %self.swarm.local_peer_id(), "the node listens");
            self.map_ports();
            self.shared.done(op, Value::None);
        }
    }

    fn with_identity(&self, address: Multiaddr) -> Multiaddr {
        address.with(Protocol::P2p(*self.swarm.local_peer_id()))
    }

    fn on_established(&mut self, peer: PeerId, id: ConnectionId, endpoint: &ConnectedPoint) {
        let now = Instant::now();
        self.shared.counters.connections.add(1);
        tracing::debug!(peer_id = %peer, remote_addr = %endpoint.get_remote_address(), "a connection is open");
        // The guard has admitted it, so it is a wallet.
        if let Ok(wallet) = Wallet::from_peer_id(&peer) {
            self.peers.established(peer, wallet, Connection::new(id, endpoint, now));
        }
        self.dialer.connected(peer, now);
        self.ops.established(peer, id);
        if self.peers.is_upgraded(&peer) {
            self.upgrades.begin(peer, now);
            self.hurry(now);
        } else if self.peers.connections(&peer) > 1 {
            self.second(peer, now);
        }
    }

    fn on_identify(&mut self, event: identify::Event) {
        let now = Instant::now();
        let (connection_id, peer_id, info) = match event {
            identify::Event::Received { connection_id, peer_id, info } => (connection_id, peer_id, info),
            // A peer that never says who it is leaves without an event: this is the only trace of why.
            identify::Event::Error { peer_id, error, .. } => {
                if let Some(more) = self.identify_errors.pass(now) {
                    tracing::debug!(%peer_id, %error, more, "who a peer is could not be read");
                }
                return;
            }
            _ => return,
        };
        // What was said last on a connection may be heard after its end, which nothing would follow.
        let Some(remote) = self.peers.remote(&peer_id, connection_id) else { return };
        let told = taken(info.listen_addrs, remote, self.reach);
        self.meet(&peer_id, connection_id, &info.protocols, &told);
        self.meet_autonat(peer_id, connection_id, info.observed_addr, &info.protocols);
        self.meet_relay(&peer_id, connection_id, &info.protocols, &told, now);
        self.dialer.identified(peer_id, told, now);
        let Some(peer) = self.peers.identified(&peer_id, connection_id, info.agent_version) else {
            if self.peers.is_identified(&peer_id) {
                self.ops.identified(peer_id, &self.shared);
            }
            return self.pace_upgrade(peer_id, now);
        };
        tracing::info!(
            %peer_id, wallet = %peer.wallet, transport = peer.transport, direction = peer.direction.as_str(),
            agent = &*peer.agent, addrs = peer.addresses.join(", "),
            "a peer is connected",
        );
        self.receiver.fresh_connection(&peer.wallet);
        self.show_peers();
        self.emit(NodeEvent::PeerConnected { peer });
        self.update_views();
        self.ops.identified(peer_id, &self.shared);
    }

    fn on_closed(&mut self, peer: PeerId, id: ConnectionId, cause: Option<&ConnectionError>) {
        let now = Instant::now();
        let another_life = self.is_another_life(&peer, id, now);
        let replaced = self.peers.may_be_replaced(&peer, id, now);
        let gone = self.peers.closed(&peer, id);
        // Not before: gossip keeps the topics of a peer as long as it has a connection, and does not tell of them again.
        if self.peers.connections(&peer) == 0 {
            self.shared.topics.peer_gone(&peer);
        }
        self.leftover_closed(id);
        // The other side ended it for one that we had dialled (`door.rs`): it has forgotten what we subscribe to, and
        // gossip tells of that over a first connection alone.
        let replaced = replaced && self.peers.was_just_dialled(&peer, now);
        if another_life || replaced {
            self.reset(peer);
        } else if self.peers.connections(&peer) == 1 {
            self.second_connections.second(peer, now);
        }
        if gone != Gone::Not {
            self.leave_tables(&peer);
            self.relays.gone(&peer);
        }
        match gone {
            Gone::Not => return,
            Gone::Lost { wallet, reason, returns } => {
                let reason = reason.unwrap_or(match cause {
                    Some(ConnectionError::KeepAliveTimeout) => DisconnectReason::Timeout,
                    Some(ConnectionError::IO(error)) if is_timeout(error) => DisconnectReason::Timeout,
                    _ => DisconnectReason::Closed,
                });
                tracing::info!(peer_id = %peer, %wallet, reason = reason.as_str(), "a peer is gone");
                self.shared.counters.disconnections.add(reason.as_str(), 1);
                self.show_peers();
                self.emit(NodeEvent::PeerDisconnected { peer, wallet, reason });
                let pause = match reason {
                    DisconnectReason::Reset => self.second_connections.redial_after(&peer),
                    _ if returns => RETURNS_WITHIN,
                    _ => Duration::ZERO,
                };
                if reason == DisconnectReason::Trimmed {
                    self.dialer.forget(&peer);
                } else {
                    self.dialer.lost(peer, now, pause);
                    self.rendezvous.hurry(now);
                }
                self.update_views();
            }
            Gone::BeforeIdentify { direction: Direction::Outbound, reason: None } => {
                self.second_connections.closed_nameless(peer, now);
            }
            Gone::BeforeIdentify { .. } => {
                self.dialer.unmet(peer, now, self.peers.is_empty());
                self.dialer.blame(&peer, "its connection ended before it said who it is");
                self.dial_again(peer);
            }
        }
        self.ops.gone(&peer, &self.shared);
        self.hurry(now);
    }

    fn on_incoming_error(&mut self, error: &ListenError, from: &Multiaddr, peer: Option<PeerId>) {
        self.twin.failed_inbound(from, matches!(error, ListenError::LocalPeerId { .. }), Instant::now());
        if let ListenError::Denied { cause } = error
            && let Some(denial) = cause.downcast_ref::<Denial>()
        {
            match (denial, peer) {
                (Denial::Second, Some(peer)) => return self.second(peer, Instant::now()),
                (Denial::DialBack, Some(peer)) => return self.on_dialled_back(&peer),
                _ => {}
            }
            self.shared.counters.refused.add(denial.as_str(), 1);
            let wallet = peer.and_then(|peer| Wallet::from_peer_id(&peer).ok());
            self.emit(NodeEvent::PeerRefused {
                peer,
                wallet,
                direction: Direction::Inbound,
                reason: denial.as_str(),
                count: 1,
            });
        }
        if let Some(more) = self.incoming_errors.pass(Instant::now()) {
            tracing::debug!(%from, %error, more, "an incoming connection failed");
        }
    }
}

fn is_timeout(error: &std::io::Error) -> bool {
    // quinn's time-out comes wrapped, with a kind only in its text.
    error.kind() == std::io::ErrorKind::TimedOut || error.to_string().contains("timed out")
}
