//! Whether others can connect to us: peers that serve `AutoNAT` (v1) are asked, and those that ask are answered.
//!
//! A wrapper around the library's behaviour. It asks only who serves, announces an address only when it was reached from
//! outside, takes it back when it no longer is, and dials back apart from the swarm (`dialback.rs`).

use std::{
    collections::{HashMap, HashSet, VecDeque},
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    autonat::v1::{self, InboundProbeEvent, NatStatus, OutboundProbeError, OutboundProbeEvent, ResponseError},
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    multiaddr::Protocol,
    swarm::{
        ConnectionDenied, ConnectionId, DialError, DialFailure, ExternalAddrExpired, FromSwarm, NetworkBehaviour,
        THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, behaviour::ConnectionEstablished,
    },
};

use crate::{
    discovery::addresses::{is_public_address, is_relayed},
    nat::{dialback::DialBack, quiet::Quiet, reachability::Reachability},
};

/// The first question; those that follow until two answers agree, and afterwards.
const FIRST_AFTER: Duration = Duration::from_secs(5);
const AGAIN_AFTER: Duration = Duration::from_secs(10);
const REFRESH_EVERY: Duration = Duration::from_secs(5 * 60);
/// The same server is asked no more often.
const SAME_SERVER_AFTER: Duration = Duration::from_secs(30);
/// Answers of the other kind that a status outlives.
const CONFIDENCE: usize = 1;
/// Dials for others in a minute: for all, and for one.
const PERIOD: Duration = Duration::from_secs(60);
const MAX_DIALS: usize = 60;
const MAX_DIALS_OF_PEER: usize = 6;
/// Addresses that are tried for one question.
const MAX_ADDRESSES: usize = 8;

/// The words of [`AutoNatEvent::Asked`] and [`AutoNatEvent::Served`].
pub(crate) const ANSWERS_TO_US: [&str; 3] = ["reached", "not-reached", "failed"];
pub(crate) const ANSWERS_OF_OURS: [&str; 3] = ["reached", "not-reached", "refused"];

#[derive(Debug)]
pub(crate) enum AutoNatEvent {
    Changed(Reachability),
    /// A peer has been asked.
    Asking,
    /// A question of ours was answered, or could not be put.
    Asked(&'static str),
    /// A question of a peer was answered.
    Served(&'static str),
}

type DialedBack = (PeerId, ConnectionId, Option<Multiaddr>);

pub(crate) struct AutoNat {
    inner: v1::Behaviour,
    /// Whether we ask.
    asks: bool,
    /// Whether what is reached may be announced: not where the operator names all addresses.
    announces: bool,
    /// `Some`: we serve.
    dial_back: Option<DialBack>,
    /// What peers want to be dialled at, from the question to the dial.
    wanted: HashMap<PeerId, Vec<Multiaddr>>,
    dials: FuturesUnordered<BoxFuture<'static, DialedBack>>,
    /// The direct connections of each peer.
    held: HashMap<PeerId, Vec<ConnectionId>>,
    /// Addresses of ours that others have announced or that a listener has, and those that were reached from outside.
    known: HashSet<Multiaddr>,
    confirmed: HashSet<Multiaddr>,
    reachability: Reachability,
    pending: VecDeque<ToSwarm<AutoNatEvent, THandlerInEvent<v1::Behaviour>>>,
}

impl AutoNat {
    /// `announces`: the addresses that are reached may be announced. `dial_back`: we serve.
    pub(crate) fn new(own: PeerId, asks: bool, announces: bool, dial_back: Option<DialBack>) -> Self {
        let config = v1::Config {
            boot_delay: FIRST_AFTER,
            retry_interval: AGAIN_AFTER,
            refresh_interval: REFRESH_EVERY,
            throttle_server_period: SAME_SERVER_AFTER,
            confidence_max: CONFIDENCE,
            // Those that are told of are servers.
            use_connected: false,
            max_peer_addresses: MAX_ADDRESSES,
            throttle_clients_global_max: MAX_DIALS,
            throttle_clients_peer_max: MAX_DIALS_OF_PEER,
            throttle_clients_period: PERIOD,
            only_global_ips: true,
            ..v1::Config::default()
        };
        Self {
            inner: v1::Behaviour::new(own, config),
            asks,
            announces,
            dial_back,
            wanted: HashMap::new(),
            dials: FuturesUnordered::new(),
            held: HashMap::new(),
            known: HashSet::new(),
            confirmed: HashSet::new(),
            reachability: Reachability::Unknown,
            pending: VecDeque::new(),
        }
    }

    /// A peer has said what it serves. Only who sees us as the Internet does can say how that reaches us.
    pub(crate) fn meet(&mut self, peer: PeerId, remote: &Multiaddr, serves: &[StreamProtocol]) {
        if self.asks && serves.contains(&v1::DEFAULT_PROTOCOL_NAME) && is_public_address(remote) && !is_relayed(remote)
        {
            self.inner.add_server(peer, None);
        }
    }

    fn handle(&self, inner: THandler<v1::Behaviour>) -> THandler<Self> {
        Quiet::new(inner, self.dial_back.is_some())
    }

    /// The library wants a connection: to answer a question, or to a server that has just gone.
    fn on_dial(&mut self, peer: Option<PeerId>, connection: ConnectionId) {
        let wanted = peer.and_then(|peer| Some((peer, self.wanted.remove(&peer)?)));
        match (wanted, &mut self.dial_back) {
            (Some((peer, addresses)), Some(dial_back)) => {
                let dial = dial_back.dial(peer, addresses);
                self.dials.push(async move { (peer, connection, dial.await) }.boxed());
            }
            _ => self.failed(peer, connection),
        }
    }

    fn failed(&mut self, peer: Option<PeerId>, connection_id: ConnectionId) {
        let failure = DialFailure { peer_id: peer, error: &DialError::Aborted, connection_id };
        self.inner.on_swarm_event(FromSwarm::DialFailure(failure));
    }

    fn on_dialled_back(&mut self, (peer, connection, reached): DialedBack) {
        // The library keeps what it is told of a connection until that closes: so it is told of one that will.
        let held = self.held.get(&peer).and_then(|held| held.last());
        let (Some(address), Some(held)) = (reached, held) else { return self.failed(Some(peer), connection) };
        let endpoint = ConnectedPoint::Dialer { address, role_override: Endpoint::Dialer, port_use: PortUse::New };
        self.inner.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
            peer_id: peer,
            connection_id: *held,
            endpoint: &endpoint,
            failed_addresses: &[],
            other_established: 1,
        }));
    }

    fn on_event(&mut self, event: v1::Event) {
        let told = match event {
            v1::Event::InboundProbe(InboundProbeEvent::Request { peer, addresses, .. }) => {
                self.wanted.insert(peer, addresses);
                return;
            }
            v1::Event::InboundProbe(InboundProbeEvent::Response { .. }) => AutoNatEvent::Served("reached"),
            v1::Event::InboundProbe(InboundProbeEvent::Error { error, .. }) => AutoNatEvent::Served(match error {
                v1::InboundProbeError::Response(ResponseError::DialError) => "not-reached",
                _ => "refused",
            }),
            v1::Event::OutboundProbe(OutboundProbeEvent::Request { .. }) => AutoNatEvent::Asking,
            v1::Event::OutboundProbe(OutboundProbeEvent::Response { .. }) => AutoNatEvent::Asked("reached"),
            v1::Event::OutboundProbe(OutboundProbeEvent::Error { error, .. }) => AutoNatEvent::Asked(match error {
                // There is nobody to ask, or nothing to ask for.
                OutboundProbeError::NoServer | OutboundProbeError::NoAddresses => return,
                OutboundProbeError::Response(ResponseError::DialError) => "not-reached",
                OutboundProbeError::Response(_) | OutboundProbeError::OutboundRequest(_) => "failed",
            }),
            v1::Event::StatusChanged { new, .. } => return self.on_status(&new),
        };
        self.pending.push_back(ToSwarm::GenerateEvent(told));
    }

    fn on_status(&mut self, status: &NatStatus) {
        let reachability = match status {
            NatStatus::Public(_) => Reachability::Public,
            NatStatus::Private => Reachability::Private,
            NatStatus::Unknown => Reachability::Unknown,
        };
        // The address comes first, so that whoever hears of it finds both.
        if let NatStatus::Public(address) = status {
            self.on_reached(address.clone());
        }
        if reachability == Reachability::Private {
            self.pending.extend(self.confirmed.drain().map(ToSwarm::ExternalAddrExpired));
        }
        if reachability != self.reachability {
            self.reachability = reachability;
            self.pending.push_back(ToSwarm::GenerateEvent(AutoNatEvent::Changed(reachability)));
        }
    }

    /// We were reached there from outside.
    fn on_reached(&mut self, mut address: Multiaddr) {
        if let Some(Protocol::P2p(_)) = address.iter().last() {
            address.pop();
        }
        if !self.announces || !is_public_address(&address) || self.known.contains(&address) {
            return;
        }
        let same_way = |other: &Multiaddr| kinds(other) == kinds(&address);
        let gone: Vec<_> =
            self.confirmed.iter().filter(|other| **other != address && same_way(other)).cloned().collect();
        for old in gone {
            self.confirmed.remove(&old);
            self.pending.push_back(ToSwarm::ExternalAddrExpired(old));
        }
        if self.confirmed.insert(address.clone()) {
            self.pending.push_back(ToSwarm::ExternalAddrConfirmed(address));
        }
    }

    /// A peer sees us elsewhere than we were reached: our network may have got another address.
    fn on_observed(&mut self, seen: &Multiaddr) {
        let Some(host) = seen.iter().next().filter(|_| is_public_address(seen) && !is_relayed(seen)) else { return };
        let moved = |at: &Multiaddr| kinds(at) == kinds(seen) && at.iter().next() != Some(host.clone());
        if self.confirmed.iter().any(moved)
            && let Some(public) = self.inner.public_address().cloned()
        {
            tracing::debug!(%seen, "this node may have another public address: asking anew");
            self.inner.on_swarm_event(FromSwarm::ExternalAddrExpired(ExternalAddrExpired { addr: &public }));
        }
    }
}

/// The way that an address leads: all but its values.
fn kinds(address: &Multiaddr) -> Vec<&'static str> {
    address.protocol_stack().collect()
}

impl NetworkBehaviour for AutoNat {
    type ConnectionHandler = Quiet<THandler<v1::Behaviour>>;
    type ToSwarm = AutoNatEvent;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let inner = self.inner.handle_established_inbound_connection(connection, peer, local, remote)?;
        Ok(self.handle(inner))
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let inner = self.inner.handle_established_outbound_connection(connection, peer, address, role, port)?;
        Ok(self.handle(inner))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match &event {
            // Dials of the swarm are none of ours.
            FromSwarm::DialFailure(_) => return,
            // Each address of a symmetric NAT would be one more to ask for, for ever; a server takes the address that it
            // sees, and our ports.
            FromSwarm::NewExternalAddrCandidate(candidate) => return self.on_observed(candidate.addr),
            FromSwarm::ConnectionEstablished(new) if !new.endpoint.is_relayed() => {
                self.held.entry(new.peer_id).or_default().push(new.connection_id);
            }
            FromSwarm::ConnectionClosed(closed) => {
                if let Some(held) = self.held.get_mut(&closed.peer_id) {
                    held.retain(|id| *id != closed.connection_id);
                }
                if closed.remaining_established == 0 {
                    self.held.remove(&closed.peer_id);
                    self.inner.remove_server(&closed.peer_id);
                    self.wanted.remove(&closed.peer_id);
                }
            }
            FromSwarm::NewListenAddr(listener) => {
                self.known.insert(listener.addr.clone());
            }
            FromSwarm::ExpiredListenAddr(listener) => {
                self.known.remove(listener.addr);
            }
            // Announced by the operator, or mapped by the router.
            FromSwarm::ExternalAddrConfirmed(confirmed)
                if !self.confirmed.contains(confirmed.addr)
                    && self.known.insert(confirmed.addr.clone())
                    && is_public_address(confirmed.addr)
                    && !is_relayed(confirmed.addr) =>
            {
                self.inner.probe_address(confirmed.addr.clone());
            }
            FromSwarm::ExternalAddrExpired(expired) => {
                self.known.remove(expired.addr);
            }
            _ => {}
        }
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        self.inner.on_connection_handler_event(peer, connection, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<AutoNatEvent, THandlerInEvent<Self>>> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Poll::Ready(event);
            }
            while let Poll::Ready(Some(dialled)) = self.dials.poll_next_unpin(cx) {
                self.on_dialled_back(dialled);
            }
            match ready!(self.inner.poll(cx)) {
                ToSwarm::GenerateEvent(event) => self.on_event(event),
                ToSwarm::Dial { opts } => self.on_dial(opts.get_peer_id(), opts.connection_id()),
                ToSwarm::ExternalAddrConfirmed(address) => self.on_reached(address),
                ToSwarm::NotifyHandler { peer_id, handler, event } => {
                    return Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler, event });
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
