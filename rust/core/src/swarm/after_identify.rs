//! A behaviour whose streams are opened only on connections on which the other side has said who it is.
//!
//! Until then a connection may still be refused, or closed as the second one to its peer. Gossip tells its
//! subscriptions once for each peer, so whatever it wrote to such a connection would be lost for good.
//!
//! When a peer has two connections of which one will be closed, its messages go over the other one before: see [`Pace`].
//!
//! A peer can be left before its connections have closed: nothing is sent to it any more.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    swarm::{
        AddressChange, ConnectionClosed, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler,
        THandler, THandlerInEvent, THandlerOutEvent, ToSwarm, behaviour::ConnectionEstablished,
    },
};

use crate::swarm::patient::{Pace, Patient, Told};

pub(crate) struct AfterIdentify<B: NetworkBehaviour> {
    pub inner: Box<B>,
    paces: VecDeque<(PeerId, ConnectionId, Pace)>,
    /// The connections that the behaviour within knows.
    open: HashMap<PeerId, HashMap<ConnectionId, ConnectedPoint>>,
    /// Connections of peers that were left, until they are closed.
    left: HashSet<ConnectionId>,
}

impl<B: NetworkBehaviour> AfterIdentify<B> {
    pub(crate) fn new(inner: Box<B>) -> Self {
        Self { inner, paces: VecDeque::new(), open: HashMap::new(), left: HashSet::new() }
    }

    pub(crate) fn pace(&mut self, peer: PeerId, connection: ConnectionId, pace: Pace) {
        self.paces.push_back((peer, connection, pace));
    }

    /// Lets the behaviour within forget the peer now, as if its connections had closed.
    pub(crate) fn leave(&mut self, peer: PeerId) {
        let connections = self.open.remove(&peer).unwrap_or_default();
        for ((connection_id, endpoint), remaining_established) in connections.iter().zip((0..connections.len()).rev()) {
            self.left.insert(*connection_id);
            let closed = ConnectionClosed {
                peer_id: peer,
                connection_id: *connection_id,
                endpoint,
                cause: None,
                remaining_established,
            };
            self.inner.on_swarm_event(FromSwarm::ConnectionClosed(closed));
        }
    }
}

impl<B: NetworkBehaviour> NetworkBehaviour for AfterIdentify<B> {
    type ConnectionHandler = Patient<THandler<B>>;
    type ToSwarm = B::ToSwarm;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        self.inner.handle_pending_inbound_connection(connection, local, remote)
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_inbound_connection(connection, peer, local, remote).map(Patient::new)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<PeerId>,
        addresses: &[Multiaddr],
        role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        self.inner.handle_pending_outbound_connection(connection, peer, addresses, role)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.inner.handle_established_outbound_connection(connection, peer, address, role, port).map(Patient::new)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        // The swarm counts the connections of a peer that was left, the behaviour within does not.
        let event = match event {
            FromSwarm::ConnectionEstablished(new) => {
                let open = self.open.entry(new.peer_id).or_default();
                let other_established = open.len();
                open.insert(new.connection_id, new.endpoint.clone());
                FromSwarm::ConnectionEstablished(ConnectionEstablished { other_established, ..new })
            }
            FromSwarm::ConnectionClosed(closed) => {
                if self.left.remove(&closed.connection_id) {
                    return;
                }
                let remaining_established = self.open.get_mut(&closed.peer_id).map_or(0, |open| {
                    open.remove(&closed.connection_id);
                    open.len()
                });
                if remaining_established == 0 {
                    self.open.remove(&closed.peer_id);
                }
                FromSwarm::ConnectionClosed(ConnectionClosed { remaining_established, ..closed })
            }
            FromSwarm::AddressChange(AddressChange { peer_id, connection_id, new, .. }) => {
                let open = self.open.get_mut(&peer_id).and_then(|open| open.get_mut(&connection_id));
                let Some(endpoint) = open else { return };
                endpoint.clone_from(new);
                event
            }
            event => event,
        };
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        if !self.left.contains(&connection) {
            self.inner.on_connection_handler_event(peer, connection, event);
        }
    }

    // The swarm polls its behaviours after the task has told them something.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some((peer_id, connection, pace)) = self.paces.pop_front() {
            let (handler, event) = (NotifyHandler::One(connection), Told::Pace(pace));
            return Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler, event });
        }
        self.inner.poll(cx).map(|action| action.map_in(Told::Inner))
    }
}

#[cfg(test)]
mod tests;
