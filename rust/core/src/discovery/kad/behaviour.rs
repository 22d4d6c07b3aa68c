//! How the swarm sees a table: what passes between the two, and what is held back.

use std::{
    collections::{BTreeMap, VecDeque},
    task::{Context, Poll, ready},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    kad::{self, ConnectionType, GetProvidersOk, KadPeer, Mode, QueryResult},
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
        ToSwarm,
    },
};

use super::{Kad, Table, TableEvent};
use crate::{
    addresses::{Scope, is_relayed},
    discovery::records::MAX_ADDRESSES,
};

/// One answer may name tens of thousands; more of them than this are not looked at.
pub(super) const MAX_FOUND: usize = 1_024;

impl NetworkBehaviour for Table {
    type ConnectionHandler = <Kad as NetworkBehaviour>::ConnectionHandler;
    type ToSwarm = TableEvent;

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.kad.handle_established_inbound_connection(connection, peer, local, remote)
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        role: Endpoint,
        port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.kad.handle_established_outbound_connection(connection, peer, address, role, port)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match &event {
            FromSwarm::ExternalAddrConfirmed(confirmed) => {
                if !self.admits(confirmed.addr) {
                    return;
                }
                if !self.own.contains(confirmed.addr) {
                    self.own.push(confirmed.addr.clone());
                    self.moved = true;
                }
                self.choose_mode();
            }
            FromSwarm::ExternalAddrExpired(expired) => {
                let before = self.own.len();
                self.own.retain(|address| address != expired.addr);
                self.moved |= self.own.len() < before;
                self.choose_mode();
            }
            // Records carry confirmed addresses alone.
            FromSwarm::NewListenAddr(_) | FromSwarm::ExpiredListenAddr(_) => return,
            _ => {}
        }
        self.kad.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        self.kad.on_connection_handler_event(peer, connection, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<TableEvent, THandlerInEvent<Self>>> {
        loop {
            match ready!(self.kad.poll(cx)) {
                ToSwarm::GenerateEvent(event) => {
                    if let Some(event) = self.translate(event) {
                        return Poll::Ready(ToSwarm::GenerateEvent(event));
                    }
                }
                ToSwarm::Dial { opts } => {
                    if let Some(peer) = opts.get_peer_id() {
                        let addresses = self.addresses(peer);
                        return Poll::Ready(ToSwarm::GenerateEvent(TableEvent::Wants { peer, addresses }));
                    }
                }
                ToSwarm::NotifyHandler { peer_id, handler, mut event } => {
                    self.complete(&mut event);
                    return Poll::Ready(ToSwarm::NotifyHandler { peer_id, handler, event });
                }
                // Addresses of peers, for other behaviours: none of ours keeps any.
                _ => {}
            }
        }
    }
}

/// Others keep few addresses of a peer, the first ones. So these are of each kind in turn, and of one kind by turns the first
/// and the last: an interface comes before those of containers, until it is lost and comes back.
fn told_of(own: &[Multiaddr]) -> Vec<Multiaddr> {
    let mut kinds = BTreeMap::<_, VecDeque<_>>::new();
    for address in own {
        let kind = (is_relayed(address), address.iter().next().map(|host| host.tag()));
        kinds.entry(kind).or_default().push_back(address.clone());
    }
    let mut told = Vec::with_capacity(own.len());
    while told.len() < own.len().min(MAX_ADDRESSES) {
        told.extend(kinds.values_mut().filter_map(VecDeque::pop_front));
        told.extend(kinds.values_mut().filter_map(VecDeque::pop_back));
    }
    told.truncate(MAX_ADDRESSES);
    told
}

impl Table {
    fn translate(&mut self, event: kad::Event) -> Option<TableEvent> {
        match event {
            kad::Event::OutboundQueryProgressed { id: query, result, stats, .. } => match result {
                QueryResult::GetProviders(Ok(GetProvidersOk::FoundProviders { providers, .. })) => {
                    let providers =
                        providers.into_iter().take(MAX_FOUND).map(|peer| (peer, self.addresses(peer))).collect();
                    Some(TableEvent::Found { query, providers })
                }
                QueryResult::GetProviders(_) | QueryResult::StartProviding(_) => {
                    Some(TableEvent::Ended { query, reached: stats.num_successes() > 0 })
                }
                _ => None,
            },
            kad::Event::RoutingUpdated { peer, addresses, is_new_peer, old_peer, .. } => {
                if let Some(evicted) = old_peer {
                    self.members.remove(&evicted);
                }
                if is_new_peer && !self.known(&peer).is_empty() {
                    self.members.insert(peer);
                }
                // The library adds the address at which a peer was dialled, whatever kind it is of.
                for address in addresses.iter() {
                    if !self.admits(address) {
                        self.drop_address(&peer, address);
                    }
                }
                is_new_peer.then_some(TableEvent::Entered)
            }
            _ => None,
        }
    }

    /// What we say of ourselves. An answer that would name nobody names us: the library leaves us out even where we are
    /// looked for, and a Go node with the older table takes nobody into it whose answer to that is empty.
    pub(super) fn complete(&self, told: &mut THandlerInEvent<Kad>) {
        let addresses = || told_of(&self.own);
        match told {
            THandlerInEvent::<Kad>::FindNodeRes { closer_peers, .. } if closer_peers.is_empty() => {
                let (node_id, connection_ty) = (self.id, ConnectionType::Connected);
                closer_peers.push(KadPeer { node_id, multiaddrs: addresses(), connection_ty });
            }
            THandlerInEvent::<Kad>::AddProvider { provider, .. } => provider.multiaddrs = addresses(),
            THandlerInEvent::<Kad>::GetProvidersRes { provider_peers, .. } => {
                for us in provider_peers.iter_mut().filter(|peer| peer.node_id == self.id) {
                    us.multiaddrs = addresses();
                }
            }
            _ => {}
        }
    }

    /// Only who can be reached by everybody serves everybody.
    fn choose_mode(&mut self) {
        if self.scope == Scope::Wan {
            let public = self.own.iter().any(|address| !is_relayed(address));
            let mode = if public { Mode::Server } else { Mode::Client };
            if self.kad.mode() != mode {
                tracing::debug!(?mode, "the public table has changed its mode");
                self.kad.set_mode(Some(mode));
            }
        }
    }
}
