//! The checks on a message from the network, in their order, and the way of its events into the subscriptions.
//!
//! Signature, author and sequence number were verified by gossip before (strict signing). Then: author not this node, and
//! in the database's list, size, JSON and envelope, `from_peer`, timestamp, duplicate, replay. Each refusal is counted;
//! nothing that fails is delivered. A message is forwarded when an event in it was delivered: what one signature covers
//! cannot be taken apart, and each node checks each event. All of it happens before the host language sees an object.

use std::{
    collections::HashMap,
    mem,
    ops::Range,
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use libp2p::{
    PeerId,
    gossipsub::{Message, MessageAcceptance},
};

use crate::{
    defences,
    events::NodeEvent,
    gate::Gate,
    identity::Wallet,
    limited::Limited,
    metrics::Counters,
    pubsub::{
        Author, Delivered,
        batch::{self, Parts},
        duplicates::Duplicates,
        envelope::{self, Defect, Envelope},
        replay::{ReplayWindow, Verdict},
        topics::{Route, Topics},
        wire,
    },
};

/// What became of a message.
pub(crate) struct Outcome {
    /// What gossip is told: only accepted messages are forwarded.
    pub acceptance: MessageAcceptance,
    /// What the host is told: events that were dropped, or that full queues lost to take these.
    pub losses: Vec<NodeEvent>,
}

pub(crate) struct Receiver {
    own: PeerId,
    gate: Gate,
    topics: Arc<Topics>,
    counters: Arc<Counters>,
    max_message_size: usize,
    authors: HashMap<PeerId, Arc<Author>>,
    duplicates: Duplicates,
    replay: ReplayWindow,
    /// Of the warning about clocks, which anybody listed can cause.
    clocks: Limited,
    drops: Limited,
}

impl Receiver {
    pub(crate) fn new(
        own: PeerId,
        gate: Gate,
        topics: Arc<Topics>,
        counters: Arc<Counters>,
        max_message_size: usize,
    ) -> Self {
        Self {
            own,
            gate,
            topics,
            counters,
            max_message_size,
            authors: HashMap::new(),
            duplicates: Duplicates::new(wire::SEEN_TIME),
            replay: ReplayWindow::default(),
            clocks: Limited::default(),
            drops: Limited::default(),
        }
    }

    /// The author is back on a connection of its own: its sequence numbers may start anew, whatever its clock says.
    pub(crate) fn fresh_connection(&mut self, wallet: &Wallet) {
        self.replay.reset(wallet);
    }

    /// The author has left the list.
    pub(crate) fn forget(&mut self, wallet: &Wallet) {
        self.replay.leave(wallet);
        self.authors.remove(&wallet.peer_id());
    }

    /// The author is on the list again, or for the first time.
    pub(crate) fn readmit(&mut self, wallet: &Wallet) {
        self.replay.come_back(wallet);
    }

    /// Takes the data out of a message that is delivered.
    pub(crate) fn receive(&mut self, message: &mut Message, now: Instant) -> Outcome {
        let carried = Parts::of(&message.data).count() as u64;
        self.counters.received.add(carried);
        self.counters.received_bytes.add(message.data.len() as u64);
        self.counters.received_batches.add(u64::from(batch::is_batch(&message.data)));
        let Some(route) = self.topics.route(message.topic.as_str()) else {
            // Unsubscribed between the arrival and now: nobody here may judge it.
            self.counters.dropped.add("not-subscribed", carried);
            return Outcome { acceptance: MessageAcceptance::Ignore, losses: Vec::new() };
        };
        let source = message.source;
        let mut drops = Drops::default();
        let events = self.judge(message, &route, now, &mut drops).unwrap_or_else(|drop| {
            drops = Drops(vec![(drop, carried)]);
            Vec::new()
        });
        let acceptance = if events.is_empty() { drops.acceptance() } else { MessageAcceptance::Accept };
        self.counters.accepted.add(events.len() as u64);
        let mut losses = Vec::new();
        for (Drop { reason, .. }, count) in drops.0 {
            self.counters.dropped.add(reason, count);
            self.report(&route.bare, source, reason, count, now);
            losses.push(NodeEvent::MessageDropped { topic: route.bare.to_string(), author: source, reason, count });
        }
        let lost = events.into_iter().map(|event| deliver(event, &route)).sum();
        if lost > 0 {
            self.counters.overflowed.add(lost);
            losses.push(NodeEvent::QueueOverflow { topic: route.bare.to_string(), count: lost });
        }
        Outcome { acceptance, losses }
    }

    /// Tells the operator, once a second. That events come twice, or back to their author, is the way of gossip.
    fn report(&mut self, topic: &str, from: Option<PeerId>, reason: &str, count: u64, now: Instant) {
        let from = from.map(PeerId::to_base58);
        if matches!(reason, "duplicate" | "replay" | "own") {
            tracing::debug!(topic, from, reason, count, "dropped an event");
        } else if let Some(more) = self.drops.pass(now) {
            tracing::warn!(topic, from, reason, count, more, "dropped an event");
        }
    }

    /// The events to deliver, in their order; those that are dropped are put into `drops`. `Err`: all of them are.
    fn judge(
        &mut self,
        message: &mut Message,
        route: &Route,
        now: Instant,
        drops: &mut Drops,
    ) -> Result<Vec<Delivered>, Drop> {
        let full = message.topic.as_str();
        if message.source == Some(self.own) {
            // We have sent it ourselves, before we were started anew or longer ago than gossip remembers.
            return Err(Drop::ignored("own"));
        }
        let author =
            message.source.and_then(|peer| self.author(peer, route)).ok_or(Drop::ignored("author-not-listed"))?;
        let is_batch = batch::is_batch(&message.data);
        if is_batch && message.data.len() > wire::MAX_BATCH {
            return Err(Drop::rejected("too-large"));
        }
        let mut good = Vec::with_capacity(1);
        for part in Parts::of(&message.data) {
            let judged = match part {
                Ok(range) => self.envelope(&message.data[range.clone()], full, &author, now).map(|read| (range, read)),
                Err(batch::Broken) => Err(Drop::rejected("bad-batch")),
            };
            match judged {
                Ok(event) => good.push(event),
                Err(drop) => drops.add(drop),
            }
        }
        if good.is_empty() {
            return Ok(Vec::new());
        }
        let received_at = SystemTime::now();
        let number = message.sequence_number.ok_or(Drop::rejected("no-sequence-number"))?;
        self.check_replay(&author.wallet, number, received_at, now)?;
        let delivered = |(range, envelope): (Range<usize>, Envelope)| Delivered {
            id: envelope.id,
            topic: Arc::clone(&route.bare),
            author: Arc::clone(&author),
            // A copy of its own in a batch: one event that waits long must not keep all of them in memory.
            data: if is_batch { message.data[range].to_vec() } else { mem::take(&mut message.data) },
            message: envelope.message.unwrap_or_default(),
            timestamp: envelope.timestamp,
            received_at,
        };
        Ok(good.into_iter().map(delivered).collect())
    }

    /// Reads one event, and notes that it was here.
    fn envelope(&mut self, data: &[u8], full: &str, author: &Author, now: Instant) -> Result<Envelope, Drop> {
        if wire::check_size(data.len(), full, self.max_message_size).is_err() {
            return Err(Drop::rejected("too-large"));
        }
        let envelope = envelope::decode(data, &author.peer_text).map_err(|defect| match defect {
            // An honest forwarder may pass it on unread: it is not the forwarder's fault.
            Defect::FromPeer => Drop::ignored(defect.as_str()),
            _ => Drop::rejected(defect.as_str()),
        })?;
        let seen = self.duplicates.seen(&author.wallet, &envelope.id, now);
        self.counters.forgotten.add(self.duplicates.take_forgotten());
        if seen {
            return Err(Drop::ignored("duplicate"));
        }
        Ok(envelope)
    }

    fn check_replay(&mut self, author: &Wallet, number: u64, unix: SystemTime, now: Instant) -> Result<(), Drop> {
        match self.replay.check(author, number, unix_ns(unix), now) {
            Verdict::Fresh | Verdict::Untracked => return Ok(()),
            Verdict::Replayed => {}
            Verdict::Behind { by } => {
                if self.clocks.pass(now).is_some() {
                    tracing::warn!(
                        %author, behind_s = by.as_secs(),
                        "an event was dropped as a replay: if its author has just started, the author's clock was set back",
                    );
                }
            }
        }
        Err(Drop::ignored("replay"))
    }

    /// The author, if this database lists its wallet.
    fn author(&mut self, peer: PeerId, route: &Route) -> Option<Arc<Author>> {
        let author = match self.authors.get(&peer) {
            Some(author) => Arc::clone(author),
            None => Arc::new(Author::new(peer, Wallet::from_peer_id(&peer).ok()?)),
        };
        if defences::AUTHOR_CHECK && !self.gate.author_listed(route.database, &author.wallet) {
            return None;
        }
        // Only listed authors are remembered, so the list bounds the memory.
        Some(Arc::clone(self.authors.entry(peer).or_insert(author)))
    }
}

/// Puts it into every subscription; returns how many events these lost for it.
fn deliver(event: Delivered, route: &Route) -> u64 {
    tracing::debug!(
        topic = &*event.topic,
        from = event.author.peer_text,
        event_id = &*event.id,
        timestamp = event.timestamp,
        "received an event"
    );
    let size = event.data.len();
    let event = Arc::new(event);
    route.rings.iter().map(|ring| ring.push(Arc::clone(&event), size).dropped as u64).sum()
}

/// What was dropped of one message, and how many events of each kind.
#[derive(Default)]
struct Drops(Vec<(Drop, u64)>);

impl Drops {
    fn add(&mut self, drop: Drop) {
        match self.0.iter_mut().find(|(other, _)| *other == drop) {
            Some((_, count)) => *count += 1,
            None => self.0.push((drop, 1)),
        }
    }

    /// Of a message without a good event: it is rejected when nobody should have passed it on.
    fn acceptance(&self) -> MessageAcceptance {
        if self.0.iter().any(|(drop, _)| drop.rejected) { MessageAcceptance::Reject } else { MessageAcceptance::Ignore }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Drop {
    reason: &'static str,
    rejected: bool,
}

impl Drop {
    /// Not delivered, not forwarded; whoever passed it on did nothing wrong.
    const fn ignored(reason: &'static str) -> Self {
        Self { reason, rejected: false }
    }

    /// Not delivered, not forwarded; nobody should have passed it on.
    const fn rejected(reason: &'static str) -> Self {
        Self { reason, rejected: true }
    }
}

fn unix_ns(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
