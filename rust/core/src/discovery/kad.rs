//! One Kademlia table: the connected, listed peers that serve the protocol at an address of the table's kind.
//!
//! A wrapper around the library's behaviour. What the table hears of our own addresses is filtered, and it dials nobody:
//! it says whom a query wants, and the node's one dialler decides, with its limits, its back-off and the gate.

mod behaviour;

use std::{collections::HashSet, time::Duration};

use libp2p::{
    Multiaddr, PeerId, StreamProtocol,
    core::Endpoint,
    kad::{self, Mode, QueryId, RecordKey, RoutingUpdate},
    swarm::{ConnectionId, DialError, DialFailure, FromSwarm, NetworkBehaviour},
};

use crate::{
    addresses::{Reach, Scope, is_relayed},
    discovery::{
        records::{IsListed, MAX_ADDRESSES, Records},
        rendezvous::TTL,
    },
};

const QUERY_TIMEOUT: Duration = Duration::from_secs(30);
/// A Go node answers with all providers that it knows, and all their addresses: [`behaviour::MAX_FOUND`] of them fit. A
/// peer may leave 32 messages unfinished, each of which is held until its connection ends.
const MAX_PACKET: usize = 448 << 10;

type Kad = kad::Behaviour<Records>;

#[derive(Debug)]
pub(crate) enum TableEvent {
    /// A query needs a connection. [`Table::give_up`] says that there will be none.
    Wants { peer: PeerId, addresses: Vec<Multiaddr> },
    /// A search has met these providers, and this is where they are said to be.
    Found { query: QueryId, providers: Vec<(PeerId, Vec<Multiaddr>)> },
    /// A search or an advertisement is over.
    Ended { query: QueryId, reached: bool },
    /// Somebody has entered the table.
    Entered,
}

pub(crate) struct Table {
    id: PeerId,
    scope: Scope,
    reach: Reach,
    is_listed: IsListed,
    kad: Kad,
    /// Who is in the table: to count its 256 buckets at every turn would cost more than all else.
    members: HashSet<PeerId>,
    /// Our own addresses that belong here, in the order in which they came.
    own: Vec<Multiaddr>,
    /// They have changed since somebody asked.
    moved: bool,
}

impl Table {
    pub(crate) fn new(id: PeerId, scope: Scope, reach: Reach, is_listed: IsListed) -> Self {
        let mut config = kad::Config::new(protocol(scope));
        config
            .set_kbucket_inserts(kad::BucketInserts::Manual)
            .set_max_packet_size(MAX_PACKET)
            .set_query_timeout(QUERY_TIMEOUT)
            .set_provider_record_ttl(Some(TTL))
            .set_provider_publication_interval(None)
            .set_replication_interval(None)
            .set_publication_interval(None);
        let records = Records::new(id, is_listed.clone(), reach, scope);
        let mut kad = Kad::with_config(id, records, config);
        kad.set_mode(Some(match scope {
            Scope::Lan => Mode::Server,
            Scope::Wan => Mode::Client,
        }));
        Self { id, scope, reach, is_listed, kad, members: HashSet::new(), own: Vec::new(), moved: false }
    }

    /// A peer has said who it is: it enters, is brought up to date, or leaves.
    pub(crate) fn meet(&mut self, peer: &PeerId, remote: &Multiaddr, serves: &[StreamProtocol], told: &[Multiaddr]) {
        let mut addresses: Vec<_> = told.iter().filter(|address| self.admits(address)).cloned().collect();
        let here = match self.scope {
            // A private address that came over a public one means another network than ours.
            Scope::Lan => self.admits(remote),
            Scope::Wan => addresses.iter().any(|address| !is_relayed(address)),
        };
        if !here || addresses.is_empty() || !serves.contains(&protocol(self.scope)) || !(self.is_listed)(peer) {
            return self.leave(peer);
        }
        addresses.truncate(MAX_ADDRESSES);
        let known = self.known(peer);
        for address in &addresses {
            if self.kad.add_address(peer, address.clone()) == RoutingUpdate::Success {
                self.members.insert(*peer);
            }
        }
        for old in known.iter().filter(|known| !addresses.iter().any(|address| is_at(known, address, *peer))) {
            self.drop_address(peer, old);
        }
    }

    /// The last connection to it is gone.
    pub(crate) fn leave(&mut self, peer: &PeerId) {
        self.kad.remove_peer(peer);
        self.members.remove(peer);
    }

    fn drop_address(&mut self, peer: &PeerId, address: &Multiaddr) {
        // With its last address a peer leaves.
        if self.kad.remove_address(peer, address).is_some() {
            self.members.remove(peer);
        }
    }

    /// Nothing of the peer is kept.
    pub(crate) fn forget(&mut self, peer: &PeerId) {
        self.leave(peer);
        self.kad.store_mut().forget(peer);
    }

    /// There will be no connection to a peer that a query wants.
    pub(crate) fn give_up(&mut self, peer: PeerId) {
        let failure = DialFailure {
            peer_id: Some(peer),
            error: &DialError::Aborted,
            connection_id: ConnectionId::new_unchecked(0),
        };
        self.kad.on_swarm_event(FromSwarm::DialFailure(failure));
    }

    /// Tells the nodes closest to the key that we are here. `None`: there is nobody to tell, or nothing to be told.
    pub(crate) fn advertise(&mut self, key: &RecordKey) -> Option<QueryId> {
        if self.own.is_empty() || self.is_empty() {
            return None;
        }
        self.kad.start_providing(key.clone()).ok()
    }

    pub(crate) fn stop_advertising(&mut self, key: &RecordKey) {
        self.kad.stop_providing(key);
    }

    /// Asks the nodes closest to the key who is there. `None`: there is nobody to ask.
    pub(crate) fn find(&mut self, key: &RecordKey) -> Option<QueryId> {
        if self.is_empty() { None } else { Some(self.kad.get_providers(key.clone())) }
    }

    /// Whether our own addresses have changed since the last time.
    pub(crate) fn has_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    pub(crate) fn len(&self) -> usize {
        self.members.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Provider records that are kept here, our own included.
    pub(crate) fn records(&mut self) -> usize {
        self.kad.store_mut().len()
    }

    fn admits(&self, address: &Multiaddr) -> bool {
        self.reach.scope(address) == Some(self.scope)
    }

    /// Its addresses in the table.
    fn known(&mut self, peer: &PeerId) -> Vec<Multiaddr> {
        let bucket = self.kad.kbucket(*peer);
        let entries = bucket.iter().flat_map(kad::KBucketRef::iter);
        let entry = entries.into_iter().find(|entry| entry.node.key.preimage() == peer);
        entry.map(|entry| entry.node.value.iter().cloned().collect()).unwrap_or_default()
    }

    /// Where the table, the running queries or its records say that a peer is.
    fn addresses(&mut self, peer: PeerId) -> Vec<Multiaddr> {
        // The library has no other way to ask, and this one changes nothing.
        let none = ConnectionId::new_unchecked(0);
        let asked = self.kad.handle_pending_outbound_connection(none, Some(peer), &[], Endpoint::Dialer);
        let mut addresses: Vec<_> = asked.unwrap_or_default();
        addresses.extend(self.kad.store_mut().addresses(&peer).cloned());
        let mut seen = HashSet::new();
        addresses.retain(|address| self.admits(address) && seen.insert(address.clone()));
        addresses.truncate(MAX_ADDRESSES);
        addresses
    }
}

/// docs/wire.md section 8.
const fn protocol(scope: Scope) -> StreamProtocol {
    StreamProtocol::new(match scope {
        Scope::Lan => "/ipfs/lan/kad/1.0.0",
        Scope::Wan => "/ipfs/kad/1.0.0",
    })
}

/// The table's form of an address ends in the peer.
fn is_at(known: &Multiaddr, address: &Multiaddr, peer: PeerId) -> bool {
    address.clone().with_p2p(peer).is_ok_and(|address| address == *known)
}

#[cfg(test)]
mod tests;
