//! Addresses of ours that others announce or that a listener has, and those at which we were reached from outside.

use std::collections::{BTreeSet, HashSet, VecDeque};

use libp2p::{Multiaddr, multiaddr::Protocol, swarm::ToSwarm};

use crate::addresses::{is_outside, is_public_address};

/// Addresses that a server is asked for in a row: IPv4 and IPv6, by QUIC and TCP, and where it sees us.
const MAX_CANDIDATES: usize = 6;

pub(super) struct Addresses {
    /// Whether what is reached may be announced: not where the operator names all addresses.
    announces: bool,
    known: HashSet<Multiaddr>,
    confirmed: HashSet<Multiaddr>,
}

impl Addresses {
    pub(super) fn new(announces: bool) -> Self {
        Self { announces, known: HashSet::new(), confirmed: HashSet::new() }
    }

    /// Whether it is new, and not one that we have announced ourselves.
    pub(super) fn know(&mut self, address: &Multiaddr) -> bool {
        !self.confirmed.contains(address) && self.known.insert(address.clone())
    }

    pub(super) fn forget(&mut self, address: &Multiaddr) -> bool {
        self.known.remove(address)
    }

    /// We were reached there from outside.
    pub(super) fn reached<E, I>(&mut self, mut address: Multiaddr) -> Vec<ToSwarm<E, I>> {
        if let Some(Protocol::P2p(_)) = address.iter().last() {
            address.pop();
        }
        if !self.announces || !is_public_address(&address) || self.known.contains(&address) {
            return Vec::new();
        }
        let same_way = |other: &Multiaddr| *other != address && kinds(other) == kinds(&address);
        let mut changes: Vec<_> =
            self.confirmed.extract_if(|other| same_way(other)).map(ToSwarm::ExternalAddrExpired).collect();
        if self.confirmed.insert(address.clone()) {
            changes.push(ToSwarm::ExternalAddrConfirmed(address));
        }
        changes
    }

    /// We are reached nowhere.
    pub(super) fn take_back<E, I>(&mut self) -> Vec<ToSwarm<E, I>> {
        self.confirmed.drain().map(ToSwarm::ExternalAddrExpired).collect()
    }

    /// A peer sees us elsewhere than we were reached: our network may have got another address.
    pub(super) fn have_moved(&self, seen: &Multiaddr) -> bool {
        let Some(host) = seen.iter().next().filter(|_| is_outside(seen)) else { return false };
        self.confirmed.iter().any(|at| kinds(at) == kinds(seen) && at.iter().next() != Some(host.clone()))
    }

    /// What a server that sees us there may reach: our ports on the host that it sees, what it sees, and what we know. QUIC
    /// comes first.
    pub(super) fn candidates(&self, seen: &Multiaddr) -> VecDeque<Multiaddr> {
        let there = self.known.iter().filter_map(|address| on_host(address, seen));
        let all: BTreeSet<_> =
            self.known.iter().cloned().chain(there).chain([seen.clone()]).filter(is_outside).collect();
        all.into_iter().rev().take(MAX_CANDIDATES).collect()
    }
}

/// The way that an address leads: all but its values.
fn kinds(address: &Multiaddr) -> Vec<&'static str> {
    address.protocol_stack().collect()
}

/// The port of a listener on the host of another address, when both are of one kind.
fn on_host(listener: &Multiaddr, other: &Multiaddr) -> Option<Multiaddr> {
    let (own, host) = (listener.iter().next()?, other.iter().next()?);
    let reachable = match (&own, &host) {
        (Protocol::Ip4(own), Protocol::Ip4(_)) => !own.is_loopback(),
        (Protocol::Ip6(own), Protocol::Ip6(_)) => !own.is_loopback(),
        _ => false,
    };
    reachable.then(|| std::iter::once(host).chain(listener.iter().skip(1)).collect())
}
