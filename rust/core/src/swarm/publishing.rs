//! What the node says: its subscriptions, and the events that wait in the outbox.

use std::time::{Duration, Instant};

use libp2p::gossipsub::{IdentTopic, PublishError, TopicHash};

use crate::{events::Value, swarm::task::Task};

/// Work between two looks at everything else, so that neither publishing nor receiving starves the other.
const PUBLISH_BUDGET: usize = 32;
/// How long publishing pauses when the queues to all peers are full.
const PAUSE: Duration = Duration::from_millis(10);
/// One warning about a topic without a subscriber in this time.
const UNHEARD_EVERY: Duration = Duration::from_secs(60);
const UNHEARD_TOPICS: usize = 1_024;

impl Task {
    pub(super) fn sync_topics(&mut self) {
        let changes = self.shared.topics.take_changes();
        let gossip = &mut self.swarm.behaviour_mut().gossip.0;
        for full in changes.subscribe {
            if let Err(error) = gossip.subscribe(&IdentTopic::new(&full)) {
                tracing::error!(topic = full, %error, "gossip refused a subscription");
            }
        }
        for full in changes.unsubscribe {
            gossip.unsubscribe(&IdentTopic::new(full));
        }
        if changes.databases {
            for (peer, topics) in gossip.all_peers() {
                for topic in topics {
                    self.shared.topics.peer_joined(topic.as_str(), *peer);
                }
            }
            self.sync_rendezvous();
            if !self.shared.topics.databases().is_empty() && self.bootstrap.start() {
                self.ask_bootstrap();
            }
            self.update_views();
        }
    }

    pub(super) fn publish(&mut self) {
        let (events, writable) = self.shared.outbox.take(PUBLISH_BUDGET);
        let now = Instant::now();
        self.published_at = Some(now);
        let mut events = events.into_iter();
        while let Some(event) = events.next() {
            let size = event.envelope.len() as u64;
            let topic = TopicHash::from_raw(event.full_topic.clone());
            match self.swarm.behaviour_mut().gossip.0.publish(topic, event.envelope.clone()) {
                Ok(_) => {
                    self.shared.counters.published.add(1);
                    self.shared.counters.published_bytes.add(size);
                }
                Err(PublishError::NoPeersSubscribedToTopic) => self.unheard(event.full_topic, now),
                // No peer took it. The publisher waits, as its queue fills up; one slow peer among others does not do this.
                Err(PublishError::AllQueuesFull(copies)) => {
                    self.retried += copies as u64;
                    self.paused_until = Some(now + PAUSE);
                    self.tick_at = self.tick_at.min(now + PAUSE);
                    self.shared.outbox.put_back(std::iter::once(event).chain(events));
                    break;
                }
                Err(error) => tracing::error!(topic = event.full_topic, %error, "gossip refused an event"),
            }
        }
        for op in writable {
            self.shared.done(op, Value::None);
        }
    }

    fn unheard(&mut self, full_topic: String, now: Instant) {
        self.shared.counters.published_unheard.add(1);
        if self.unheard.get(&full_topic).is_some_and(|last| now.duration_since(*last) < UNHEARD_EVERY) {
            return;
        }
        if self.unheard.len() >= UNHEARD_TOPICS {
            self.unheard.retain(|_, last| now.duration_since(*last) < UNHEARD_EVERY);
        }
        tracing::warn!(topic = full_topic, "published to nobody: no connected peer is subscribed to the topic");
        if self.unheard.len() < UNHEARD_TOPICS {
            self.unheard.insert(full_topic, now);
        }
    }
}
