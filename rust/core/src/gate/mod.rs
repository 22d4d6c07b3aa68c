//! The gate: which peers may enter, by the wallets that the registries of the attached databases list.
//!
//! It fails closed. `decision` judges by the snapshot of `wallets`, `refresh` says when a registry is read and what an
//! answer is worth, `state` holds both together, `driver` does the calls, `upgrade` stands in the transport.

mod counters;
mod database;
mod decision;
mod driver;
mod entries;
mod jobs;
mod refresh;
mod registry;
mod remembered;
mod shared;
mod state;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod upgrade;
mod wallets;

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::Ordering::{Acquire, Relaxed},
    },
    time::{Duration, Instant},
};

use futures::FutureExt;
use libp2p::PeerId;
use tokio::{sync::mpsc, time};

pub use self::{
    counters::GateCounters,
    decision::{Denied, Refusal, Verdict},
    entries::Entry,
    registry::{DatabaseId, Listed, Registry, WalletSource},
    upgrade::gated,
};
use self::{
    decision::{Outcome, decide, outcome, settle},
    shared::Shared,
    state::State,
};
use crate::{error::Error, events::Direction, identity::Wallet};

/// Events that wait at most before refusals go unreported.
const EVENTS: usize = 1024;

/// What happens to the connections of a wallet that left the lists. The swarm acts on it; the gate only reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    Close,
    Keep,
}

#[derive(Clone, Debug)]
pub struct GateConfig {
    /// The pause between two reads of a registry that answers.
    pub refresh_interval: Duration,
    /// The time limit of one read, and of one check of a peer.
    pub timeout: Duration,
    /// Unknown wallets cause at most one read in such a time.
    pub min_interval: Duration,
    /// How long a refusal is remembered.
    pub negative_ttl: Duration,
    /// After so long without a good read a list admits nobody new.
    pub max_stale: Duration,
    pub revocation: Revocation,
}

/// What the gate reports. Only `Refused` can be lost, and that is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateEvent {
    Refused {
        peer: PeerId,
        wallet: Option<Wallet>,
        direction: Direction,
        reason: Refusal,
    },
    /// These left the union of the lists.
    Revoked(Vec<Wallet>),
    /// These joined the union of the lists.
    Readmitted(Vec<Wallet>),
    Changed {
        database: DatabaseId,
        added: usize,
        removed: usize,
        total: usize,
    },
    Failed {
        database: DatabaseId,
        error: String,
        failures: u32,
        retry_in: Duration,
    },
    /// The list admits nobody new until a read is good again. Once for each such time.
    Stale {
        database: DatabaseId,
        age: Duration,
    },
    /// A list took effect, or was read again, that lacks our own wallet.
    NotListed {
        database: DatabaseId,
    },
    /// By a panic: nobody is admitted any more, and nobody revoked.
    Died,
}

/// A handle to the gate of one node.
#[derive(Clone)]
pub struct Gate {
    shared: Arc<Shared>,
}

impl Gate {
    /// Makes a gate without databases, which admits nobody, and starts its task, which runs until `shutdown`.
    /// The receiver has to be read all the time: a revocation waits for room in it.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn new(config: GateConfig, own: Wallet, registry: Arc<dyn Registry>) -> (Self, mpsc::Receiver<GateEvent>) {
        let (events, receiver) = mpsc::channel(EVENTS);
        let shared = Arc::new(Shared::new(config, own, registry, events));
        let driven = AssertUnwindSafe(driver::drive(Arc::clone(&shared))).catch_unwind();
        let events = shared.events.clone();
        tokio::spawn(async move {
            if driven.await.is_err() {
                // It fails when nobody listens any more.
                _ = events.send(GateEvent::Died).await;
            }
        });
        (Self { shared }, receiver)
    }

    /// Adds a database, whose list counts from its first read on, or as soon as the given one is checked.
    pub fn attach(&self, database: DatabaseId, name: &str, source: WalletSource) -> Result<(), Error> {
        self.command(|state| state.attach(database, name, source, now()))
    }

    /// Takes a database away. Wallets that no other one lists are revoked.
    pub fn detach(&self, database: DatabaseId) {
        self.command(|state| state.detach(database));
        self.shared.forget_authors(database);
    }

    /// Replaces the list of a database. Of a registry's database too: then it holds until the next read.
    pub fn set_wallets(&self, database: DatabaseId, wallets: Listed) {
        self.command(|state| state.push(database, wallets));
    }

    /// Decides about a peer, asking the registries when the lists do not know it: takes `timeout` at most. It may be
    /// dropped at any time.
    pub async fn check(&self, peer: &PeerId, direction: Direction) -> Result<Wallet, Denied> {
        let verdict = match self.check_now(peer) {
            Verdict::Unknown => self.ask(peer).await,
            known => known,
        };
        let reason = match verdict {
            Verdict::Admit(wallet) => {
                self.shared.counters.admitted.fetch_add(1, Relaxed);
                tracing::debug!(%wallet, direction = direction.as_str(), "the wallet is listed");
                return Ok(wallet);
            }
            Verdict::Refuse(reason) => reason,
            Verdict::Unknown => Refusal::TimedOut,
        };
        let wallet = Wallet::from_peer_id(peer).ok();
        self.shared.counters.refused(peer, direction, reason, now());
        let event = GateEvent::Refused { peer: *peer, wallet, direction, reason };
        if self.shared.events.try_send(event).is_err() {
            self.shared.counters.unreported.fetch_add(1, Relaxed);
        }
        Err(Denied { peer: *peer, wallet, reason })
    }

    /// What the lists in force say of a peer, at once. `Unknown` is no admission: only `check` can tell then.
    pub fn check_now(&self, peer: &PeerId) -> Verdict {
        let Some(key) = ed25519_key(peer) else { return Verdict::Refuse(Refusal::NotEd25519) };
        let now = now();
        let verdict = decide(&self.shared.snapshot.load(), key, now);
        match verdict {
            // Only a wallet of a list is admitted, and lists have no keys that anybody can sign for.
            Verdict::Admit(_) => verdict,
            Verdict::Unknown if self.shared.remembered().holds(key, now) => Verdict::Refuse(Refusal::NotListed),
            _ if Wallet::from_peer_id(peer).is_err() => Verdict::Refuse(Refusal::WeakKey),
            _ => verdict,
        }
    }

    /// Whether this database lists the wallet. However old the list is: this judges authors, not newcomers.
    pub fn listed_in(&self, database: DatabaseId, wallet: &Wallet) -> bool {
        let snapshot = self.shared.snapshot.load();
        snapshot.listings.get(&database).is_some_and(|listing| listing.get(wallet.as_bytes()).is_some())
    }

    /// The same of an author. One whom the list lacks may have been registered since it was read, and may never knock here:
    /// once in a while a read is wanted, for the messages to come.
    pub fn author_listed(&self, database: DatabaseId, wallet: &Wallet) -> bool {
        let listed = self.listed_in(database, wallet);
        if !listed {
            self.shared.ask_about_author(database, *wallet, now());
        }
        listed
    }

    /// How many [`GateEvent::Revoked`] the lists in force have led to. Whoever has received fewer still takes somebody for
    /// listed who is not.
    pub fn revocations(&self) -> u64 {
        self.shared.revocations.load(Acquire)
    }

    /// The union of the lists in force, sorted.
    pub fn wallets(&self) -> Vec<Wallet> {
        self.shared.snapshot.load().wallets()
    }

    /// The age of the oldest list in force; `None` when no registry has answered yet. Fixed lists have no age.
    pub fn age(&self) -> Option<Duration> {
        let snapshot = self.shared.snapshot.load();
        let oldest = snapshot.listings.values().filter_map(|listing| listing.taken).min()?;
        Some(now().saturating_duration_since(oldest))
    }

    /// Whether any list is in force.
    pub fn has_list(&self) -> bool {
        self.shared.snapshot.load().listings.values().any(|listing| listing.wallets.is_some())
    }

    /// Whether any list in force names our own wallet.
    pub fn own_listed(&self) -> bool {
        self.shared.snapshot.load().lists(&self.shared.own)
    }

    /// Reads every registry once more, and ends when all have answered; the first that failed is the error. A list that
    /// needs a second read to be believed has not taken effect then.
    pub async fn refresh(&self) -> Result<(), Error> {
        let mut changed = self.shared.changed.subscribe();
        let tickets = self.command(|state| state.ask(None, now()));
        loop {
            let snapshot = self.shared.snapshot.load_full();
            if snapshot.closed {
                return Err(Error::closed());
            }
            match outcome(&snapshot, &tickets) {
                Outcome::Answered => return Ok(()),
                Outcome::Failed(database) => return self.shared.state().failure(database).map_or(Ok(()), Err),
                Outcome::Waiting => _ = changed.changed().await,
            }
        }
    }

    pub fn counters(&self) -> GateCounters {
        self.shared.counters.read()
    }

    /// Ends the task. From now on nobody is admitted; the last lists stay readable.
    pub fn shutdown(&self) {
        self.command(State::close);
    }

    /// Waits for reads that start now or later, as long as one of them may still list the peer.
    async fn ask(&self, peer: &PeerId) -> Verdict {
        let (Some(key), Ok(wallet)) = (ed25519_key(peer), Wallet::from_peer_id(peer)) else {
            return Verdict::Refuse(Refusal::NotEd25519);
        };
        let mut changed = self.shared.changed.subscribe();
        let tickets = self.command(|state| state.ask(Some(wallet), now()));
        let settled = async {
            loop {
                if let Some(verdict) = settle(&self.shared.snapshot.load(), key, &tickets, now()) {
                    return verdict;
                }
                _ = changed.changed().await;
            }
        };
        let verdict = time::timeout(self.shared.config.timeout, settled).await.unwrap_or(Verdict::Unknown);
        tracing::debug!(peer_id = %peer, authorized = matches!(verdict, Verdict::Admit(_)), "asked the registries");
        if verdict == Verdict::Refuse(Refusal::NotListed) {
            self.shared.remembered().remember(wallet, now());
        }
        verdict
    }

    fn command<R>(&self, command: impl FnOnce(&mut State) -> R) -> R {
        let result = self.shared.update(command);
        self.shared.wake.notify_one();
        result
    }
}

/// The key inside the peer id, unchecked: an identity multihash of an Ed25519 key in its protobuf form.
fn ed25519_key(peer: &PeerId) -> Option<&[u8; 32]> {
    const IDENTITY: u64 = 0;
    const PROTOBUF: &[u8] = &[8, 1, 18, 32];
    let multihash = peer.as_ref();
    let key = multihash.digest().strip_prefix(PROTOBUF).filter(|_| multihash.code() == IDENTITY)?;
    key.try_into().ok()
}

/// The only clock of the gate; tests stop it.
fn now() -> Instant {
    time::Instant::now().into_std()
}
