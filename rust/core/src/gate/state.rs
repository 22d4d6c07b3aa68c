//! Everything the gate knows, behind one lock: the databases with their refreshes, the next snapshot, the events to
//! report. No clock and no I/O; `driver` brings both.

use std::{
    collections::{BTreeMap, HashSet},
    mem,
    sync::Arc,
    time::Instant,
};

use super::{
    DatabaseId, GateEvent, WalletSource,
    decision::Ticket,
    entries::{Entry, Parsed},
    jobs::{Ended, Job, Turn, Work},
    refresh::{Action, Event, Refresh, Timing},
    wallets::{Difference, Listing, Snapshot, WalletSet},
};
use crate::{
    error::{Error, ErrorKind},
    identity::Wallet,
};

struct Database {
    name: Arc<str>,
    /// `None`: a fixed list, which nobody can be asked for.
    refresh: Option<Refresh>,
    /// The latest list given by code. Only that one counts, so a newer one takes its place.
    pushed: Option<Vec<Entry>>,
    /// A list given by code is being checked. No read starts meanwhile, so that its answer is newer than the push.
    checking: bool,
    /// Marks of the bad entries of the last list, which have been warned of.
    warned: Arc<HashSet<u64>>,
    own_missing: bool,
    error: Option<String>,
}

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
        let (refresh, pushed) = match source {
            WalletSource::Asked => (Some(Refresh::new(self.timing, now)), None),
            WalletSource::List(entries) => (None, Some(entries)),
        };
        self.snapshot.listings.insert(id, Listing::pending(refresh.is_some()));
        self.changed = true;
        let database = Database {
            name: name.into(),
            refresh,
            pushed,
            checking: false,
            warned: Arc::default(),
            own_missing: false,
            error: None,
        };
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

    pub(super) fn push(&mut self, id: DatabaseId, entries: Vec<Entry>) {
        if let Some(database) = self.databases.get_mut(&id) {
            database.pushed = Some(entries);
        }
    }

    /// Ends everything but the last values, which stay readable.
    pub(super) fn close(&mut self) {
        self.databases.clear();
        self.snapshot.closed = true;
        self.changed = true;
    }

    /// Wants a read of every registry (`Event::Miss` or `Event::Demand`) and says which reads to wait for.
    pub(super) fn ask(&mut self, event: &Event, now: Instant) -> Vec<Ticket> {
        let mut tickets = Vec::new();
        for (&database, Database { refresh, .. }) in &mut self.databases {
            let listing = self.snapshot.listings.get(&database);
            let read = match refresh {
                // A miss gains nothing by waiting for a registry that has been failing for so long.
                Some(_) if matches!(event, Event::Miss) && listing.is_some_and(|listing| listing.is_stale(now)) => {
                    continue;
                }
                Some(refresh) => {
                    refresh.handle(event.clone(), now);
                    refresh.next_read()
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
                let Some(Database { refresh: Some(refresh), warned, .. }) = self.databases.get_mut(&database) else {
                    return;
                };
                match result {
                    Ok(Parsed { wallets, dropped }) => {
                        *warned = Arc::new(dropped);
                        refresh.handle(Event::Answered(wallets), now);
                    }
                    Err(error) => refresh.handle(Event::Failed(error), now),
                }
            }
            Ended::Checked { database: id, parsed } => {
                let Some(database) = self.databases.get_mut(&id) else { return };
                database.checking = false;
                let Some(Parsed { wallets, dropped }) = parsed else { return };
                database.warned = Arc::new(dropped);
                match &mut database.refresh {
                    Some(refresh) => refresh.handle(Event::Pushed(wallets), now),
                    None => self.install(id, &wallets, None, now),
                }
            }
        }
    }

    /// Does all that is due at `now`.
    pub(super) fn turn(&mut self, now: Instant) -> Turn {
        let mut turn = Turn { closed: self.snapshot.closed, ..Turn::default() };
        let ids: Vec<_> = self.databases.keys().copied().collect();
        for id in ids {
            let Some(database) = self.databases.get_mut(&id) else { continue };
            if !database.checking
                && let Some(entries) = database.pushed.take()
            {
                database.checking = true;
                turn.jobs.push(self.job(id, Work::Check(entries)));
            }
            self.turn_refresh(id, now, &mut turn);
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
            self.act(id, action, now, turn);
        }
    }

    fn act(&mut self, id: DatabaseId, action: Action, now: Instant, turn: &mut Turn) {
        let Some(database) = self.databases.get_mut(&id) else { return };
        let name = Arc::clone(&database.name);
        match action {
            Action::Read => turn.jobs.push(self.job(id, Work::Ask)),
            Action::Install { list, fresh_until } => self.install(id, &list, Some(fresh_until), now),
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
        let known = self.snapshot.listings.get(&id).and_then(|listing| listing.wallets.clone()).unwrap_or_default();
        let database = self.databases.get(&id);
        let (name, warned) =
            database.map(|database| (database.name.clone(), database.warned.clone())).unwrap_or_default();
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

    fn install(&mut self, id: DatabaseId, list: &Arc<WalletSet>, fresh_until: Option<Instant>, now: Instant) {
        let Difference { added, removed, joined, left } = self.snapshot.difference(id, list);
        let (Some(listing), Some(database)) = (self.snapshot.listings.get_mut(&id), self.databases.get_mut(&id)) else {
            return;
        };
        listing.wallets = Some(Arc::clone(list));
        listing.fresh_until = fresh_until;
        if listing.asked {
            listing.taken = Some(now);
        } else {
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
        let own_missing = !list.contains(&self.own);
        if own_missing {
            self.events.push(GateEvent::NotListed { database: id });
        }
        if own_missing && !database.own_missing {
            tracing::warn!(
                database = &*database.name,
                wallet = %self.own,
                "this node's own wallet is not on the list: other nodes refuse it; register the wallet, or use the key of one that is"
            );
        }
        database.own_missing = own_missing;
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
