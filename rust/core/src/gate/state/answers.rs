//! What came of reads and checks, and how a list takes effect.

use std::{sync::Arc, time::Instant};

use super::State;
use crate::{
    gate::{
        DatabaseId, GateEvent,
        database::Database,
        entries::Parsed,
        jobs::Ended,
        refresh::Event,
        wallets::{Difference, WalletSet},
    },
    identity::Wallet,
};

impl State {
    pub(in crate::gate) fn ended(&mut self, ended: Ended, now: Instant) {
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

    pub(super) fn judged(&mut self, id: DatabaseId, read: u64, good: bool) {
        if let Some(listing) = self.snapshot.listings.get_mut(&id) {
            listing.ended = read;
            if good {
                listing.answered = read;
            }
            self.changed = true;
        }
    }

    /// `times`: when a registry's list was read, and when it becomes stale.
    pub(super) fn install(&mut self, id: DatabaseId, list: &Arc<WalletSet>, times: Option<(Instant, Instant)>) {
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

    pub(super) fn report_union(&mut self, joined: Vec<Wallet>, left: Vec<Wallet>) {
        if !left.is_empty() {
            self.revocations += 1;
            self.events.push(GateEvent::Revoked(left));
        }
        if !joined.is_empty() {
            self.events.push(GateEvent::Readmitted(joined));
        }
    }
}
