//! Who provides what, as other nodes have told us: the provider records of one table.
//!
//! Only listed peers are remembered, each with a bounded part of a bounded whole, so that nobody fills it alone. There
//! are no value records: nobody in the network uses them.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    iter,
    sync::Arc,
};

use libp2p::{
    PeerId,
    kad::{
        ProviderRecord, Record, RecordKey,
        store::{Error, RecordStore, Result},
    },
};

use crate::addresses::{Reach, Scope};

/// Whether a peer may take part in discovery.
pub(crate) type IsListed = Arc<dyn Fn(&PeerId) -> bool + Send + Sync>;

/// As a Go node has it.
const MAX_KEY: usize = 80;
const MAX_RECORDS: usize = 16_384;
/// One for each database that a node carries.
const MAX_RECORDS_OF_PEER: usize = 64;
pub(crate) const MAX_ADDRESSES: usize = 8;
/// A relayed address, which is the longest useful one, has about 100 bytes.
pub(crate) const MAX_ADDRESS: usize = 160;
/// An answer carries 20 of them; some may have expired.
const SAMPLE: usize = 64;

pub(crate) struct Records {
    own: PeerId,
    is_listed: IsListed,
    reach: Reach,
    scope: Scope,
    by_key: HashMap<RecordKey, BTreeMap<PeerId, ProviderRecord>>,
    of_peer: HashMap<PeerId, HashSet<RecordKey>>,
    len: usize,
}

impl Records {
    pub(crate) fn new(own: PeerId, is_listed: IsListed, reach: Reach, scope: Scope) -> Self {
        Self { own, is_listed, reach, scope, by_key: HashMap::new(), of_peer: HashMap::new(), len: 0 }
    }

    /// The addresses that a peer gave for itself.
    pub(crate) fn addresses(&self, peer: &PeerId) -> impl Iterator<Item = &libp2p::Multiaddr> {
        let keys = self.of_peer.get(peer).into_iter().flatten();
        keys.filter_map(|key| self.by_key.get(key)?.get(peer)).flat_map(|record| &record.addresses)
    }

    pub(crate) fn forget(&mut self, peer: &PeerId) {
        for key in self.of_peer.get(peer).cloned().unwrap_or_default() {
            self.remove_provider(&key, peer);
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    fn evict_oldest(&mut self) {
        let all = self.by_key.iter().flat_map(|(key, providers)| providers.values().map(move |record| (key, record)));
        let others = all.filter(|(_, record)| record.provider != self.own);
        if let Some((key, provider)) =
            others.min_by_key(|(_, record)| record.expires).map(|(key, record)| (key.clone(), record.provider))
        {
            self.remove_provider(&key, &provider);
        }
    }
}

impl RecordStore for Records {
    type RecordsIter<'a> = iter::Empty<Cow<'a, Record>>;
    type ProvidedIter<'a> = iter::Empty<Cow<'a, ProviderRecord>>;

    fn get(&self, _: &RecordKey) -> Option<Cow<'_, Record>> {
        None
    }

    /// Kept by nobody, but not refused: libp2p-kad 0.49 never ends the stream of a value that its store refuses.
    fn put(&mut self, _: Record) -> Result<()> {
        Ok(())
    }

    fn remove(&mut self, _: &RecordKey) {}

    fn records(&self) -> Self::RecordsIter<'_> {
        iter::empty()
    }

    fn add_provider(&mut self, mut record: ProviderRecord) -> Result<()> {
        if record.provider != self.own {
            let (reach, scope) = (self.reach, self.scope);
            record.addresses.retain(|address| reach.scope(address) == Some(scope) && address.len() <= MAX_ADDRESS);
            record.addresses.truncate(MAX_ADDRESSES);
            // A Go node refuses records without an address, too: nobody could use them.
            if record.key.as_ref().len() > MAX_KEY || record.addresses.is_empty() || !(self.is_listed)(&record.provider)
            {
                return Err(Error::ValueTooLarge);
            }
        }
        let known = self.by_key.get(&record.key).is_some_and(|providers| providers.contains_key(&record.provider));
        if !known {
            let held = self.of_peer.get(&record.provider).map_or(0, HashSet::len);
            if held >= MAX_RECORDS_OF_PEER && record.provider != self.own {
                return Err(Error::MaxProvidedKeys);
            }
            if self.len() >= MAX_RECORDS {
                self.evict_oldest();
            }
            self.of_peer.entry(record.provider).or_default().insert(record.key.clone());
            self.len += 1;
        }
        self.by_key.entry(record.key.clone()).or_default().insert(record.provider, record);
        Ok(())
    }

    /// Some, in random order, so that everybody is found at times.
    fn providers(&self, key: &RecordKey) -> Vec<ProviderRecord> {
        let mut providers: Vec<_> = self.by_key.get(key).into_iter().flat_map(BTreeMap::values).collect();
        let order = RandomState::new();
        providers.sort_by_cached_key(|record| order.hash_one(record.provider));
        providers.into_iter().take(SAMPLE).cloned().collect()
    }

    /// What this node provides is announced anew by `rendezvous.rs`, and not by a job of Kademlia's.
    fn provided(&self) -> Self::ProvidedIter<'_> {
        iter::empty()
    }

    fn remove_provider(&mut self, key: &RecordKey, peer: &PeerId) {
        let Some(providers) = self.by_key.get_mut(key) else { return };
        if providers.remove(peer).is_none() {
            return;
        }
        if providers.is_empty() {
            self.by_key.remove(key);
        }
        self.len -= 1;
        if let Some(keys) = self.of_peer.get_mut(peer) {
            keys.remove(key);
            if keys.is_empty() {
                self.of_peer.remove(peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        net::{IpAddr, Ipv4Addr},
        time::{Duration, Instant},
    };

    use super::*;

    fn store(own: PeerId) -> Records {
        let reach = Reach::of(&[IpAddr::V4(Ipv4Addr::UNSPECIFIED)]);
        Records::new(own, Arc::new(|_| true), reach, Scope::Lan)
    }

    fn record(key: usize, provider: PeerId, expires_in: u64) -> ProviderRecord {
        let addresses = vec!["/ip4/10.0.0.1/tcp/1".parse().expect("a multiaddr")];
        let mut record = ProviderRecord::new(RecordKey::new(&key.to_be_bytes()), provider, addresses);
        record.expires = Some(Instant::now() + Duration::from_secs(expires_in));
        record
    }

    #[test]
    fn one_peer_cannot_fill_the_store() {
        let (mut store, squatter, other) = (store(PeerId::random()), PeerId::random(), PeerId::random());
        let taken = (0..1_000).filter(|key| store.add_provider(record(*key, squatter, 60)).is_ok()).count();
        assert_eq!(taken, MAX_RECORDS_OF_PEER);
        assert!(store.add_provider(record(0, squatter, 60)).is_ok(), "to renew a record is no new one");
        assert!(store.add_provider(record(5_000, other, 60)).is_ok());
        assert_eq!(store.len(), MAX_RECORDS_OF_PEER + 1);
    }

    #[test]
    fn a_full_store_drops_what_would_expire_first_but_never_our_own() {
        let own = PeerId::random();
        let mut store = store(own);
        store.add_provider(ProviderRecord::new(RecordKey::new(b"own"), own, Vec::new())).expect("our own");
        let first = PeerId::random();
        store.add_provider(record(0, first, 1)).expect("room");
        while store.len() < MAX_RECORDS {
            store.add_provider(record(1, PeerId::random(), 60)).expect("room");
        }
        let newcomer = PeerId::random();
        store.add_provider(record(1, newcomer, 60)).expect("a newcomer is taken");
        assert_eq!(store.len(), MAX_RECORDS);
        assert_eq!(store.addresses(&first).count(), 0);
        assert_eq!(store.addresses(&newcomer).count(), 1);
        assert_eq!(store.providers(&RecordKey::new(b"own")).len(), 1);
    }

    #[test]
    fn what_has_no_address_of_the_right_kind_or_no_listed_provider_is_refused() {
        let own = PeerId::random();
        let mut open = store(own);
        let mut wrong = record(0, PeerId::random(), 60);
        wrong.addresses = vec![
            "/ip4/127.0.0.1/tcp/1".parse().expect("a multiaddr"),
            "/ip4/8.8.8.8/tcp/1".parse().expect("a multiaddr"),
        ];
        assert!(open.add_provider(wrong).is_err());
        let mut long = record(0, PeerId::random(), 60);
        long.key = RecordKey::new(&[0; MAX_KEY + 1]);
        assert!(open.add_provider(long).is_err());
        let mut closed = Records { is_listed: Arc::new(|_| false), ..store(own) };
        assert!(closed.add_provider(record(0, PeerId::random(), 60)).is_err());
        assert_eq!(open.len() + closed.len(), 0);
    }

    #[test]
    fn answers_change_so_that_everybody_is_found_at_times() {
        let mut store = store(PeerId::random());
        for _ in 0..100 {
            store.add_provider(record(1, PeerId::random(), 60)).expect("room");
        }
        let first = |store: &Records| store.providers(&RecordKey::new(&1_usize.to_be_bytes()))[0].provider;
        let seen: std::collections::HashSet<PeerId> = (0..50).map(|_| first(&store)).collect();
        assert!(seen.len() > 10);
    }

    #[test]
    fn a_forgotten_peer_leaves_nothing() {
        let (mut store, peer) = (store(PeerId::random()), PeerId::random());
        for key in 0..5 {
            store.add_provider(record(key, peer, 60)).expect("room");
            store.add_provider(record(key, PeerId::random(), 60)).expect("room");
        }
        store.forget(&peer);
        assert_eq!(store.len(), 5);
        assert_eq!(store.addresses(&peer).count(), 0);
        assert!(store.add_provider(record(1, peer, 60)).is_ok(), "and may come back");
    }
}
