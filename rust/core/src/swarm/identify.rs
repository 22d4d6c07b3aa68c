//! Identify, which tells others only where they may reach us, and not everything.
//!
//! A machine with containers has a link-local address for each of them, and rust-libp2p refuses to read a message above
//! 4,096 bytes: peers would never learn the name of a node that told them all, and close their connections to it.

use std::{
    collections::HashSet,
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    identify,
    identity::PublicKey,
    multiaddr::Protocol,
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
        ToSwarm,
    },
};

use crate::{addresses::Reach, swarm::peers::AGENT};

/// Over TCP, and as many over QUIC: with 25 bytes each, or 100 of which there are a few, if it is one of a relay. Beside them
/// there is room for the 20 external addresses that the library tells.
const MAX_LISTEN: usize = 24;

pub(crate) struct Identify {
    inner: identify::Behaviour,
    reach: Reach,
    /// Listen addresses that are told. The first come from the first interfaces, those of containers later.
    told: HashSet<Multiaddr>,
}

impl Identify {
    /// `announces`: the operator named the addresses; those that are detected stay ours.
    pub(crate) fn new(key: PublicKey, announces: bool, reach: Reach) -> Self {
        let config = identify::Config::new("ipfs/0.1.0".to_owned(), key)
            .with_agent_version(AGENT.to_owned())
            .with_push_listen_addr_updates(true)
            .with_hide_listen_addrs(announces)
            // Our own address book decides what is dialled: identify's cache offers a peer's loopback addresses.
            .with_cache_size(0);
        Self { inner: identify::Behaviour::new(config), reach, told: HashSet::new() }
    }
}

impl NetworkBehaviour for Identify {
    type ConnectionHandler = THandler<identify::Behaviour>;
    type ToSwarm = identify::Event;

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
            FromSwarm::NewListenAddr(new) => {
                let of_kind = self.told.iter().filter(|told| is_tcp(told) == is_tcp(new.addr)).count();
                if of_kind >= MAX_LISTEN || !self.reach.admits(new.addr) {
                    return;
                }
                self.told.insert(new.addr.clone());
            }
            FromSwarm::ExpiredListenAddr(old) if !self.told.remove(old.addr) => return,
            _ => {}
        }
        self.inner.on_swarm_event(event);
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, event: THandlerOutEvent<Self>) {
        self.inner.on_connection_handler_event(peer, connection, event);
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<identify::Event, THandlerInEvent<Self>>> {
        self.inner.poll(cx)
    }
}

fn is_tcp(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Protocol::Tcp(_)))
}
