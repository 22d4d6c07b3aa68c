//! The first behaviour of the swarm: nothing behind it hears of a connection that it denies.
//!
//! The gate in the transport is the authority; this is the second look, in the same turn in which the swarm takes the
//! connection, so that a revocation between the two is not missed. It must stay the first field of the
//! behaviour: later ones change their state before a denial and never hear of it.

use std::{
    collections::HashMap,
    convert::Infallible,
    fmt,
    net::{IpAddr, Ipv6Addr},
    task::{Context, Poll},
};

use libp2p::{
    Multiaddr, PeerId,
    core::{Endpoint, transport::PortUse},
    multiaddr::Protocol,
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
        ToSwarm, dummy,
    },
};

use crate::gate::{Gate, Refusal, Verdict};

/// Why the guard denied a connection; `swarm/task.rs` reads it back from `ConnectionDenied`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    Gate(Refusal),
    TooManyFromAddress,
}

impl Denial {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Gate(refusal) => refusal.as_str(),
            Self::TooManyFromAddress => "too-many-from-address",
        }
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::error::Error for Denial {}

/// How many inbound connections one address may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AddressLimits {
    pub established: usize,
    pub pending: usize,
}

#[derive(Default)]
struct Held {
    pending: usize,
    established: usize,
}

pub(crate) struct Guard {
    gate: Gate,
    limits: AddressLimits,
    /// Inbound connections by address; only addresses that hold any are kept.
    addresses: HashMap<IpAddr, Held>,
    inbound: HashMap<ConnectionId, (IpAddr, bool)>,
}

impl Guard {
    pub(crate) fn new(gate: Gate, limits: AddressLimits) -> Self {
        Self { gate, limits, addresses: HashMap::new(), inbound: HashMap::new() }
    }

    fn judge(&self, peer: &PeerId) -> Result<(), ConnectionDenied> {
        match self.gate.check_now(peer) {
            Verdict::Admit(_) => Ok(()),
            Verdict::Refuse(refusal) => Err(ConnectionDenied::new(Denial::Gate(refusal))),
            // The transport admitted it, so it was listed; that it is unknown now means that it has left the list.
            Verdict::Unknown => Err(ConnectionDenied::new(Denial::Gate(Refusal::NotListed))),
        }
    }

    fn release(&mut self, connection: ConnectionId) {
        let Some((address, established)) = self.inbound.remove(&connection) else { return };
        if let Some(held) = self.addresses.get_mut(&address) {
            let count = if established { &mut held.established } else { &mut held.pending };
            *count = count.saturating_sub(1);
            if held.pending == 0 && held.established == 0 {
                self.addresses.remove(&address);
            }
        }
    }
}

/// The unit that shares a limit: one IPv4 address, or one IPv6 /64, which a single customer usually owns whole.
fn limited_address(address: &Multiaddr) -> Option<IpAddr> {
    address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(match ip.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        }),
        _ => None,
    })
}

impl NetworkBehaviour for Guard {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    /// Before any cryptography: an address that holds too much is turned away.
    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let Some(address) = limited_address(remote) else { return Ok(()) };
        let held = self.addresses.entry(address).or_default();
        if held.pending >= self.limits.pending || held.established >= self.limits.established {
            return Err(ConnectionDenied::new(Denial::TooManyFromAddress));
        }
        held.pending += 1;
        self.inbound.insert(connection, (address, false));
        Ok(())
    }

    fn handle_pending_outbound_connection(
        &mut self,
        _connection: ConnectionId,
        peer: Option<PeerId>,
        _addresses: &[Multiaddr],
        _role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        match peer.map(|peer| self.gate.check_now(&peer)) {
            Some(Verdict::Refuse(refusal)) => Err(ConnectionDenied::new(Denial::Gate(refusal))),
            _ => Ok(Vec::new()),
        }
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        _local: &Multiaddr,
        _remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.judge(&peer)?;
        if let Some((address, established)) = self.inbound.get_mut(&connection) {
            *established = true;
            if let Some(held) = self.addresses.get_mut(address) {
                held.pending = held.pending.saturating_sub(1);
                held.established += 1;
            }
        }
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _connection: ConnectionId,
        peer: PeerId,
        _address: &Multiaddr,
        _role: Endpoint,
        _port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.judge(&peer)?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionClosed(closed) => self.release(closed.connection_id),
            FromSwarm::ListenFailure(failure) => self.release(failure.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}
