//! The lists in force: one immutable snapshot for all readers, swapped as a whole.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Instant,
};

use super::DatabaseId;
use crate::identity::Wallet;

pub(super) type WalletSet = HashSet<Wallet>;

/// Lets a set be asked by the raw key of a peer id: whoever is listed needs no check of the curve.
impl Borrow<[u8; 32]> for Wallet {
    fn borrow(&self) -> &[u8; 32] {
        self.as_bytes()
    }
}

/// The list of one database, and how far its reads have come.
#[derive(Clone, Debug)]
pub(super) struct Listing {
    /// `None` until the first list takes effect.
    pub(super) wallets: Option<Arc<WalletSet>>,
    /// Behind it is a registry that can be asked again.
    pub(super) asked: bool,
    /// When the list was read, or pushed; `None` for a fixed list, which has no age.
    pub(super) taken: Option<Instant>,
    /// From then on it admits nobody new; `None` for a fixed list.
    pub(super) fresh_until: Option<Instant>,
    /// The number of the last read that ended, well or not. The first installation of a fixed list counts as read 1.
    pub(super) ended: u64,
    /// The number of the last read that ended well.
    pub(super) answered: u64,
}

impl Listing {
    pub(super) const fn pending(asked: bool) -> Self {
        Self { wallets: None, asked, taken: None, fresh_until: None, ended: 0, answered: 0 }
    }

    pub(super) fn get(&self, key: &[u8; 32]) -> Option<Wallet> {
        self.wallets.as_ref()?.get(key).copied()
    }

    pub(super) fn is_stale(&self, now: Instant) -> bool {
        self.fresh_until.is_some_and(|until| now >= until)
    }
}

/// What every reader sees. The gate admits the union of the lists; a union of its own is not kept, so that a swap
/// costs no more than the difference.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    pub(super) listings: BTreeMap<DatabaseId, Listing>,
    pub(super) closed: bool,
}

/// How a new list of one database differs from the last, and what that does to the union.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) added: usize,
    pub(super) removed: usize,
    pub(super) joined: Vec<Wallet>,
    pub(super) left: Vec<Wallet>,
}

impl Snapshot {
    pub(super) fn lists(&self, wallet: &Wallet) -> bool {
        self.listings.values().any(|listing| listing.get(wallet.as_bytes()).is_some())
    }

    /// The union, sorted.
    pub(super) fn wallets(&self) -> Vec<Wallet> {
        let lists = self.listings.values().filter_map(|listing| listing.wallets.as_deref());
        let mut wallets: Vec<_> = lists.flatten().copied().collect();
        wallets.sort_unstable();
        wallets.dedup();
        wallets
    }

    /// What changes when `list` takes the place of the database's last one.
    pub(super) fn difference(&self, database: DatabaseId, list: &Arc<WalletSet>) -> Difference {
        let empty = Arc::default();
        let last = self.listings.get(&database).and_then(|listing| listing.wallets.as_ref()).unwrap_or(&empty);
        if Arc::ptr_eq(last, list) {
            return Difference::default();
        }
        let elsewhere = |wallet: &Wallet| {
            let mut others = self.listings.iter().filter(|(id, _)| **id != database);
            others.any(|(_, listing)| listing.get(wallet.as_bytes()).is_some())
        };
        let (mut joined, mut left): (Vec<_>, Vec<_>) =
            (list.difference(last).copied().collect(), last.difference(list).copied().collect());
        let (added, removed) = (joined.len(), left.len());
        joined.retain(|wallet| !elsewhere(wallet));
        left.retain(|wallet| !elsewhere(wallet));
        Difference { added, removed, joined, left }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use super::*;
    use crate::gate::testing::wallet;

    fn set(wallets: &[u64]) -> Arc<WalletSet> {
        Arc::new(wallets.iter().map(|&n| wallet(n)).collect())
    }

    fn snapshot(lists: &[&[u64]]) -> Snapshot {
        let listing = |list: &&[u64]| Listing { wallets: Some(set(list)), ..Listing::pending(true) };
        Snapshot { listings: (0..).zip(lists.iter().map(listing)).collect(), closed: false }
    }

    #[test]
    fn a_wallet_hashes_as_its_bytes() {
        let hasher = RandomState::new();
        assert_eq!(hasher.hash_one(wallet(1)), hasher.hash_one(wallet(1).as_bytes()));
    }

    #[test]
    fn the_union_has_every_wallet_once() {
        let mut expected = vec![wallet(1), wallet(2), wallet(3)];
        expected.sort_unstable();
        assert_eq!(snapshot(&[&[1, 2], &[2, 3]]).wallets(), expected);
    }

    #[test]
    fn only_what_no_other_list_has_joins_or_leaves_the_union() {
        let snapshot = snapshot(&[&[1, 2, 3], &[3, 4]]);
        let expected = Difference { added: 2, removed: 2, joined: vec![wallet(5)], left: vec![wallet(2)] };
        assert_eq!(snapshot.difference(0, &set(&[1, 4, 5])), expected);
    }

    #[test]
    fn the_first_list_joins_as_a_whole() {
        let mut snapshot = snapshot(&[]);
        snapshot.listings.insert(0, Listing::pending(true));
        let difference = snapshot.difference(0, &set(&[1, 2]));
        assert_eq!((difference.added, difference.joined.len(), difference.left.len()), (2, 2, 0));
    }

    #[test]
    fn the_same_list_changes_nothing() {
        let snapshot = snapshot(&[&[1, 2]]);
        assert_eq!(snapshot.difference(0, &set(&[2, 1])), Difference::default());
    }
}
