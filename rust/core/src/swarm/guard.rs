//! The first behaviour of the swarm: nothing behind it hears of a connection that it denies.
//!
//! The gate in the transport is the authority; this is the second look, in the same turn in which the swarm takes the
//! connection, so that a revocation between the two is not missed. It must stay the first field of the
//! behaviour: later ones change their state before a denial and never hear of it.

use std::{
    collections::{HashMap, VecDeque},
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
        ToSwarm,
    },
};

use crate::{
    addresses::is_relayed,
    defences,
    events::Direction,
    gate::{Gate, Refusal, Verdict},
    swarm::{
        second_connections,
        watch::{GossipGone, Watch},
    },
};

/// Connections of one wallet at the same time; more than two are never of use.
const MAX_PER_PEER: usize = 4;

/// Why the guard denied a connection; `swarm/dialling.rs` and `swarm/events.rs` read it back from `ConnectionDenied`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial {
    Gate(Refusal),
    TooManyFromAddress,
    TooManyFromWallet,
    /// There is one to this peer: nothing is lost, and nobody is refused.
    Second,
    /// As [`Denial::Second`]; we asked the peer to try whether it can connect to us, and now both know.
    DialBack,
}

impl Denial {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Gate(refusal) => refusal.as_str(),
            Self::TooManyFromAddress => "too-many-from-address",
            Self::TooManyFromWallet => "too-many-from-wallet",
            Self::Second => "second-connection",
            Self::DialBack => "dial-back",
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

/// What one address holds.
#[derive(Default)]
struct Share {
    pending: usize,
    established: usize,
}

struct Held {
    id: ConnectionId,
    direction: Direction,
    relayed: bool,
}

/// Gossip has given up on a connection to this peer.
#[derive(Debug)]
pub(crate) struct Deaf(pub PeerId);

pub(crate) struct Guard {
    own: PeerId,
    gate: Gate,
    limits: AddressLimits,
    /// Inbound connections by address; only addresses that hold any are kept.
    addresses: HashMap<IpAddr, Share>,
    inbound: HashMap<ConnectionId, (IpAddr, bool)>,
    /// The established connections of each peer.
    held: HashMap<PeerId, Vec<Held>>,
    /// Who is to try whether it can connect to us.
    expected: Option<PeerId>,
    deaf: VecDeque<Deaf>,
}

impl Guard {
    pub(crate) fn new(own: PeerId, gate: Gate, limits: AddressLimits) -> Self {
        Self {
            own,
            gate,
            limits,
            addresses: HashMap::new(),
            inbound: HashMap::new(),
            held: HashMap::new(),
            expected: None,
            deaf: VecDeque::new(),
        }
    }

    /// From now on an inbound connection beside another one of this peer is its try, and denied.
    pub(crate) const fn expect(&mut self, peer: Option<PeerId>) {
        self.expected = peer;
    }

    pub(crate) fn expects(&self, peer: &PeerId) -> bool {
        self.expected.as_ref() == Some(peer)
    }

    fn judge(&self, peer: &PeerId, direction: Direction, relayed: bool) -> Result<Watch, ConnectionDenied> {
        if !defences::GUARD {
            return Ok(Watch::default());
        }
        let held = self.held.get(peer).map_or(&[][..], Vec::as_slice);
        // A direct connection is to take the place of a relayed one; which one stays is decided when all are there.
        let upgrade = !relayed && held.iter().any(|held| held.relayed);
        let directions: Vec<Direction> = held.iter().map(|held| held.direction).collect();
        let denial = match self.gate.check_now(peer) {
            Verdict::Refuse(refusal) => Denial::Gate(refusal),
            // The transport admitted it, so it was listed; that it is unknown now means that it has left the list.
            Verdict::Unknown => Denial::Gate(Refusal::NotListed),
            Verdict::Admit(_) if self.expects(peer) && direction == Direction::Inbound && !held.is_empty() => {
                Denial::DialBack
            }
            Verdict::Admit(_) if held.len() >= MAX_PER_PEER => Denial::TooManyFromWallet,
            Verdict::Admit(_) if !upgrade && second_connections::denies(&self.own, peer, &directions, direction) => {
                Denial::Second
            }
            Verdict::Admit(_) => return Ok(Watch::default()),
        };
        Err(ConnectionDenied::new(denial))
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
    type ConnectionHandler = Watch;
    type ToSwarm = Deaf;

    /// Before any cryptography: an address that holds too much is turned away.
    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        _local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let Some(address) = limited_address(remote).filter(|_| defences::LIMITS) else { return Ok(()) };
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
        match peer.filter(|_| defences::GUARD).map(|peer| self.gate.check_now(&peer)) {
            Some(Verdict::Refuse(refusal)) => Err(ConnectionDenied::new(Denial::Gate(refusal))),
            _ => Ok(Vec::new()),
        }
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        _remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        let watch = self.judge(&peer, Direction::Inbound, is_relayed(local))?;
        if let Some((address, established)) = self.inbound.get_mut(&connection) {
            *established = true;
            if let Some(held) = self.addresses.get_mut(address) {
                held.pending = held.pending.saturating_sub(1);
                held.established += 1;
            }
        }
        Ok(watch)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _connection: ConnectionId,
        peer: PeerId,
        address: &Multiaddr,
        _role: Endpoint,
        _port: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.judge(&peer, Direction::Outbound, is_relayed(address))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(new) => {
                let direction = Direction::of(new.endpoint);
                let held = Held { id: new.connection_id, direction, relayed: new.endpoint.is_relayed() };
                self.held.entry(new.peer_id).or_default().push(held);
            }
            FromSwarm::ConnectionClosed(closed) => {
                self.release(closed.connection_id);
                if let Some(held) = self.held.get_mut(&closed.peer_id) {
                    held.retain(|held| held.id != closed.connection_id);
                    if held.is_empty() {
                        self.held.remove(&closed.peer_id);
                    }
                }
            }
            FromSwarm::ListenFailure(failure) => self.release(failure.connection_id),
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        let GossipGone = event;
        self.deaf.push_back(Deaf(peer));
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        // The swarm polls its behaviours after it has told them of what a connection said.
        self.deaf.pop_front().map_or(Poll::Pending, |deaf| Poll::Ready(ToSwarm::GenerateEvent(deaf)))
    }
}

#[cfg(test)]
mod tests;
