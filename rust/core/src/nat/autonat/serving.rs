//! What peers that ask whether they can be reached are served: a dial apart from the swarm (`dialback.rs`), of which the
//! library is told as if it were its own.

use std::{
    collections::HashMap,
    task::{Context, Poll, ready},
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesUnordered};
use libp2p::{
    Multiaddr, PeerId,
    autonat::v1,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    swarm::{
        ConnectionId, DialError, DialFailure, FromSwarm, NetworkBehaviour,
        behaviour::{ConnectionClosed, ConnectionEstablished},
    },
};

use crate::{addresses::is_plain, nat::dialback::DialBack};

type DialedBack = (PeerId, ConnectionId, Option<Multiaddr>);

pub(super) struct Serving {
    /// `Some`: we serve.
    dial_back: Option<DialBack>,
    /// What peers want to be dialled at, from the question to the dial.
    wanted: HashMap<PeerId, Vec<Multiaddr>>,
    dials: FuturesUnordered<BoxFuture<'static, DialedBack>>,
    /// The direct connections of each peer.
    held: HashMap<PeerId, Vec<ConnectionId>>,
}

impl Serving {
    pub(super) fn new(dial_back: Option<DialBack>) -> Self {
        Self { dial_back, wanted: HashMap::new(), dials: FuturesUnordered::new(), held: HashMap::new() }
    }

    pub(super) const fn is_on(&self) -> bool {
        self.dial_back.is_some()
    }

    pub(super) fn established(&mut self, new: &ConnectionEstablished<'_>) {
        if !new.endpoint.is_relayed() {
            self.held.entry(new.peer_id).or_default().push(new.connection_id);
        }
    }

    pub(super) fn closed(&mut self, closed: &ConnectionClosed<'_>) {
        if let Some(held) = self.held.get_mut(&closed.peer_id) {
            held.retain(|id| *id != closed.connection_id);
        }
        if closed.remaining_established == 0 {
            self.held.remove(&closed.peer_id);
            self.wanted.remove(&closed.peer_id);
        }
    }

    /// The library has put the host at which the peer is seen in the place of the first one that an address names.
    pub(super) fn asked(&mut self, peer: PeerId, mut addresses: Vec<Multiaddr>) {
        addresses.retain(is_plain);
        self.wanted.insert(peer, addresses);
    }

    /// The library wants a connection: to answer a question, or to a server that has just gone.
    pub(super) fn dial(&mut self, library: &mut v1::Behaviour, peer: Option<PeerId>, connection: ConnectionId) {
        let wanted = peer.and_then(|peer| Some((peer, self.wanted.remove(&peer)?)));
        match (wanted, &mut self.dial_back) {
            (Some((peer, addresses)), Some(dial_back)) => {
                let dial = dial_back.dial(peer, addresses);
                self.dials.push(async move { (peer, connection, dial.await) }.boxed());
            }
            _ => failed(library, peer, connection),
        }
    }

    /// Tells the library of a dial that has ended.
    pub(super) fn poll(&mut self, library: &mut v1::Behaviour, cx: &mut Context<'_>) -> Poll<()> {
        let Some((peer, connection, reached)) = ready!(self.dials.poll_next_unpin(cx)) else { return Poll::Pending };
        // The library keeps what it is told of a connection until that closes: so it is told of one that will.
        let held = self.held.get(&peer).and_then(|held| held.last());
        let (Some(address), Some(held)) = (reached, held) else {
            failed(library, Some(peer), connection);
            return Poll::Ready(());
        };
        let endpoint = ConnectedPoint::Dialer { address, role_override: Endpoint::Dialer, port_use: PortUse::New };
        library.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
            peer_id: peer,
            connection_id: *held,
            endpoint: &endpoint,
            failed_addresses: &[],
            other_established: 1,
        }));
        Poll::Ready(())
    }
}

fn failed(library: &mut v1::Behaviour, peer: Option<PeerId>, connection_id: ConnectionId) {
    let failure = DialFailure { peer_id: peer, error: &DialError::Aborted, connection_id };
    library.on_swarm_event(FromSwarm::DialFailure(failure));
}
