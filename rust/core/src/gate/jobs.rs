//! What the gate does outside its lock: calling a registry, and checking a list.

use std::{
    collections::HashSet,
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use tokio::task;

use super::{
    DatabaseId, GateEvent, Listed,
    entries::{self, CurveCheck, Entry, Parsed},
    now,
    shared::Shared,
    wallets::WalletSet,
};
use crate::identity::Wallet;

/// Fewer entries are checked within two milliseconds.
const WORTH_A_THREAD: usize = 64;

pub(super) struct Job {
    pub(super) database: DatabaseId,
    pub(super) name: Arc<str>,
    pub(super) known: Arc<WalletSet>,
    pub(super) warned: Arc<HashSet<u64>>,
    pub(super) work: Work,
}

pub(super) enum Work {
    /// The wallets whose answer is waited for, where the registry is asked about each.
    Ask(Vec<Wallet>),
    Check(Listed),
    /// The entries of a list whose curve check was left for later.
    Finish(Vec<Entry>),
}

/// What came of a job.
pub(super) enum Ended {
    Asked { database: DatabaseId, result: Result<(Parsed, Duration), String> },
    Checked { database: DatabaseId, pushed: Option<(Parsed, Duration)> },
    Finished { database: DatabaseId, parsed: Option<Parsed> },
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
    match mem::replace(&mut job.work, Work::Ask(Vec::new())) {
        Work::Ask(waiting) => {
            shared.counters.registry_calls.fetch_add(1, Relaxed);
            let began = now();
            let answer = shared.registry.wallets(database, waiting.clone(), shared.config.timeout).await;
            shared.counters.registry_call.observe(now().saturating_duration_since(began));
            let result = match answer {
                Ok(listed) => check(shared, job, listed, CurveCheck::Later)
                    .await
                    .ok_or_else(|| "the list could not be checked".to_owned()),
                Err(error) => Err(error),
            };
            match &result {
                // Also those that nobody waits for, as authors are: each is asked about once in a while.
                Ok((parsed, _)) => {
                    let mut remembered = shared.remembered();
                    let refused = waiting.into_iter().filter(|wallet| !parsed.wallets.contains(wallet));
                    refused.for_each(|wallet| remembered.remember(wallet, now()));
                }
                Err(_) => _ = shared.counters.registry_failures.fetch_add(1, Relaxed),
            }
            Ended::Asked { database, result }
        }
        Work::Check(listed) => Ended::Checked { database, pushed: check(shared, job, listed, CurveCheck::Later).await },
        Work::Finish(entries) => {
            let checked = check(shared, job, entries.into(), CurveCheck::Now).await;
            Ended::Finished { database, parsed: checked.map(|(parsed, _)| parsed) }
        }
    }
}

/// Checks a list; a long one on a thread that may be busy for a while: a hundred thousand keys take a good part of a second.
async fn check(shared: &Shared, job: Job, listed: Listed, curve_check: CurveCheck) -> Option<(Parsed, Duration)> {
    let Listed { entries, age } = listed;
    let began = now();
    let short = entries.len() < WORTH_A_THREAD;
    let parse = move || entries::parse(&job.name, entries, &job.known, &job.warned, curve_check);
    let parsed = if short {
        parse()
    } else {
        // It panics where the process may have no more threads: the next read tries again.
        catch_unwind(AssertUnwindSafe(|| task::spawn_blocking(parse))).ok()?.await.ok()?
    };
    shared.counters.entries_dropped.fetch_add(parsed.news, Relaxed);
    Some((parsed, age + now().saturating_duration_since(began)))
}
