//! Addresses of ours that others announce or that a listener has, those at which we were reached from outside, and where
//! peers see us. What one peer alone says of where we are has no weight beside the others.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    hash::Hash,
    net::IpAddr,
};

use libp2p::{
    Multiaddr, PeerId,
    multiaddr::Protocol,
    swarm::{ConnectionId, ToSwarm},
};

use crate::addresses::{is_outside, is_public_address, is_relayed, without_peer};

/// Addresses that a server is asked for in a row: IPv4 and IPv6, by QUIC and TCP, and where most see us.
const MAX_CANDIDATES: usize = 6;

pub(super) struct Addresses {
    /// Whether what is reached may be announced: not where the operator names all addresses.
    announces: bool,
    known: HashSet<Multiaddr>,
    confirmed: HashSet<Multiaddr>,
    /// Where peers that are met over the Internet see us.
    seen: HashMap<ConnectionId, (PeerId, Multiaddr)>,
    /// The hosts where most saw us when that was last looked at, by IPv4 and IPv6.
    hosts: [Option<IpAddr>; 2],
}

impl Addresses {
    pub(super) fn new(announces: bool) -> Self {
        let (known, confirmed, seen) = (HashSet::new(), HashSet::new(), HashMap::new());
        Self { announces, known, confirmed, seen, hosts: [None; 2] }
    }

    /// Whether it is new, and not one that we have announced ourselves. Nobody is asked for a way through a relay: that one
    /// comes or goes is no news.
    pub(super) fn know(&mut self, address: &Multiaddr) -> bool {
        !is_relayed(address) && !self.confirmed.contains(address) && self.known.insert(address.clone())
    }

    pub(super) fn forget(&mut self, address: &Multiaddr) -> bool {
        self.known.remove(address)
    }

    /// We were reached there from outside. Another address of its kind gives way, and so do all on another host.
    pub(super) fn reached<E, I>(&mut self, address: &Multiaddr) -> Vec<ToSwarm<E, I>> {
        let address = without_peer(address);
        if !self.announces || !is_public_address(&address) || self.known.contains(&address) {
            return Vec::new();
        }
        let at = host(&address);
        let gives_way = |other: &Multiaddr| {
            *other != address && (kinds(other) == kinds(&address) || at.is_some_and(|at| is_elsewhere(other, at)))
        };
        let mut changes: Vec<_> =
            self.confirmed.extract_if(|other| gives_way(other)).map(ToSwarm::ExternalAddrExpired).collect();
        if self.confirmed.insert(address.clone()) {
            changes.push(ToSwarm::ExternalAddrConfirmed(address));
        }
        changes
    }

    /// We are reached nowhere.
    pub(super) fn take_back<E, I>(&mut self) -> Vec<ToSwarm<E, I>> {
        self.confirmed.drain().map(ToSwarm::ExternalAddrExpired).collect()
    }

    /// A peer of the Internet sees us there. Whether most see us now elsewhere than we were reached: our network may have
    /// got another address.
    pub(super) fn see(&mut self, connection: ConnectionId, peer: PeerId, remote: &Multiaddr, seen: &Multiaddr) -> bool {
        // Who is met by IPv4 knows nothing of us by IPv6.
        let fits = |at: IpAddr| host(remote).is_none_or(|remote| remote.is_ipv4() == at.is_ipv4());
        let new = (is_outside(seen) && host(seen).is_some_and(fits)).then(|| (peer, seen.clone()));
        if self.seen.get(&connection) == new.as_ref() {
            return false;
        }
        if let Some(new) = new {
            self.seen.insert(connection, new);
        } else {
            self.seen.remove(&connection);
        }
        self.have_moved()
    }

    /// A connection has ended. The same.
    pub(super) fn lose(&mut self, connection: ConnectionId) -> bool {
        self.seen.remove(&connection).is_some() && self.have_moved()
    }

    /// Once for each host.
    fn have_moved(&mut self) -> bool {
        let hosts = [true, false].map(|v4| self.host_seen(v4));
        let before = std::mem::replace(&mut self.hosts, hosts);
        hosts.into_iter().zip(before).any(|(now, before)| {
            now != before && now.is_some_and(|now| self.confirmed.iter().any(|at| is_elsewhere(at, now)))
        })
    }

    /// Whether a server may have reached us there: where we know that we are, at a port of ours on the host where most see
    /// us, or just where most see us.
    pub(super) fn is_ours(&self, address: &Multiaddr) -> bool {
        is_outside(address) && (self.known.contains(address) || self.is_seen(address))
    }

    fn is_seen(&self, address: &Multiaddr) -> bool {
        let Some(at) = host(address).filter(|at| self.host_seen(at.is_ipv4()) == Some(*at)) else { return false };
        self.known.iter().any(|known| on_host(known, address).as_ref() == Some(address))
            || self.port_seen(at).as_ref() == Some(address)
    }

    /// What a server that sees us there may reach: our ports on the host where most see us, just where most see us, and what
    /// we know. QUIC comes first.
    pub(super) fn candidates(&self, seen: &Multiaddr) -> VecDeque<Multiaddr> {
        let at = host(seen).and_then(|at| self.host_seen(at.is_ipv4()));
        let there = at.map(Multiaddr::from);
        let ports = there.iter().flat_map(|there| self.known.iter().filter_map(move |known| on_host(known, there)));
        let port = at.and_then(|at| self.port_seen(at));
        let all: BTreeSet<_> = self.known.iter().cloned().chain(ports).chain(port).filter(is_outside).collect();
        all.into_iter().rev().take(MAX_CANDIDATES).collect()
    }

    fn host_seen(&self, v4: bool) -> Option<IpAddr> {
        self.most(|seen| host(seen).filter(|at| at.is_ipv4() == v4))
    }

    /// The port that most see on a host: a router may give us another than ours, but always the same. The only peer by TCP
    /// has no say beside others by QUIC.
    fn port_seen(&self, at: IpAddr) -> Option<Multiaddr> {
        let seen = self.most(|seen| (host(seen) == Some(at)).then(|| seen.clone()))?;
        self.known.iter().any(|known| kinds(known) == kinds(&seen)).then_some(seen)
    }

    /// The place where more peers see us than at any other; what we know counts as one that sees us.
    fn most<P: Eq + Hash>(&self, place: impl Fn(&Multiaddr) -> Option<P>) -> Option<P> {
        let told = self.seen.values().map(|(peer, seen)| (Some(peer), seen));
        let own = self.known.iter().filter(|known| is_outside(known)).map(|known| (None, known));
        let mut places: HashMap<P, HashSet<Option<&PeerId>>> = HashMap::new();
        for (who, seen) in told.chain(own) {
            if let Some(at) = place(seen) {
                places.entry(at).or_default().insert(who);
            }
        }
        let most = places.values().map(HashSet::len).max()?;
        let mut first = places.into_iter().filter(|(_, who)| who.len() == most).map(|(at, _)| at);
        first.next().filter(|_| first.next().is_none())
    }
}

/// The way that an address leads: all but its values.
fn kinds(address: &Multiaddr) -> Vec<&'static str> {
    address.protocol_stack().collect()
}

fn host(address: &Multiaddr) -> Option<IpAddr> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.into()),
        Protocol::Ip6(ip) => Some(ip.into()),
        _ => None,
    }
}

/// On another host of the same kind.
fn is_elsewhere(address: &Multiaddr, at: IpAddr) -> bool {
    host(address).is_some_and(|host| host != at && host.is_ipv4() == at.is_ipv4())
}

/// The port of a listener on the host of another address, when both are of one kind.
fn on_host(listener: &Multiaddr, other: &Multiaddr) -> Option<Multiaddr> {
    let (own, host) = (listener.iter().next()?, other.iter().next()?);
    let reachable = match (&own, &host) {
        (Protocol::Ip4(own), Protocol::Ip4(_)) => !own.is_loopback(),
        // Every machine has a link-local one, also where there is no IPv6.
        (Protocol::Ip6(own), Protocol::Ip6(_)) => !own.is_loopback() && !own.is_unicast_link_local(),
        _ => false,
    };
    reachable.then(|| std::iter::once(host).chain(listener.iter().skip(1)).collect())
}
