//! Each rule of the refresh on a clock of numbers: no sleep, no registry.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::config;
use crate::gate::{
    refresh::{Action, Event, Refresh, Timing},
    testing::wallet,
    wallets::WalletSet,
};

/// The refresh interval in seconds.
pub(super) const INTERVAL: f64 = 30.0;

/// The machine with a clock in seconds.
pub(super) struct Bench {
    pub(super) machine: Refresh,
    pub(super) in_force: Option<Arc<WalletSet>>,
    start: Instant,
    reading: bool,
}

#[derive(Debug, PartialEq)]
pub(super) enum Seen {
    Read,
    Installed(usize),
    Held(usize),
    Answered(u64),
    Failed(u64, u32, f64),
    Stale(f64),
}

pub(super) fn list(wallets: std::ops::Range<u64>) -> Arc<WalletSet> {
    Arc::new(wallets.map(wallet).collect())
}

/// A read straight from the source.
pub(super) fn answered(list: Arc<WalletSet>) -> Event {
    Event::Answered { list, age: Duration::ZERO, certain: false }
}

pub(super) fn pushed(list: Arc<WalletSet>) -> Event {
    Event::Pushed { list, age: Duration::ZERO }
}

impl Bench {
    pub(super) fn new() -> Self {
        let start = Instant::now();
        Self { machine: Refresh::new(Timing::from(&config()), start), start, reading: false, in_force: None }
    }

    /// A machine that has read `0..n` at second 0.
    pub(super) fn with(n: u64) -> Self {
        let mut bench = Self::new();
        assert_eq!(bench.at(0.0, Event::Timeout), [Seen::Read]);
        let first = list(0..n);
        let installed = Seen::Installed(first.len());
        assert_eq!(bench.at(0.0, answered(first)), [installed, Seen::Answered(1)]);
        bench
    }

    pub(super) fn at(&mut self, second: f64, event: Event) -> Vec<Seen> {
        let now = self.start + Duration::from_secs_f64(second);
        if matches!(event, Event::Answered { .. } | Event::Failed(_)) {
            self.reading = false;
        }
        self.machine.handle(event, now);
        let seen = std::iter::from_fn(|| self.machine.poll()).map(|action| match action {
            Action::Read => {
                assert!(!std::mem::replace(&mut self.reading, true), "a second read before the first has ended");
                Seen::Read
            }
            Action::Install { list, taken, fresh_until } => {
                assert_eq!(fresh_until, taken + Duration::from_secs(900));
                let wallets = list.len();
                self.in_force = Some(list);
                Seen::Installed(wallets)
            }
            Action::Held { wallets } => Seen::Held(wallets),
            Action::Answered { read } => Seen::Answered(read),
            Action::Failed { read, failures, retry_in, .. } => Seen::Failed(read, failures, retry_in.as_secs_f64()),
            Action::Stale { age } => Seen::Stale(age.as_secs_f64()),
        });
        seen.collect()
    }

    /// The second of the next timeout.
    pub(super) fn due(&self) -> Option<f64> {
        self.machine.poll_timeout().map(|at| (at - self.start).as_secs_f64())
    }

    /// Lets the next read start when it is due, and answers it at once.
    pub(super) fn read(&mut self, due: f64, event: Event) -> Vec<Seen> {
        assert_eq!(self.due(), Some(due));
        assert_eq!(self.at(due, Event::Timeout), [Seen::Read]);
        self.at(due, event)
    }
}

pub(super) fn fail() -> Event {
    Event::Failed("unreachable".into())
}
