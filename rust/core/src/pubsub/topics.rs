//! Which topics this node is subscribed to, for whom, and which peers are known on them.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use depinmesh_mailbox::{Limits, Mailbox, Ring, RingStats, Taken, ring};
use libp2p::PeerId;
use tokio::sync::Notify;

use crate::{
    error::{Error, ErrorKind},
    events::Control,
    gate::DatabaseId,
    metrics::Counters,
    pubsub::{Delivered, known::Known, wire},
};

pub(crate) type EventRing = Ring<Control, Arc<Delivered>>;

/// One local topic: its subscriptions share one gossip subscription.
struct Topic {
    database: DatabaseId,
    bare: Arc<str>,
    rings: Vec<(u64, Arc<EventRing>)>,
}

#[derive(Default)]
struct State {
    databases: HashMap<DatabaseId, String>,
    topics: HashMap<String, Topic>,
    /// Sum of what the subscriptions add to the first message to a new peer.
    hello: usize,
    /// Peers on the topics of attached databases.
    known: Known,
    /// Topics that gossip has to be told about.
    dirty: HashSet<String>,
    /// Those that it subscribes to.
    told: HashSet<String>,
    databases_changed: bool,
}

pub(crate) struct Topics {
    mailbox: Arc<Mailbox<Control>>,
    state: Mutex<State>,
    changed: Notify,
    next_id: AtomicU64,
    /// Messages on topics that nobody takes, since they were counted: see [`super::wanted`].
    pub refused: AtomicU64,
}

/// A received event's way: the database it belongs to and the rings that want it.
pub(crate) struct Route {
    pub database: DatabaseId,
    pub bare: Arc<str>,
    pub rings: Vec<Arc<EventRing>>,
}

/// What gossip has to be told. A topic that was left and taken again in between is not among it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub subscribe: Vec<String>,
    pub unsubscribe: Vec<String>,
    /// Databases came or went: the index of peers has to be made anew.
    pub databases: bool,
}

impl Topics {
    pub(crate) fn new(mailbox: Arc<Mailbox<Control>>) -> Arc<Self> {
        Arc::new(Self {
            mailbox,
            state: Mutex::default(),
            changed: Notify::new(),
            next_id: AtomicU64::new(1),
            refused: AtomicU64::new(0),
        })
    }

    /// Takes the name. The network hears of it by [`Topics::announce`].
    pub(crate) fn attach(&self, database: DatabaseId, name: &str) -> Result<(), Error> {
        wire::check_database(name)?;
        let mut state = self.state();
        if state.databases.values().any(|other| other == name) {
            let text = format!("the database '{name}' is open on this node already; use the open one");
            return Err(Error::new(ErrorKind::Config, text).with("database", name));
        }
        state.databases.insert(database, name.to_owned());
        Ok(())
    }

    /// Databases came, and the gate knows whom they admit: only then the network may dial for them.
    pub(crate) fn announce(&self) {
        self.state().databases_changed = true;
        self.changed.notify_one();
    }

    /// Ends every subscription of the database.
    pub(crate) fn detach(&self, database: DatabaseId) {
        let mut state = self.state();
        state.databases.remove(&database);
        let gone: Vec<String> =
            state.topics.iter().filter(|(_, topic)| topic.database == database).map(|(full, _)| full.clone()).collect();
        for full in &gone {
            state.hello -= wire::hello_bytes(full);
            for (_, ring) in state.topics.remove(full).into_iter().flat_map(|topic| topic.rings) {
                ring.close();
            }
        }
        let State { databases, known, dirty, databases_changed, .. } = &mut *state;
        known.retain(|full| belongs(databases, full));
        dirty.extend(gone);
        *databases_changed = true;
        self.changed.notify_one();
    }

    /// Resolves after a change; then [`Topics::take_changes`] says which.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(crate) fn take_changes(&self) -> Changes {
        let mut state = self.state();
        let (subscribe, unsubscribe): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.dirty).into_iter().partition(|full| state.topics.contains_key(full));
        for full in &unsubscribe {
            state.told.remove(full);
        }
        state.told.extend(subscribe.iter().cloned());
        Changes { subscribe, unsubscribe, databases: std::mem::take(&mut state.databases_changed) }
    }

    pub(crate) fn name(&self, database: DatabaseId) -> Result<String, Error> {
        self.state().databases.get(&database).cloned().ok_or_else(Error::database_closed)
    }

    /// All attached databases.
    pub(crate) fn databases(&self) -> Vec<(DatabaseId, String)> {
        self.state().databases.iter().map(|(id, name)| (*id, name.clone())).collect()
    }

    pub(crate) fn full_name(&self, database: DatabaseId, topic: &str) -> Result<String, Error> {
        let state = self.state();
        let name = state.databases.get(&database).ok_or_else(Error::database_closed)?;
        wire::full_topic(name, topic)
    }

    pub(crate) fn subscribe(
        &self,
        database: DatabaseId,
        topic: &str,
        limits: Limits,
    ) -> Result<(u64, Arc<EventRing>), Error> {
        let full = self.full_name(database, topic)?;
        let mut state = self.state();
        match state.topics.get(&full) {
            Some(other) if other.database != database => {
                let text = format!(
                    "'{full}' is on the wire the name of a topic of another database of this node too; rename one of them"
                );
                return Err(Error::new(ErrorKind::Topic, text).with("topic", topic));
            }
            Some(_) => {}
            None => {
                wire::check_hello(state.topics.len(), state.hello, &full)?;
                state.hello += wire::hello_bytes(&full);
                let entry = Topic { database, bare: Arc::from(topic), rings: Vec::new() };
                state.topics.insert(full.clone(), entry);
                state.dirty.insert(full.clone());
                self.changed.notify_one();
            }
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let ring = ring(&self.mailbox, id, limits);
        if let Some(entry) = state.topics.get_mut(&full) {
            entry.rings.push((id, Arc::clone(&ring)));
        }
        Ok((id, ring))
    }

    pub(crate) fn unsubscribe(&self, full: &str, id: u64) {
        let mut state = self.state();
        let State { databases, topics, hello, dirty, .. } = &mut *state;
        let Some(topic) = topics.get_mut(full) else { return };
        topic.rings.retain(|(other, _)| *other != id);
        if topic.rings.is_empty() {
            let database = databases.get(&topic.database);
            tracing::info!(topic = &*topic.bare, database, "unsubscribed from a topic");
            topics.remove(full);
            *hello -= wire::hello_bytes(full);
            dirty.insert(full.to_owned());
            self.changed.notify_one();
        }
    }

    /// Ends all subscriptions: the node closes.
    pub(crate) fn close(&self) {
        for topic in std::mem::take(&mut self.state().topics).into_values() {
            for (_, ring) in topic.rings {
                ring.close();
            }
        }
    }

    pub(crate) fn route(&self, full: &str) -> Option<Route> {
        let state = self.state();
        let topic = state.topics.get(full)?;
        Some(Route {
            database: topic.database,
            bare: Arc::clone(&topic.bare),
            rings: topic.rings.iter().map(|(_, ring)| Arc::clone(ring)).collect(),
        })
    }

    /// Whether gossip has been told of it: before, it would drop the message, and its copies that come a little later.
    pub(crate) fn takes(&self, full: &str) -> bool {
        self.state().told.contains(full)
    }

    pub(crate) fn subscribed(&self) -> usize {
        self.state().topics.len()
    }

    /// Events and bytes that wait in all subscriptions.
    pub(crate) fn queued(&self) -> (usize, usize) {
        let state = self.state();
        let rings = state.topics.values().flat_map(|topic| &topic.rings);
        rings
            .map(|(_, ring)| ring.stats())
            .fold((0, 0), |(events, bytes), stats| (events + stats.pending, bytes + stats.pending_bytes))
    }

    pub(crate) fn peer_joined(&self, full: &str, peer: PeerId) {
        let mut state = self.state();
        if belongs(&state.databases, full) {
            state.known.joined(full, peer);
        }
    }

    pub(crate) fn peer_left(&self, full: &str, peer: &PeerId) {
        self.state().known.left(full, peer);
    }

    pub(crate) fn peer_gone(&self, peer: &PeerId) {
        self.state().known.gone(peer);
    }

    pub(crate) fn peers(&self, full: &str) -> Vec<PeerId> {
        self.state().known.on(full).to_vec()
    }

    /// What `look` makes of the peers known on a topic, which are in order. It must not come back here.
    pub(crate) fn with_peers<T>(&self, full: &str, look: impl FnOnce(&[PeerId]) -> T) -> T {
        look(self.state().known.on(full))
    }

    /// How many of the topics that are subscribed here the peer subscribes to.
    pub(crate) fn shared_with(&self, peer: &PeerId) -> usize {
        let state = self.state();
        if !state.known.is_on_any(peer) {
            return 0;
        }
        state.topics.keys().filter(|full| state.known.on(full).binary_search(peer).is_ok()).count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn belongs(databases: &HashMap<DatabaseId, String>, full: &str) -> bool {
    databases.values().any(|name| wire::belongs(name, full))
}

/// One subscription, as the host language holds it.
pub struct Subscription {
    pub(crate) id: u64,
    pub(crate) ring: Arc<EventRing>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) on_close: Box<dyn Fn() + Send + Sync>,
}

impl Subscription {
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Moves up to `limit` events into `out`. Nothing there: the next event posts the subscription's id.
    pub fn take(&self, limit: usize, out: &mut Vec<Arc<Delivered>>) -> Taken {
        let before = out.len();
        let taken = self.ring.take(limit, out);
        if let Some(oldest) = out.get(before) {
            self.counters.delivered.add((out.len() - before) as u64);
            // A clock that was set back makes it no time at all.
            self.counters.queue_wait.observe(oldest.received_at.elapsed().unwrap_or_default());
        }
        taken
    }

    pub fn stats(&self) -> RingStats {
        self.ring.stats()
    }

    /// Ends the subscription; what nobody took is dropped and counted. Idempotent.
    pub fn close(&self) {
        self.ring.close();
        (self.on_close)();
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests;
