//! The whole gate with a registry that follows a script, on a stopped clock.

mod admission;
mod checked;
mod clock;
mod judgement;
mod lists;
mod races;
mod schedule;
mod unfinished;

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use futures::{FutureExt, future::BoxFuture};
use tokio::{sync::mpsc::Receiver, time::sleep};

use super::{
    testing::{texts, wallet},
    *,
};

const OWN: u64 = 0;
const DB: DatabaseId = 1;

/// What the registry does at its next read.
#[derive(Clone)]
enum Read {
    Gives(Vec<Entry>),
    Fails,
    /// Until the time limit.
    Hangs,
    Takes(Duration, Vec<Entry>),
}

/// Follows its script read by read; the last line is repeated.
struct Script {
    lines: Mutex<VecDeque<Read>>,
    calls: AtomicUsize,
    busy: Arc<AtomicUsize>,
}

impl Script {
    fn new(lines: impl IntoIterator<Item = Read>) -> Arc<Self> {
        Arc::new(Self {
            lines: Mutex::new(lines.into_iter().collect()),
            calls: AtomicUsize::default(),
            busy: Arc::default(),
        })
    }

    fn now(&self, line: Read) {
        *self.lines.lock().unwrap() = [line].into();
    }

    fn calls(&self) -> usize {
        self.calls.load(SeqCst)
    }
}

impl Registry for Script {
    fn wallets(&self, _: DatabaseId, _: Vec<Wallet>, timeout: Duration) -> BoxFuture<'static, Result<Listed, String>> {
        self.calls.fetch_add(1, SeqCst);
        let mut lines = self.lines.lock().unwrap();
        let line = if lines.len() > 1 { lines.pop_front() } else { lines.front().cloned() };
        let busy = Arc::clone(&self.busy);
        async move {
            assert_eq!(busy.fetch_add(1, SeqCst), 0, "two reads at a time");
            let result = match line.unwrap() {
                Read::Gives(entries) => Ok(entries.into()),
                Read::Fails => Err("unreachable".into()),
                Read::Hangs => {
                    sleep(timeout).await;
                    Err("no answer within the time limit".into())
                }
                Read::Takes(time, entries) => {
                    sleep(time).await;
                    Ok(entries.into())
                }
            };
            busy.fetch_sub(1, SeqCst);
            result
        }
        .boxed()
    }
}

fn config() -> GateConfig {
    GateConfig {
        refresh_interval: Duration::from_secs(30),
        timeout: Duration::from_secs(10),
        min_interval: Duration::from_secs(1),
        negative_ttl: Duration::from_secs(10),
        max_stale: Duration::from_secs(900),
        revocation: Revocation::Close,
    }
}

fn gate(script: &Arc<Script>) -> (Gate, Receiver<GateEvent>) {
    Gate::new(config(), wallet(OWN), Arc::clone(script) as Arc<dyn Registry>)
}

/// A gate whose only database follows the script, after its first read.
async fn asked(lines: impl IntoIterator<Item = Read>) -> (Gate, Receiver<GateEvent>, Arc<Script>) {
    let script = Script::new(lines);
    let (gate, events) = gate(&script);
    gate.attach(DB, "db", WalletSource::Asked).unwrap();
    settled().await;
    (gate, events, script)
}

/// Lets everything run that is due now.
async fn settled() {
    sleep(Duration::from_millis(5)).await;
}

fn gives(wallets: impl IntoIterator<Item = u64>) -> Read {
    Read::Gives(texts(wallets))
}

async fn check(gate: &Gate, n: u64) -> Result<Wallet, Refusal> {
    gate.check(&wallet(n).peer_id(), Direction::Inbound).await.map_err(|denied| denied.reason)
}

fn seen(events: &mut Receiver<GateEvent>) -> Vec<GateEvent> {
    std::iter::from_fn(|| events.try_recv().ok()).collect()
}

fn revoked(events: &mut Receiver<GateEvent>) -> Vec<Wallet> {
    let seen = seen(events).into_iter();
    seen.filter_map(|event| if let GateEvent::Revoked(wallets) = event { Some(wallets) } else { None })
        .flatten()
        .collect()
}

/// A wallet that nobody lists, made without the cost of a secret key: about half of all numbers are on the curve.
fn wallet_of_nobody() -> Wallet {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    loop {
        let mut key = [7; 32];
        key[..8].copy_from_slice(&NEXT.fetch_add(1, SeqCst).to_le_bytes());
        if let Ok(wallet) = Wallet::from_bytes(&key) {
            return wallet;
        }
    }
}
