//! Everything the gate knows, behind one lock: the databases with their refreshes, the next snapshot, the events to
//! report. No clock and no I/O; `driver` brings both.

use std::{
    collections::{BTreeMap, VecDeque},
    mem,
    sync::Arc,
    time::Instant,
};

use super::{
    DatabaseId, GateEvent, Listed, WalletSource,
    database::Database,
    decision::Ticket,
    entries::Parsed,
    jobs::{Ended, Job, Turn, Work},
    refresh::{Action, Event, Refresh, Timing},
    wallets::{Difference, Listing, Snapshot, WalletSet},
};
use crate::{
    error::{Error, ErrorKind},
    identity::Wallet,
};

/// One read of a registry that is asked about each wallet asks about so many newcomers.
const BATCH: usize = 64;
/// So many may wait for their turn; whoever comes then runs into the time limit, and may try again.
const WAITING: usize = 10 * BATCH;

pub(super) struct State {
    timing: Timing,
    own: Wallet,
    databases: BTreeMap<DatabaseId, Database>,
    snapshot: Snapshot,
    changed: bool,
    events: Vec<GateEvent>,
}

impl State {
    pub(super) const fn new(timing: Timing, own: Wallet) -> Self {
        let snapshot = Snapshot { listings: BTreeMap::new(), closed: false };
        Self { timing, own, databases: BTreeMap::new(), snapshot, changed: false, events: Vec::new() }
    }

    pub(super) fn attach(
        &mut self,
        id: DatabaseId,
        name: &str,
        source: WalletSource,
        now: Instant,
    ) -> Result<(), Error> {
        if self.snapshot.closed {
            return Err(Error::closed());
        }
        if self.databases.contains_key(&id) || self.databases.values().any(|database| *database.name == *name) {
            return Err(
                Error::new(ErrorKind::Config, format!("database {name:?} is attached already")).with("database", name)
            );
        }
        let waiting = matches!(source, WalletSource::Checked).then(VecDeque::new);
        let (refresh, pushed) = match source {
            WalletSource::Asked | WalletSource::Checked => (Some(Refresh::new(self.timing, now)), None),
            WalletSource::List(entries) => (None, Some(entries.into())),
        };
        let listing = Listing { checked: waiting.is_some(), ..Listing::pending(refresh.is_some()) };
        self.snapshot.listings.insert(id, listing);
        self.changed = true;
        let database = Database { name: name.into(), refresh, pushed, waiting, ..Database::default() };
        self.databases.insert(id, database);
        Ok(())
    }

    pub(super) fn detach(&mut self, id: DatabaseId) {
        if self.databases.remove(&id).is_some() {
            let Difference { left, .. } = self.snapshot.difference(id, &Arc::default());
            self.snapshot.listings.remove(&id);
            self.changed = true;
            self.report_union(vec![], left);
        }
    }

    pub(super) fn push(&mut self, id: DatabaseId, listed: Listed) {
        if let Some(database) = self.databases.get_mut(&id) {
            database.pushed = Some(listed);
        }
    }

    /// Ends everything but the last values, which stay readable.
    pub(super) fn close(&mut self) {
        self.databases.clear();
        self.snapshot.closed = true;
        self.changed = true;
    }

    /// Wants a read of every registry, for a wallet that no list has or on demand, and says which reads to wait for.
    pub(super) fn ask(&mut self, missed: Option<Wallet>, now: Instant) -> Vec<Ticket> {
        let mut tickets = Vec::new();
        let event = if missed.is_some() { Event::Miss } else { Event::Demand };
        for (&database, Database { refresh, waiting, .. }) in &mut self.databases {
            let listing = self.snapshot.listings.get(&database);
            let read = match refresh {
                // A miss gains nothing by waiting for a registry that has been failing for so long.
                Some(_) if matches!(event, Event::Miss) && listing.is_some_and(|listing| listing.is_stale(now)) => {
                    continue;
                }
                Some(refresh) => {
                    refresh.handle(event.clone(), now);
                    let place = missed.zip(waiting.as_mut()).map_or(Some(0), |(wallet, waiting)| wait(waiting, wallet));
                    // Without a place there is nothing to wait for but the time limit.
                    place.map_or(u64::MAX, |place| refresh.next_read() + (place / BATCH) as u64)
                }
                None if listing.is_some_and(|listing| listing.wallets.is_none()) => 1,
                None => continue,
            };
            tickets.push(Ticket { database, read });
        }
        tickets
    }

    pub(super) fn ended(&mut self, ended: Ended, now: Instant) {
        match ended {
            Ended::Asked { database, result } => {
                let Some(database) = self.databases.get_mut(&database) else { return };
                let result = result.map(|(parsed, age)| (database.checked(parsed), age));
                let Database { refresh: Some(refresh), waiting, .. } = database else { return };
                match result {
                    Ok((list, age)) => {
                        // A registry that is asked about each wallet has said no to those that are missing.
                        refresh.handle(Event::Answered { list, age, certain: waiting.is_some() }, now);
                    }
                    Err(error) => refresh.handle(Event::Failed(error), now),
                }
                if waiting.as_ref().is_some_and(|waiting| !waiting.is_empty()) {
                    refresh.handle(Event::Miss, now);
                }
            }
            Ended::Checked { database: id, pushed } => {
                let Some(database) = self.databases.get_mut(&id) else { return };
                database.checking = false;
                let Some((parsed, age)) = pushed else { return };
                let list = database.checked(parsed);
                match &mut database.refresh {
                    Some(refresh) => refresh.handle(Event::Pushed { list, age }, now),
                    None => self.install(id, &list, None),
                }
            }
            Ended::Finished { database, parsed } => self.finished(database, parsed),
        }
    }

    /// Takes the keys that are not on the curve out of a list. Nobody can hold one, so that nobody is revoked.
    fn finished(&mut self, id: DatabaseId, parsed: Option<Parsed>) {
        let (Some(database), Some(listing)) = (self.databases.get_mut(&id), self.snapshot.listings.get_mut(&id)) else {
            return;
        };
        let (Some(list), Some(parsed)) = (database.finishing.take(), parsed) else { return };
        Arc::make_mut(&mut database.warned).extend(parsed.dropped);
        let removed = list.len() - parsed.wallets.len();
        let rest = if removed == 0 { Arc::clone(&list) } else { parsed.wallets };
        let in_force = listing.wallets.as_ref().is_some_and(|wallets| Arc::ptr_eq(wallets, &list));
        // Another list has come meanwhile: unless it was checked whole, these are a help for its check.
        if in_force || database.unfinished.is_some() {
            database.known = Arc::clone(&rest);
        }
        if removed == 0 {
            return;
        }
        if let Some(refresh) = &mut database.refresh {
            refresh.narrow(&list, &rest);
        }
        if in_force {
            self.events.push(GateEvent::Changed { database: id, added: 0, removed, total: rest.len() });
            listing.wallets = Some(rest);
            self.changed = true;
        }
    }

    /// Does all that is due at `now`.
    pub(super) fn turn(&mut self, now: Instant) -> Turn {
        let mut turn = Turn { closed: self.snapshot.closed, ..Turn::default() };
        let ids: Vec<_> = self.databases.keys().copied().collect();
        for id in ids {
            let Some(database) = self.databases.get_mut(&id) else { continue };
            if !database.checking
                && let Some(listed) = database.pushed.take()
            {
                database.checking = true;
                turn.jobs.push(self.job(id, Work::Check(listed)));
            }
            self.turn_refresh(id, now, &mut turn);
            self.turn_unfinished(id, &mut turn);
        }
        turn.events = mem::take(&mut self.events);
        turn
    }

    /// The snapshot, if it is another one since the last call.
    pub(super) fn published(&mut self) -> Option<Snapshot> {
        mem::take(&mut self.changed).then(|| self.snapshot.clone())
    }

    /// Why the last read of a database failed.
    pub(super) fn failure(&self, id: DatabaseId) -> Option<Error> {
        let Database { name, error, .. } = self.databases.get(&id)?;
        let message = format!("the registry of database {name:?} failed: {}", error.as_deref()?);
        Some(Error::new(ErrorKind::Registry, message).with("database", &**name))
    }

    fn turn_refresh(&mut self, id: DatabaseId, now: Instant, turn: &mut Turn) {
        let Some(Database { refresh: Some(refresh), checking, .. }) = self.databases.get_mut(&id) else { return };
        if !*checking && refresh.poll_timeout().is_some_and(|at| at <= now) {
            refresh.handle(Event::Timeout, now);
        }
        let actions: Vec<_> = std::iter::from_fn(|| refresh.poll()).collect();
        if !*checking {
            turn.deadline = [turn.deadline, refresh.poll_timeout()].into_iter().flatten().min();
        }
        for action in actions {
            self.act(id, action, turn);
        }
    }

    /// One list at a time: of those that came meanwhile only the last matters.
    fn turn_unfinished(&mut self, id: DatabaseId, turn: &mut Turn) {
        let Some(database) = self.databases.get_mut(&id) else { return };
        if database.finishing.is_none()
            && let Some((list, entries)) = database.unfinished.take()
        {
            database.finishing = Some(list);
            turn.jobs.push(self.job(id, Work::Finish(entries)));
        }
    }

    fn act(&mut self, id: DatabaseId, action: Action, turn: &mut Turn) {
        let Some(database) = self.databases.get_mut(&id) else { return };
        let name = Arc::clone(&database.name);
        match action {
            Action::Read => {
                let waiting = database.waiting.as_mut();
                let batch = waiting.map(|waiting| waiting.drain(..waiting.len().min(BATCH)).collect());
                turn.jobs.push(self.job(id, Work::Ask(batch.unwrap_or_default())));
            }
            Action::Install { list, taken, fresh_until } => self.install(id, &list, Some((taken, fresh_until))),
            Action::Held { wallets } => tracing::warn!(
                database = &*name,
                authorized_wallets_count = wallets,
                "the list is empty or has lost more than half: it takes effect if a second read is equal"
            ),
            Action::Answered { read } => self.judged(id, read, true),
            Action::Failed { read, error, failures, retry_in } => {
                database.error = Some(error.clone());
                self.judged(id, read, false);
                self.events.push(GateEvent::Failed { database: id, error, failures, retry_in });
            }
            Action::Stale { age } => {
                self.events.push(GateEvent::Stale { database: id, age });
            }
        }
    }

    fn job(&self, id: DatabaseId, work: Work) -> Job {
        let database = self.databases.get(&id);
        let (name, known, warned) = database
            .map(|database| (database.name.clone(), database.known.clone(), database.warned.clone()))
            .unwrap_or_default();
        Job { database: id, name, known, warned, work }
    }

    fn judged(&mut self, id: DatabaseId, read: u64, good: bool) {
        if let Some(listing) = self.snapshot.listings.get_mut(&id) {
            listing.ended = read;
            if good {
                listing.answered = read;
            }
            self.changed = true;
        }
    }

    /// `times`: when a registry's list was read, and when it becomes stale.
    fn install(&mut self, id: DatabaseId, list: &Arc<WalletSet>, times: Option<(Instant, Instant)>) {
        let Difference { added, removed, joined, left } = self.snapshot.difference(id, list);
        let (Some(listing), Some(database)) = (self.snapshot.listings.get_mut(&id), self.databases.get_mut(&id)) else {
            return;
        };
        if database.is_finished(list) {
            database.known = Arc::clone(list);
        }
        listing.wallets = Some(Arc::clone(list));
        (listing.taken, listing.fresh_until) = times.unzip();
        if !listing.asked {
            (listing.ended, listing.answered) = (1, 1);
        }
        self.changed = true;
        tracing::debug!(
            database = &*database.name,
            authorized_wallets_count = list.len(),
            added,
            removed,
            "wallet list in force"
        );
        if added + removed > 0 {
            self.events.push(GateEvent::Changed { database: id, added, removed, total: list.len() });
        }
        if !list.contains(&self.own) {
            self.events.push(GateEvent::NotListed { database: id });
        }
        self.report_union(joined, left);
    }

    fn report_union(&mut self, joined: Vec<Wallet>, left: Vec<Wallet>) {
        if !left.is_empty() {
            self.events.push(GateEvent::Revoked(left));
        }
        if !joined.is_empty() {
            self.events.push(GateEvent::Readmitted(joined));
        }
    }
}

/// The place of a wallet in the queue, which it joins at its end; `None` when there is no room.
fn wait(waiting: &mut VecDeque<Wallet>, wallet: Wallet) -> Option<usize> {
    if let Some(place) = waiting.iter().position(|other| *other == wallet) {
        return Some(place);
    }
    (waiting.len() < WAITING).then(|| {
        waiting.push_back(wallet);
        waiting.len() - 1
    })
}
