//! Databases of a node: their lists, and the events that go out and come in.

use std::{
    sync::{Arc, atomic::Ordering},
    time::SystemTime,
};

use depinmesh_mailbox::Limits;
use libp2p::PeerId;

use super::Node;
use crate::{
    error::Error,
    events::Value,
    gate::{DatabaseId, Listed, WalletSource},
    peer::PeerInfo,
    pubsub::{Delivered, envelope, outbox::Outgoing, topics::Subscription, wire},
    swarm::commands::Command,
};

impl Node {
    /// Opens a database: its wallets join the union that the gate admits.
    pub fn attach(&self, name: &str, source: WalletSource) -> Result<DatabaseId, Error> {
        let gate = self.running()?;
        let database = self.next_database.fetch_add(1, Ordering::Relaxed);
        self.shared.topics.attach(database, name)?;
        if let Err(error) = gate.attach(database, name, source) {
            self.shared.topics.detach(database);
            return Err(error);
        }
        self.shared.topics.announce();
        tracing::info!(database_name = name, peer_id = %self.author.peer, "opened a database");
        Ok(database)
    }

    /// Replaces the list of a database; a registry is asked again when its time has come.
    pub fn set_wallets(&self, database: DatabaseId, wallets: Listed) -> Result<(), Error> {
        self.running()?.set_wallets(database, wallets);
        Ok(())
    }

    /// Ends when what was published in the database has left, or after about a second. For whoever is about to detach it,
    /// which puts those out whom no other database lists.
    pub fn wait_sent(&self, op: u64, database: DatabaseId) {
        self.send(op, Command::WaitSent { op, database });
    }

    pub fn detach(&self, database: DatabaseId) {
        let name = self.shared.topics.name(database);
        self.shared.topics.detach(database);
        if let Ok(database) = name {
            tracing::info!(database, "closed a database");
        }
        if let Some(gate) = self.shared.gate.get() {
            gate.detach(database);
        }
    }

    /// Puts one event into the queue to the network. `message_json` is valid JSON.
    pub fn publish(&self, database: DatabaseId, topic: &str, message_json: &[u8]) -> Result<Arc<Delivered>, Error> {
        if self.shared.is_closed() {
            return Err(Error::closed());
        }
        let full_topic = self.shared.topics.full_name(database, topic)?;
        let received_at = SystemTime::now();
        let timestamp = seconds(received_at);
        let id = envelope::new_id();
        let data = envelope::encode(&id, &self.author.peer_text, message_json, timestamp);
        wire::check_size(data.len(), &full_topic, self.config.pubsub.max_message_size)?;
        // The message stands before `,"timestamp":<digits>}`.
        let end = data.len() - (",\"timestamp\":}".len() + decimal_digits(timestamp));
        let event = Arc::new(Delivered {
            id,
            topic: Arc::from(topic),
            author: Arc::clone(&self.author),
            message: end - message_json.len()..end,
            data,
            timestamp,
            received_at,
        });
        self.shared.outbox.push(Outgoing { full_topic, event: Arc::clone(&event) })?;
        // Its fields are made only where somebody wants to see them.
        tracing::debug!(
            topic,
            full_topic_name = self.shared.topics.full_name(database, topic).ok(),
            event_id = &*event.id,
            database = self.shared.topics.name(database).ok(),
            "published an event"
        );
        Ok(event)
    }

    /// Refuses what [`Node::publish`] would never take, whoever is there to hear it: so many bytes of JSON on this topic.
    pub fn check_size(&self, database: DatabaseId, topic: &str, message: usize) -> Result<(), Error> {
        let full_topic = self.shared.topics.full_name(database, topic)?;
        let around = envelope::encode(&envelope::new_id(), &self.author.peer_text, b"", seconds(SystemTime::now()));
        wire::check_size(around.len() + message, &full_topic, self.config.pubsub.max_message_size)
    }

    /// Ends when the queue to the network has room again for events of the topic.
    pub fn wait_writable(&self, op: u64, database: DatabaseId, topic: &str) -> Result<(), Error> {
        let full_topic = self.shared.topics.full_name(database, topic)?;
        if self.shared.outbox.wait(op, full_topic) {
            self.shared.done(op, Value::None);
        }
        Ok(())
    }

    pub fn subscribe(&self, database: DatabaseId, topic: &str, limits: Limits) -> Result<Arc<Subscription>, Error> {
        if self.shared.is_closed() {
            return Err(Error::closed());
        }
        let full = self.shared.topics.full_name(database, topic)?;
        let (id, ring) = self.shared.topics.subscribe(database, topic, limits)?;
        let name = self.shared.topics.name(database).unwrap_or_default();
        tracing::info!(topic, full_topic_name = full, database = name, "subscribed to a topic");
        let topics = Arc::clone(&self.shared.topics);
        let on_close = move || topics.unsubscribe(&full, id);
        let counters = Arc::clone(&self.shared.counters);
        Ok(Arc::new(Subscription { id, ring, counters, on_close: Box::new(on_close) }))
    }

    /// The listed peers that are known to be subscribed to the topic.
    pub fn topic_peers(&self, database: DatabaseId, topic: &str) -> Result<Vec<PeerId>, Error> {
        let full = self.shared.topics.full_name(database, topic)?;
        let peers = self.shared.all_peers();
        Ok(self.shared.topics.with_peers(&full, |subscribed| {
            let known = peers.iter().filter(|info| self.counts(database, subscribed, info));
            known.map(|info| info.peer).collect()
        }))
    }

    /// Whether there are `n` of them or more. Asked before each event that waits for peers, so nothing is copied.
    pub fn has_topic_peers(&self, database: DatabaseId, topic: &str, n: usize) -> Result<bool, Error> {
        let full = self.shared.topics.full_name(database, topic)?;
        let peers = self.shared.all_peers();
        Ok(self.shared.topics.with_peers(&full, |subscribed| {
            let known = peers.iter().filter(|info| self.counts(database, subscribed, info));
            known.take(n).count() >= n
        }))
    }

    pub fn wait_for_peers(&self, op: u64, database: DatabaseId, topic: &str, n: usize) -> Result<(), Error> {
        let full_topic = self.shared.topics.full_name(database, topic)?;
        self.send(op, Command::WaitForPeers { op, database, full_topic, n });
        Ok(())
    }

    /// A connected peer that is among the subscribers of a topic, which are in order, and on the database's list.
    fn counts(&self, database: DatabaseId, subscribed: &[PeerId], info: &PeerInfo) -> bool {
        subscribed.binary_search(&info.peer).is_ok() && self.shared.is_peer_of(Some(database), info)
    }
}

/// As an event has it: whole seconds since 1970.
fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

const fn decimal_digits(mut number: i64) -> usize {
    let mut digits = 1;
    while number >= 10 {
        number /= 10;
        digits += 1;
    }
    digits
}
