//! Which messages of others gossip keeps, for peers that missed them.
//!
//! GossipSub announces the messages of the last three seconds and hands out those of the last five, however many and large
//! they are. Once a second it goes through all of them at once, and nothing else of the node runs meanwhile: for 50 to
//! 70 ms where 23,000 arrive in a second. So a topic has a bound, and what is above it is taken from gossip message by
//! message. A Go node has none, and names as many as the bound at random.

use std::{
    collections::{HashMap, VecDeque},
    iter,
    time::{Duration, Instant},
};

use libp2p::{
    PeerId,
    gossipsub::{MessageId, TopicHash},
};

/// Of a topic: as many as one announcement names (docs/wire.md section 4).
const MAX_MESSAGES: usize = 5_000;
const MAX_BYTES: usize = 32 << 20;

/// Older ones gossip announces no more; it forgets them by itself, four seconds after they came or later.
const ANNOUNCED: Duration = Duration::from_secs(3);

/// What gossip was told to pass on within the last three seconds, by topic, so that no topic takes the place of another.
#[derive(Default)]
pub(crate) struct Kept(HashMap<TopicHash, Topic>);

/// The oldest first.
#[derive(Default)]
struct Topic {
    messages: VecDeque<KeptMessage>,
    bytes: usize,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KeptMessage {
    pub id: MessageId,
    /// Who passed it on to this node.
    pub source: PeerId,
    pub bytes: usize,
    pub at: Instant,
}

impl Kept {
    /// Notes a message; returns what gossip has to forget for it.
    pub(crate) fn add(&mut self, topic: TopicHash, message: KeptMessage) -> impl Iterator<Item = KeptMessage> {
        let topic = self.0.entry(topic).or_default();
        topic.forget_old(message.at);
        topic.bytes += message.bytes;
        topic.messages.push_back(message);
        iter::from_fn(move || if topic.is_full() { topic.pop() } else { None })
    }

    /// Leaves nothing behind of topics on which nothing comes any more.
    pub(crate) fn forget_old(&mut self, now: Instant) {
        self.0.retain(|_, topic| {
            topic.forget_old(now);
            !topic.messages.is_empty()
        });
    }
}

impl Topic {
    fn forget_old(&mut self, now: Instant) {
        while self.messages.front().is_some_and(|oldest| now.duration_since(oldest.at) >= ANNOUNCED) {
            self.pop();
        }
    }

    fn is_full(&self) -> bool {
        self.messages.len() > MAX_MESSAGES || self.bytes > MAX_BYTES
    }

    fn pop(&mut self) -> Option<KeptMessage> {
        let oldest = self.messages.pop_front()?;
        self.bytes -= oldest.bytes;
        Some(oldest)
    }
}

#[cfg(test)]
mod tests;
