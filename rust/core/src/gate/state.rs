//! Everything the gate knows, behind one lock: the databases with their refreshes, the next snapshot, the events to
//! report. No clock and no I/O; `driver` brings both.

mod answers;
mod due;

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
    refresh::{Event, Refresh, Timing},
    wallets::{Difference, Listing, Snapshot},
};
use crate::{
    error::{Error, ErrorKind},
    identity::Wallet,
};

/// One read of a registry that is asked about each wallet asks about so many newcomers.
const BATCH: usize = 64;
/// So many may wait for their turn; whoever comes then runs into the time limit, and may try again.
const WAITING: usize = 10 * BATCH;
/// Anybody who is listed can pass on messages of as many authors as it likes: they join while fewer wait than this, so that
/// whoever knocks is asked about in the same read.
const AUTHORS: usize = BATCH / 2;

pub(super) struct State {
    timing: Timing,
    own: Wallet,
    databases: BTreeMap<DatabaseId, Database>,
    snapshot: Snapshot,
    changed: bool,
    events: Vec<GateEvent>,
    /// Events so far that revoke somebody.
    revocations: u64,
}

impl State {
    pub(super) const fn new(timing: Timing, own: Wallet) -> Self {
        let snapshot = Snapshot { listings: BTreeMap::new(), closed: false };
        Self { timing, own, databases: BTreeMap::new(), snapshot, changed: false, events: Vec::new(), revocations: 0 }
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
        self.snapshot.listings.insert(id, Listing::pending(refresh.is_some()));
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
                    let place = missed
                        .zip(waiting.as_mut())
                        .map_or(Some(0), |(wallet, waiting)| wait(waiting, wallet, WAITING));
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

    /// Wants a read of one registry, for an author whom its list lacks. `false`: it gains nothing now.
    pub(super) fn ask_about_author(&mut self, id: DatabaseId, author: Wallet, now: Instant) -> bool {
        let Some(Database { refresh: Some(refresh), waiting, .. }) = self.databases.get_mut(&id) else { return false };
        let is_stale = self.snapshot.listings.get(&id).is_some_and(|listing| listing.is_stale(now));
        let wanted = !is_stale && waiting.as_mut().is_none_or(|waiting| wait(waiting, author, AUTHORS).is_some());
        if wanted {
            refresh.handle(Event::Miss, now);
        }
        wanted
    }

    pub(super) const fn revocations(&self) -> u64 {
        self.revocations
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
}

/// The place of a wallet in the queue, which it joins at its end; `None` when so many are in it already.
fn wait(waiting: &mut VecDeque<Wallet>, wallet: Wallet, room: usize) -> Option<usize> {
    if let Some(place) = waiting.iter().position(|other| *other == wallet) {
        return Some(place);
    }
    (waiting.len() < room).then(|| {
        waiting.push_back(wallet);
        waiting.len() - 1
    })
}
