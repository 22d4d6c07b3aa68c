//! What the gate does outside its lock: calling a registry, and checking a list.

use std::{
    collections::HashSet,
    mem,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Instant,
};

use tokio::task;

use super::{
    DatabaseId, GateEvent,
    entries::{self, Entry, Parsed},
    now,
    shared::Shared,
    wallets::WalletSet,
};

pub(super) struct Job {
    pub(super) database: DatabaseId,
    pub(super) name: Arc<str>,
    pub(super) known: Arc<WalletSet>,
    pub(super) warned: Arc<HashSet<u64>>,
    pub(super) work: Work,
}

pub(super) enum Work {
    Ask,
    Check(Vec<Entry>),
}

/// What came of a job.
pub(super) enum Ended {
    Asked { database: DatabaseId, result: Result<Parsed, String> },
    Checked { database: DatabaseId, parsed: Option<Parsed> },
}

/// What the driver has to do now, and when to come back.
#[derive(Default)]
pub(super) struct Turn {
    pub(super) jobs: Vec<Job>,
    pub(super) events: Vec<GateEvent>,
    pub(super) deadline: Option<Instant>,
    pub(super) closed: bool,
}

pub(super) async fn run(shared: &Shared, mut job: Job) -> Ended {
    let database = job.database;
    match mem::replace(&mut job.work, Work::Ask) {
        Work::Ask => {
            shared.counters.registry_calls.fetch_add(1, Relaxed);
            let began = now();
            let answer = shared.registry.wallets(database, shared.config.timeout).await;
            shared.counters.registry_call.observe(now().saturating_duration_since(began));
            let result = match answer {
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
