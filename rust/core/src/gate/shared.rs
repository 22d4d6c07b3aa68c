//! What the handles and the task of one gate share.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, mpsc, watch};

use super::{
    DatabaseId, GateConfig, GateEvent, Registry, counters::Counters, refresh::Timing, remembered::Remembered,
    state::State, wallets::Snapshot,
};
use crate::identity::Wallet;

/// Refusals that are remembered at most.
const REMEMBERED: usize = 65_536;

pub(super) struct Shared {
    pub(super) config: GateConfig,
    pub(super) own: Wallet,
    pub(super) registry: Arc<dyn Registry>,
    pub(super) snapshot: ArcSwap<Snapshot>,
    /// Events of the snapshot and those before it that revoke somebody.
    pub(super) revocations: AtomicU64,
    /// Ticks with each new snapshot.
    pub(super) changed: watch::Sender<()>,
    pub(super) state: Mutex<State>,
    pub(super) wake: Notify,
    pub(super) remembered: Mutex<Remembered>,
    /// Authors for whom a read was wanted, by database. Not refused: one who knocks now waits for that read.
    authors: Mutex<HashMap<DatabaseId, Remembered>>,
    pub(super) events: mpsc::Sender<GateEvent>,
    pub(super) counters: Counters,
}

impl Shared {
    pub(super) fn new(
        config: GateConfig,
        own: Wallet,
        registry: Arc<dyn Registry>,
        events: mpsc::Sender<GateEvent>,
    ) -> Self {
        Self {
            own,
            registry,
            snapshot: ArcSwap::default(),
            revocations: AtomicU64::new(0),
            changed: watch::Sender::new(()),
            state: Mutex::new(State::new(Timing::from(&config), own)),
            wake: Notify::new(),
            remembered: Mutex::new(Remembered::new(config.negative_ttl, REMEMBERED)),
            authors: Mutex::default(),
            events,
            counters: Counters::default(),
            config,
        }
    }

    /// Changes the state and shows the result to all readers.
    pub(super) fn update<R>(&self, change: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state();
        let result = change(&mut state);
        if let Some(snapshot) = state.published() {
            // First: who sees the list without a wallet sees as well that it is being revoked.
            self.revocations.store(state.revocations(), Ordering::Release);
            self.snapshot.store(Arc::new(snapshot));
            self.changed.send_replace(());
        }
        result
    }

    pub(super) fn forget(&self, wallets: &[Wallet]) {
        let mut remembered = self.remembered();
        wallets.iter().for_each(|wallet| remembered.forget(wallet));
    }

    /// Wants a read of a database whose list lacks this author, once in the time of a refusal.
    pub(super) fn ask_about_author(&self, database: DatabaseId, author: Wallet, now: Instant) {
        let mut authors = self.authors();
        let asked = authors.entry(database).or_insert_with(|| Remembered::new(self.config.negative_ttl, REMEMBERED));
        let known = asked.holds(author.as_bytes(), now) || self.remembered().holds(author.as_bytes(), now);
        // Who finds no place asks again with the next message.
        if !known && self.update(|state| state.ask_about_author(database, author, now)) {
            asked.remember(author, now);
            self.wake.notify_one();
        }
    }

    pub(super) fn forget_authors(&self, database: DatabaseId) {
        self.authors().remove(&database);
    }

    fn authors(&self) -> MutexGuard<'_, HashMap<DatabaseId, Remembered>> {
        self.authors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
