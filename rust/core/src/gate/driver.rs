//! The one task of the gate: it calls the registries, has lists checked off the network threads, and reports.

use std::{
    future::pending,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::{
    select, task,
    time::{self, sleep_until},
};

use super::{
    GateEvent, Shared,
    entries::{self, Entry, Parsed},
    now,
    state::{Ended, Job, Work},
};

pub(super) async fn drive(shared: Arc<Shared>) {
    let mut jobs = FuturesUnordered::new();
    loop {
        let turn = shared.update(|state| state.turn(now()));
        if turn.closed {
            return tracing::info!("the gate has stopped reading its registries");
        }
        jobs.extend(turn.jobs.into_iter().map(|job| run(&shared, job)));
        for event in turn.events {
            if let GateEvent::Readmitted(wallets) = &event {
                shared.forget(wallets);
            }
            // Waits for room: a lost revocation would leave a connection open. An error means that nobody listens any more.
            _ = shared.events.send(event).await;
        }
        select! {
            () = shared.wake.notified() => {}
            Some(ended) = jobs.next() => shared.update(|state| state.ended(ended, now())),
            () = reached(turn.deadline) => {}
        }
    }
}

async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep_until(time::Instant::from_std(at)).await,
        None => pending().await,
    }
}

async fn run(shared: &Shared, mut job: Job) -> Ended {
    let database = job.database;
    match std::mem::replace(&mut job.work, Work::Ask) {
        Work::Ask => {
            shared.counters.registry_calls.fetch_add(1, Relaxed);
            let result = match shared.registry.wallets(database, shared.config.timeout).await {
                Ok(entries) => check(job, entries).await.ok_or_else(|| "the list could not be checked".to_owned()),
                Err(error) => Err(error),
            };
            if result.is_err() {
                shared.counters.registry_failures.fetch_add(1, Relaxed);
            }
            Ended::Asked { database, result }
        }
        Work::Check(entries) => Ended::Checked { database, parsed: check(job, entries).await },
    }
}

/// Checks a list on a thread that may be busy for a while: a hundred thousand keys take a good part of a second.
async fn check(job: Job, entries: Vec<Entry>) -> Option<Parsed> {
    task::spawn_blocking(move || entries::parse(&job.name, &entries, &job.known, &job.warned)).await.ok()
}
