//! What is due: reads of registries, checks of lists, and what a refresh wants done.

use std::{mem, sync::Arc, time::Instant};

use super::{BATCH, State};
use crate::gate::{
    DatabaseId, GateEvent,
    database::Database,
    jobs::{Job, Turn, Work},
    refresh::{Action, Event},
};

impl State {
    /// Does all that is due at `now`.
    pub(in crate::gate) fn turn(&mut self, now: Instant) -> Turn {
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
}
