//! What the gate keeps of one attached database besides its list in force.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use super::{Entry, Listed, entries::Parsed, refresh::Refresh, wallets::WalletSet};
use crate::identity::Wallet;

#[derive(Default)]
pub(super) struct Database {
    pub(super) name: Arc<str>,
    /// `None`: a fixed list, which nobody can be asked for.
    pub(super) refresh: Option<Refresh>,
    /// The latest list given by code. Only that one counts, so a newer one takes its place.
    pub(super) pushed: Option<Listed>,
    /// Who waits to be asked about, in order; `None` where the registry gives a list.
    pub(super) waiting: Option<VecDeque<Wallet>>,
    /// A list given by code is being checked. No read starts meanwhile, so that its answer is newer than the push.
    pub(super) checking: bool,
    /// Marks of the bad entries of the last list, which have been warned of.
    pub(super) warned: Arc<HashSet<u64>>,
    /// The last list in force of which every key was checked.
    pub(super) known: Arc<WalletSet>,
    /// The last list and its entries, when its curve check has been left for later and has not begun.
    pub(super) unfinished: Option<(Arc<WalletSet>, Vec<Entry>)>,
    /// The list whose curve check has begun.
    pub(super) finishing: Option<Arc<WalletSet>>,
    pub(super) error: Option<String>,
}

impl Database {
    /// Keeps what the first check of a list has found.
    pub(super) fn checked(&mut self, Parsed { wallets: list, mut dropped, unfinished, .. }: Parsed) -> Arc<WalletSet> {
        if !self.warned.is_empty() {
            // The curve check of the last list may have found them while this one was read.
            let marks = unfinished.iter().flatten().map(Entry::mark);
            dropped.extend(marks.filter(|mark| self.warned.contains(mark)));
        }
        self.warned = Arc::new(dropped);
        self.unfinished = unfinished.map(|entries| (Arc::clone(&list), entries));
        list
    }

    /// Nothing is left to check in the list.
    pub(super) fn is_finished(&self, list: &Arc<WalletSet>) -> bool {
        let waiting = self.unfinished.iter().map(|(list, _)| list);
        !waiting.chain(&self.finishing).any(|other| Arc::ptr_eq(other, list))
    }
}
