//! What the handles and the task of one gate share.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, mpsc, watch};

use super::{
    GateConfig, GateEvent, Registry, counters::Counters, refresh::Timing, remembered::Remembered, state::State,
    wallets::Snapshot,
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
    /// Authors for whom a read was wanted. Not refused: one who knocks now waits for that read.
    authors: Mutex<Remembered>,
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
            authors: Mutex::new(Remembered::new(config.negative_ttl, REMEMBERED)),
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

    /// Whether a read is to be wanted for this author, whom a list lacks. Then it is not for the time of a refusal.
    pub(super) fn is_worth_a_read(&self, author: &Wallet, now: Instant) -> bool {
        if self.remembered().holds(author.as_bytes(), now) {
            return false;
        }
        let mut authors = self.authors.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = !authors.holds(author.as_bytes(), now);
        if is_new {
            authors.remember(*author, now);
        }
        is_new
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
