//! A direct connection in place of a relayed one: both sides dial each other at the same moment (`DCUtR`).
//!
//! A wrapper around the library's behaviour, which dials what others have seen of us. An address that is known to be ours
//! (announced, mapped, or of this machine) is told as well, which the library forgets: without it nobody could dial a
//! node whose address nobody has to guess, and two nodes behind one NAT would never find their way to each other.
//!
//! What the other side names is dialled unseen, and the library has no bounds for it: a listed peer could have us knock at
//! hundreds of places of others, or at our own, for as long as it likes. Here it has few tries, of few addresses, and those
//! that it cannot be at are left out. The others count: one that a neighbour of it has seen, or made up, must not cost it
//! the rest.

use std::{
    collections::HashMap,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use either::Either;
use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    dcutr,
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NewExternalAddrCandidate, THandler,
        THandlerInEvent, THandlerOutEvent, ToSwarm,
    },
};

use crate::addresses::{Reach, is_relayed};

/// A node of this library names twenty at most.
const MAX_ADDRESSES: usize = 32;
/// Tries at the same time with one peer: each side has one, and that of a circuit before may go on.
const MAX_TRIES: usize = 3;
/// Exchanges of addresses with one peer in a row, each of which may be a try: a relayed connection has three at most, and a
/// peer may be started anew a few times. Then one in each of these times, whichever connection it comes by: a peer can open
/// as many as it likes, and the library keeps a little of each try for good.
const MAX_IN_A_ROW: u32 = 12;
const ANOTHER_AFTER: Duration = Duration::from_secs(30);

type Inner = dcutr::Behaviour;

/// What the handler of a relayed connection tells: the library does not name the type.
type Told = <THandlerOutEvent<Inner> as OfRelayed>::Told;

trait OfRelayed {
    type Told;
}

impl<T, D> OfRelayed for Either<T, D> {
    type Told = T;
}

#[derive(Debug, thiserror::Error)]
#[error("the peer wants to be dialled more often at the same time than it needs")]
struct TooOften;

pub(crate) struct HolePunch {
    inner: Inner,
    reach: Reach,
    /// Its dials under way: three in a row, of ten seconds each where a router drops what comes.
    dials: HashMap<ConnectionId, PeerId>,
    /// The last one that came to nothing.
    failed: Option<ConnectionId>,
    /// Until when the exchanges of a peer count: each for [`ANOTHER_AFTER`], one after the other.
    count: HashMap<PeerId, Instant>,
}

impl HolePunch {
    pub(crate) fn new(own: PeerId, reach: Reach) -> Self {
        Self { inner: Inner::new(own), reach, dials: HashMap::new(), failed: None, count: HashMap::new() }
    }

    /// A direct connection to the peer is being tried.
    pub(crate) fn is_dialling(&self, peer: &PeerId) -> bool {
        self.dials.values().any(|dialled| dialled == peer)
    }

    /// The dial that has just failed was such a try, which says nothing of other ways to the peer.
    pub(crate) fn has_failed(&self, connection: ConnectionId) -> bool {
        self.failed == Some(connection)
    }

    /// Counts one more exchange with the peer, unless it has had too many.
    fn may_exchange(&mut self, peer: PeerId, now: Instant) -> bool {
        self.count.retain(|_, until| *until > now);
        let until = self.count.entry(peer).or_insert(now);
        let next = *until + ANOTHER_AFTER;
        let may = next <= now + ANOTHER_AFTER * MAX_IN_A_ROW;
        if may {
            *until = next;
        }
        may
    }

    /// Somebody may be reached there. What was seen over a relayed connection is no place: the relay, or a peer id alone.
    fn is_place(&self, address: &Multiaddr) -> bool {
        !is_relayed(address) && self.reach.admits(address)
    }
}

impl NetworkBehaviour for HolePunch {
    type ConnectionHandler = <Inner as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = dcutr::Event;

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if let Some(peer) = self.dials.get(&connection) {
            let tries = self.dials.values().filter(|dialled| *dialled == peer).count();
            if tries > MAX_TRIES {
                return Err(ConnectionDenied::new(TooOften));
            }
        }
        self.inner.handle_pending_outbound_connection(connection, peer, addresses, role)
    }

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
            FromSwarm::NewExternalAddrCandidate(candidate) if !self.is_place(candidate.addr) => return,
            FromSwarm::ExternalAddrConfirmed(confirmed) if self.is_place(confirmed.addr) => {
                let candidate = NewExternalAddrCandidate { addr: confirmed.addr };
                self.inner.on_swarm_event(FromSwarm::NewExternalAddrCandidate(candidate));
            }
            FromSwarm::ConnectionEstablished(established) => {
                self.dials.remove(&established.connection_id);
            }
            FromSwarm::DialFailure(failure) => {
                self.failed = self.dials.remove(&failure.connection_id).map(|_| failure.connection_id);
            }
            _ => {}
        }
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        mut event: THandlerOutEvent<Self>,
    ) {
        if !self.may_exchange(peer, Instant::now()) {
            tracing::debug!(peer_id = %peer, "a peer wants a direct connection to be tried too often");
            return;
        }
        if let Either::Left(
            Told::InboundConnectNegotiated { remote_addrs } | Told::OutboundConnectNegotiated { remote_addrs },
        ) = &mut event
        {
            // With none left the try fails at once, as the library knows it.
            remote_addrs.retain(|address| self.is_place(address));
            remote_addrs.truncate(MAX_ADDRESSES);
        }
        self.inner.on_connection_handler_event(peer, connection, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<dcutr::Event, THandlerInEvent<Self>>> {
        let action = self.inner.poll(cx);
        if let Poll::Ready(ToSwarm::Dial { opts }) = &action
            && let Some(peer) = opts.get_peer_id()
        {
            self.dials.insert(opts.connection_id(), peer);
        }
        action
    }
}

#[cfg(test)]
mod tests;
