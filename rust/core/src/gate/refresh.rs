//! When the registry of one database is read, and what its answer is worth. A pure state machine: whoever drives it
//! feeds it events with the time, carries out its actions, and comes back at `poll_timeout`.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{GateConfig, wallets::WalletSet};

/// The second read of a list that looks wrong starts so long after the first.
const CONFIRM_AFTER: Duration = Duration::from_secs(2);

/// A pushed list that is older than the one in force by so much, or so old itself, was kept: it is no news of the source.
const MUCH_OLDER: Duration = Duration::from_secs(1);

/// The first pause after a failure; each further one doubles it, up to the refresh interval.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// A list of fewer wallets may lose any number of them at once.
const GUARDED_LENGTH: usize = 4;

/// Stands for "never" where adding to a time must not overflow.
pub(super) const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    refresh_interval: Duration,
    min_interval: Duration,
    max_stale: Duration,
}

impl From<&GateConfig> for Timing {
    fn from(config: &GateConfig) -> Self {
        Self {
            refresh_interval: config.refresh_interval.min(LONGEST),
            min_interval: config.min_interval.min(LONGEST),
            max_stale: config.max_stale.min(LONGEST),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Event {
    /// `poll_timeout` has come.
    Timeout,
    /// A peer whose wallet no list has: a read is wanted, as soon as `min_interval` and earlier failures allow.
    Miss,
    /// Somebody wants a read now.
    Demand,
    /// The read in progress gave this list, which was so old then. `certain`: it needs no second read to be believed.
    Answered { list: Arc<WalletSet>, age: Duration, certain: bool },
    /// The read in progress failed.
    Failed(String),
    /// A list that nobody asked for, and how old it is. It takes the place of the read in progress.
    Pushed { list: Arc<WalletSet>, age: Duration },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Call the registry, then come back with `Answered` or `Failed`.
    Read,
    /// Put this list, read at `taken`, in force. It admits until `fresh_until`.
    Install { list: Arc<WalletSet>, taken: Instant, fresh_until: Instant },
    /// This list waits for a second equal one; the last stays in force.
    Held { wallets: usize },
    /// Read number `read` is judged; what it brought is in force, unless it is held.
    Answered { read: u64 },
    /// Read number `read` failed.
    Failed { read: u64, error: String, failures: u32, retry_in: Duration },
    /// The list in force has become too old to admit anybody new.
    Stale { age: Duration },
}

/// A list that lost too much at once.
#[derive(Debug)]
struct Suspect {
    list: Arc<WalletSet>,
    /// Only a read that starts then, or later, can confirm it.
    confirm_at: Instant,
}

#[derive(Debug)]
struct Reading {
    started: Instant,
    /// A push has come since: the answer is older than the list in force.
    overtaken: bool,
}

#[derive(Debug)]
pub(super) struct Refresh {
    timing: Timing,
    in_force: Option<Arc<WalletSet>>,
    /// When the source had it.
    taken: Option<Instant>,
    suspect: Option<Suspect>,
    /// When the list in force becomes stale; `None` without a list, and once that is reported.
    stale_at: Option<Instant>,
    failures: u32,
    reading: Option<Reading>,
    /// Reads started so far; the last one's number.
    reads: u64,
    last_start: Option<Instant>,
    /// The next read that nobody asked for: the periodic one, a retry, or a confirmation.
    scheduled: Instant,
    missed: Option<Instant>,
    demanded: Option<Instant>,
    actions: VecDeque<Action>,
}

impl Refresh {
    /// The first read is due at once.
    pub(super) fn new(timing: Timing, now: Instant) -> Self {
        Self {
            timing,
            in_force: None,
            suspect: None,
            stale_at: None,
            failures: 0,
            reading: None,
            reads: 0,
            last_start: None,
            scheduled: now,
            missed: None,
            demanded: None,
            taken: None,
            actions: VecDeque::new(),
        }
    }

    pub(super) fn handle(&mut self, event: Event, now: Instant) {
        match event {
            Event::Timeout => self.timeout(now),
            Event::Miss => _ = self.missed.get_or_insert(now),
            Event::Demand => _ = self.demanded.get_or_insert(now),
            Event::Answered { list, age, certain } => self.answered(list, age, certain, now),
            Event::Failed(error) => self.failed(error, now),
            Event::Pushed { list, age } => {
                if let Some(reading) = &mut self.reading {
                    reading.overtaken = true;
                }
                // Such as one that was kept while the registry was away: a read that ends beside it has newer wallets.
                let overtakes_newer = match self.taken {
                    Some(taken) => now.checked_sub(age).is_none_or(|pushed| pushed + MUCH_OLDER < taken),
                    None => self.reading.is_some() && age > MUCH_OLDER,
                };
                if overtakes_newer {
                    self.missed.get_or_insert(now);
                }
                self.install(list, age, now);
            }
        }
    }

    /// Bad keys were found in `list`: wherever it stands, the `rest` of it takes its place.
    pub(super) fn narrow(&mut self, list: &Arc<WalletSet>, rest: &Arc<WalletSet>) {
        let suspect = self.suspect.as_mut().map(|suspect| &mut suspect.list);
        for place in self.in_force.iter_mut().chain(suspect).filter(|place| Arc::ptr_eq(place, list)) {
            *place = Arc::clone(rest);
        }
    }

    pub(super) fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        [self.next_start(), self.stale_at].into_iter().flatten().min()
    }

    /// The number of the first read that starts after this moment.
    pub(super) const fn next_read(&self) -> u64 {
        self.reads + 1
    }

    fn next_start(&self) -> Option<Instant> {
        if self.reading.is_some() {
            return None;
        }
        // A registry that fails gets its pause: knocking strangers do not shorten it.
        let missed = self.missed.filter(|_| self.failures == 0).map(|missed| match self.last_start {
            Some(start) => missed.max(start + self.timing.min_interval),
            None => missed,
        });
        [Some(self.scheduled), missed, self.demanded].into_iter().flatten().min()
    }

    fn timeout(&mut self, now: Instant) {
        if let Some(stale_at) = self.stale_at.filter(|&at| at <= now) {
            self.stale_at = None;
            self.actions.push_back(Action::Stale { age: now - stale_at + self.timing.max_stale });
        }
        if self.next_start().is_some_and(|at| at <= now) {
            self.reading = Some(Reading { started: now, overtaken: false });
            self.reads += 1;
            self.last_start = Some(now);
            (self.missed, self.demanded) = (None, None);
            self.actions.push_back(Action::Read);
        }
    }

    fn answered(&mut self, list: Arc<WalletSet>, age: Duration, certain: bool, now: Instant) {
        let Some(reading) = self.reading.take() else { return };
        self.failures = 0;
        self.scheduled = now + self.timing.refresh_interval;
        if !reading.overtaken {
            self.judge(list, age, certain, reading.started, now);
        }
        self.actions.push_back(Action::Answered { read: self.reads });
    }

    fn judge(&mut self, list: Arc<WalletSet>, age: Duration, certain: bool, started: Instant, now: Instant) {
        if certain || !self.loses_too_much(&list) {
            return self.install(list, age, now);
        }
        let confirm_at = match &self.suspect {
            Some(suspect) if suspect.list == list && started >= suspect.confirm_at => {
                return self.install(list, age, now);
            }
            // Read again too early, for a miss or on demand: that proves nothing.
            Some(suspect) if suspect.list == list => suspect.confirm_at,
            _ => {
                self.actions.push_back(Action::Held { wallets: list.len() });
                now + CONFIRM_AFTER
            }
        };
        self.scheduled = confirm_at;
        self.suspect = Some(Suspect { list, confirm_at });
    }

    fn loses_too_much(&self, list: &Arc<WalletSet>) -> bool {
        match &self.in_force {
            Some(last) if Arc::ptr_eq(last, list) => false,
            Some(last) if last.is_empty() => false,
            Some(_) if list.is_empty() => true,
            Some(last) if last.len() >= GUARDED_LENGTH => last.intersection(list).count() * 2 < last.len(),
            Some(_) => false,
            None => list.is_empty(),
        }
    }

    fn install(&mut self, list: Arc<WalletSet>, age: Duration, now: Instant) {
        let fresh_until = now + self.timing.max_stale.saturating_sub(age);
        // A clock may not reach back before the start of the machine.
        let taken = now.checked_sub(age).unwrap_or(now);
        self.suspect = None;
        self.stale_at = Some(fresh_until);
        self.in_force = Some(Arc::clone(&list));
        self.taken = Some(taken);
        self.actions.push_back(Action::Install { list, taken, fresh_until });
    }

    fn failed(&mut self, error: String, now: Instant) {
        if self.reading.take().is_none() {
            return;
        }
        self.suspect = None;
        self.failures = self.failures.saturating_add(1);
        let doubled = FIRST_RETRY.saturating_mul(1 << (self.failures - 1).min(31));
        let retry_in = doubled.min(self.timing.refresh_interval);
        self.scheduled = now + retry_in;
        self.actions.push_back(Action::Failed { read: self.reads, error, failures: self.failures, retry_in });
    }
}
