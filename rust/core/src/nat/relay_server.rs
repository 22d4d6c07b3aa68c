//! The relay that this node is for others: a wrapper around the library's behaviour.
//!
//! When a reservation runs out the library forgets the connection, and panics when the same reservation is renewed a moment
//! later: a peer that takes the answer to its renewal slowly enough would end the node. Here the connection is told again.
//!
//! It asks one peer about ten circuits at a time, and forgets to answer whoever asks for an eleventh, which counts from then on
//! as one that is being made. Where a relay is lost many ask for the same peer at once, so here they wait for their turn.

use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroU32,
    task::{Context, Poll, ready},
    time::Duration,
};

use either::Either;
use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    relay,
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, THandler, THandlerInEvent,
        THandlerOutEvent, ToSwarm, behaviour::ConnectionEstablished,
    },
};

/// Limits of the relay that a node is for the wallets of its fleet. The library's own ones, 128 KiB and two minutes a
/// circuit, are made for strangers: a circuit that carries gossip would end after seconds.
const RESERVATIONS: usize = 1_024;
const RESERVATIONS_OF_WALLET: usize = 4;
const RESERVATION_LASTS: Duration = Duration::from_secs(60 * 60);
const CIRCUITS: usize = 1_024;
const CIRCUITS_OF_WALLET: usize = 64;
const CIRCUIT_LASTS: Duration = Duration::from_secs(24 * 60 * 60);
const CIRCUIT_BYTES: u64 = 1 << 40;
/// Requests of one wallet in a row, and after which time there may be one more: 240 in two minutes. Whoever looks for a peer
/// that is away asks for it with each dial. None by address: a fleet may stand behind one.
const REQUESTS: NonZeroU32 = NonZeroU32::new(240).expect("not zero");
const ONE_MORE_AFTER: Duration = Duration::from_millis(500);
/// Circuits about which a peer is asked at the same time, on one connection. The library has room for ten.
const MAX_ASKED: usize = 8;

type Inner = relay::Behaviour;
type Action = ToSwarm<relay::Event, THandlerInEvent<Inner>>;

/// What the handler of a direct connection tells, and what it is told: the library does not name the types.
type Told = <THandlerOutEvent<Inner> as OfDirect>::Event;
type Order = <THandlerInEvent<Inner> as OfDirect>::Event;

trait OfDirect {
    type Event;
}

impl<T, D> OfDirect for Either<T, D> {
    type Event = T;
}

pub(crate) struct RelayServer {
    inner: Inner,
    /// By the connection on which a peer is asked whether it takes a circuit.
    asked: HashMap<ConnectionId, Asked>,
    /// Orders whose turn has come.
    ready: VecDeque<Action>,
}

#[derive(Default)]
struct Asked {
    under_way: usize,
    waiting: VecDeque<Action>,
}

impl RelayServer {
    pub(crate) fn new(own: PeerId) -> Self {
        let mut inner = Inner::new(own, limits());
        inner.set_status(Some(relay::Status::Enable));
        Self { inner, asked: HashMap::new(), ready: VecDeque::new() }
    }

    /// `None`: it waits.
    fn in_turn(&mut self, action: Action) -> Option<Action> {
        if let ToSwarm::NotifyHandler { handler: NotifyHandler::One(connection), event, .. } = &action
            && matches!(event, Either::Left(Order::NegotiateOutboundConnect { .. }))
        {
            // It has closed meanwhile, and the library knows that.
            let asked = self.asked.get_mut(connection)?;
            if asked.under_way >= MAX_ASKED {
                asked.waiting.push_back(action);
                return None;
            }
            asked.under_way += 1;
        }
        Some(action)
    }

    /// A peer has answered, or failed to.
    fn answered(&mut self, connection: ConnectionId) {
        let Some(asked) = self.asked.get_mut(&connection) else { return };
        match asked.waiting.pop_front() {
            Some(next) => self.ready.push_back(next),
            None => asked.under_way = asked.under_way.saturating_sub(1),
        }
    }

    fn closed(&mut self, connection: ConnectionId) {
        self.asked.remove(&connection);
        // Nor does anybody wait for an answer who has asked on it.
        let asked_on_it = |action: &Action| match action {
            ToSwarm::NotifyHandler {
                event: Either::Left(Order::NegotiateOutboundConnect { src_connection_id, .. }),
                ..
            } => *src_connection_id == connection,
            _ => false,
        };
        self.asked.values_mut().for_each(|asked| asked.waiting.retain(|action| !asked_on_it(action)));
    }

    fn connected(&mut self, peer: PeerId, connection: ConnectionId) {
        self.inner.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
            peer_id: peer,
            connection_id: connection,
            // Not looked at.
            endpoint: &ConnectedPoint::Listener { local_addr: Multiaddr::empty(), send_back_addr: Multiaddr::empty() },
            failed_addresses: &[],
            other_established: 0,
        }));
    }
}

fn limits() -> relay::Config {
    let config = relay::Config {
        max_reservations: RESERVATIONS,
        // The library compares with `>`, so that one more gets through.
        max_reservations_per_peer: RESERVATIONS_OF_WALLET - 1,
        reservation_duration: RESERVATION_LASTS,
        reservation_rate_limiters: Vec::new(),
        max_circuits: CIRCUITS,
        max_circuits_per_peer: CIRCUITS_OF_WALLET - 1,
        max_circuit_duration: CIRCUIT_LASTS,
        max_circuit_bytes: CIRCUIT_BYTES,
        circuit_src_rate_limiters: Vec::new(),
    };
    config.reservation_rate_per_peer(REQUESTS, ONE_MORE_AFTER).circuit_src_per_peer(REQUESTS, ONE_MORE_AFTER)
}

impl NetworkBehaviour for RelayServer {
    type ConnectionHandler = <Inner as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = relay::Event;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_outbound_connection(connection, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match &event {
            FromSwarm::ConnectionEstablished(new) => _ = self.asked.insert(new.connection_id, Asked::default()),
            FromSwarm::ConnectionClosed(closed) => self.closed(closed.connection_id),
            _ => {}
        }
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        let ran_out = matches!(event, Either::Left(Told::ReservationTimedOut {}));
        if matches!(
            event,
            Either::Left(Told::OutboundConnectNegotiated { .. } | Told::OutboundConnectNegotiationFailed { .. })
        ) {
            self.answered(connection);
        }
        self.inner.on_connection_handler_event(peer, connection, event);
        if ran_out {
            self.connected(peer, connection);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Action> {
        if let Some(action) = self.ready.pop_front() {
            return Poll::Ready(action);
        }
        loop {
            let action = ready!(self.inner.poll(cx));
            if let Some(action) = self.in_turn(action) {
                return Poll::Ready(action);
            }
        }
    }
}

#[cfg(test)]
mod tests;
