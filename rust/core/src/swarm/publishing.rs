//! What the node says: its subscriptions, and the events that wait in the outbox.

use std::time::{Duration, Instant};

use libp2p::gossipsub::{IdentTopic, MessageAcceptance, PublishError, TopicHash};

use crate::{
    events::Value,
    pubsub::{batch, outbox::Outgoing},
    swarm::task::Task,
};

/// Work between two looks at everything else, so that neither publishing nor receiving starves the other.
pub(super) const PUBLISH_BUDGET: usize = 32;
/// How long a topic waits when the queues to all of its peers are full; twice as long each time, while nobody takes anything.
pub(super) const RETRY: Duration = Duration::from_millis(10);
const LONGEST_RETRY: Duration = Duration::from_millis(160);
/// One warning about a topic without a subscriber in this time.
const UNHEARD_EVERY: Duration = Duration::from_secs(60);
const UNHEARD_TOPICS: usize = 1_024;

/// What leaves as one message: one event as it is, or several of one topic in a batch.
struct Parcel {
    events: Vec<Outgoing>,
    data: Vec<u8>,
}

impl Parcel {
    fn of(event: Outgoing) -> Self {
        Self { data: event.envelope().to_vec(), events: vec![event] }
    }
}

impl Task {
    pub(super) fn sync_topics(&mut self) {
        let changes = self.shared.topics.take_changes();
        let gossip = &mut self.swarm.behaviour_mut().gossip.inner;
        // First, as others take so many topics of a node and no more.
        for full in changes.unsubscribe {
            gossip.unsubscribe(&IdentTopic::new(full));
        }
        for full in changes.subscribe {
            if let Err(error) = gossip.subscribe(&IdentTopic::new(&full)) {
                tracing::error!(topic = full, %error, "gossip refused a subscription");
            }
        }
        if changes.databases {
            for (peer, topics) in gossip.all_peers() {
                for topic in topics {
                    self.shared.topics.peer_joined(topic.as_str(), *peer);
                }
            }
            self.sync_rendezvous();
            let open = self.shared.topics.databases();
            self.ops.check_databases(|database| open.iter().any(|(id, _)| *id == database), &self.shared);
            if !open.is_empty() && self.bootstrap.start() {
                self.ask_bootstrap();
            }
            self.update_views();
        }
    }

    pub(super) fn may_publish(&self) -> bool {
        self.paused_until.is_none() && !self.awaits_revocation()
    }

    /// Returns how many messages it has signed.
    pub(super) fn publish(&mut self) -> usize {
        let now = Instant::now();
        self.published_at = Some(now);
        let mut signed = 0;
        while signed < PUBLISH_BUDGET {
            let Some(parcel) = self.parcel() else { break };
            // Asked of each event after it was taken: a list may have come into force before it was published.
            if self.awaits_revocation() {
                self.shared.outbox.put_back(parcel.events.into_iter());
                break;
            }
            self.send(parcel, now);
            signed += 1;
        }
        self.tell_writable();
        signed
    }

    /// Tries the topics again of which nobody has taken anything.
    pub(super) fn retry(&mut self, now: Instant) {
        self.retry_at = None;
        self.retry_pause = (self.retry_pause * 2).clamp(RETRY, LONGEST_RETRY);
        for event in self.shared.outbox.take_aside(PUBLISH_BUDGET) {
            let full_topic = event.full_topic.clone();
            if self.awaits_revocation() {
                self.shared.outbox.set_aside(&full_topic, vec![event]);
                self.retry_at = Some(now);
            } else if self.send(Parcel::of(event), now) {
                self.shared.outbox.rejoin(&full_topic);
                self.retry_pause = RETRY;
            }
        }
        // There were more topics than one round tries, and all of these left.
        if self.retry_at.is_none() && self.shared.outbox.has_aside() {
            self.retry_at = Some(now);
            self.tick_at = now;
        }
        self.tell_writable();
    }

    /// `false`: it waits aside.
    fn send(&mut self, parcel: Parcel, now: Instant) -> bool {
        let Parcel { events, data } = parcel;
        let full_topic = events[0].full_topic.clone();
        match self.swarm.behaviour_mut().gossip.inner.publish(TopicHash::from_raw(full_topic.clone()), data) {
            Ok(_) => {
                let counters = &self.shared.counters;
                counters.published.add(events.len() as u64);
                counters.published_bytes.add(events.iter().map(|event| event.envelope().len() as u64).sum());
                counters.published_batches.add(u64::from(events.len() > 1));
            }
            Err(PublishError::NoPeersSubscribedToTopic) => self.unheard(full_topic, events.len(), now),
            // No peer took it. Who publishes on the topic waits, as its queue fills up; one slow peer among others does
            // not do this.
            Err(PublishError::AllQueuesFull(copies)) => {
                self.retried += copies as u64;
                self.forget_unsent();
                self.shared.outbox.set_aside(&full_topic, events);
                let at = *self.retry_at.get_or_insert(now + self.retry_pause);
                self.tick_at = self.tick_at.min(at);
                return false;
            }
            Err(error) => {
                self.shared.counters.unsent.add(events.len() as u64);
                tracing::error!(topic = full_topic, %error, "gossip refused an event");
            }
        }
        true
    }

    /// Gossip keeps, and announces, also what it could not send. It is sent again as another message, so whoever is
    /// told of this one would get the event twice.
    fn forget_unsent(&mut self) {
        let own = *self.swarm.local_peer_id();
        let gossip = &mut self.swarm.behaviour_mut().gossip.inner;
        gossip.report_message_validation_result(&self.last_message.id(), &own, MessageAcceptance::Ignore);
    }

    fn tell_writable(&self) {
        for op in self.shared.outbox.writable() {
            self.shared.done(op, Value::None);
        }
    }

    /// The event that has waited longest, with those of its topic that wait behind it where a batch may be sent.
    fn parcel(&self) -> Option<Parcel> {
        let outbox = &self.shared.outbox;
        let first = outbox.take()?;
        if self.config.pubsub.batching && outbox.has(&first.full_topic) && self.all_read_batches(&first.full_topic) {
            let mut batch = batch::Writer::new(self.config.pubsub.max_message_size);
            if batch.add(first.envelope()) {
                let more = outbox.take_of(&first.full_topic, |event| batch.add(event.envelope()));
                if !more.is_empty() {
                    let events = std::iter::once(first).chain(more).collect();
                    return Some(Parcel { events, data: batch.finish() });
                }
            }
        }
        Some(Parcel::of(first))
    }

    /// Whether all who are known on the topic are nodes of this library. Who has not said yet what it is may be another.
    fn all_read_batches(&self, full_topic: &str) -> bool {
        // Gossip may know peers of a topic of which the index knows none, as that of a database that was closed.
        let peers = self.shared.topics.peers(full_topic);
        !peers.is_empty() && peers.iter().all(|peer| self.peers.is_ours(peer))
    }

    fn unheard(&mut self, full_topic: String, events: usize, now: Instant) {
        self.shared.counters.published_unheard.add(events as u64);
        if self.unheard.get(&full_topic).is_some_and(|last| now.duration_since(*last) < UNHEARD_EVERY) {
            return;
        }
        if self.unheard.len() >= UNHEARD_TOPICS {
            self.unheard.retain(|_, last| now.duration_since(*last) < UNHEARD_EVERY);
        }
        // Of more topics in a minute the counter alone tells.
        if self.unheard.len() < UNHEARD_TOPICS {
            tracing::warn!(topic = full_topic, "published to nobody: no connected peer is subscribed to the topic");
            self.unheard.insert(full_topic, now);
        }
    }
}
