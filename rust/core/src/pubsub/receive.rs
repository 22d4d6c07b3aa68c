//! The checks on a message from the network, in their order, and its way into the subscriptions.
//!
//! Signature, author and sequence number were verified by gossip before (strict signing). Then: author in the
//! database's list, size, JSON and envelope, `from_peer`, timestamp, duplicate, replay. Each refusal is counted; nothing
//! that fails is delivered or forwarded. All of it happens before the host language sees an object.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use libp2p::{
    PeerId,
    gossipsub::{Message, MessageAcceptance},
};

use crate::{
    gate::Gate,
    identity::Wallet,
    limited::Limited,
    metrics::Counters,
    pubsub::{
        Author, Delivered,
        duplicates::Duplicates,
        envelope::{self, Defect},
        replay::{ReplayWindow, Verdict},
        topics::{Route, Topics},
        wire,
    },
};

/// Anybody listed can cause the warning about clocks: one a second is enough.
const WARN_EVERY: Duration = Duration::from_secs(1);

/// What became of a message.
pub(crate) struct Outcome {
    /// What gossip is told: only accepted messages are forwarded.
    pub acceptance: MessageAcceptance,
    /// Why it was dropped: topic, author, reason.
    pub dropped: Option<(String, Option<PeerId>, &'static str)>,
    /// The topic, and how many events its full queues dropped to take this one.
    pub overflowed: Option<(String, u64)>,
}

pub(crate) struct Receiver {
    gate: Gate,
    topics: Arc<Topics>,
    counters: Arc<Counters>,
    max_message_size: usize,
    authors: HashMap<PeerId, Arc<Author>>,
    duplicates: Duplicates,
    replay: ReplayWindow,
    warned: Option<Instant>,
    drops: Limited,
}

impl Receiver {
    pub(crate) fn new(gate: Gate, topics: Arc<Topics>, counters: Arc<Counters>, max_message_size: usize) -> Self {
        Self {
            gate,
            topics,
            counters,
            max_message_size,
            authors: HashMap::new(),
            duplicates: Duplicates::new(wire::SEEN_TIME),
            replay: ReplayWindow::default(),
            warned: None,
            drops: Limited::default(),
        }
    }

    /// The author is back on a connection of its own: its sequence numbers may start anew, whatever its clock says.
    pub(crate) fn fresh_connection(&mut self, wallet: &Wallet) {
        self.replay.reset(wallet);
    }

    /// The author has left the list.
    pub(crate) fn forget(&mut self, wallet: &Wallet) {
        self.replay.forget(wallet);
        self.authors.remove(&wallet.peer_id());
    }

    pub(crate) fn receive(&mut self, message: Message, now: Instant) -> Outcome {
        self.counters.received.add(1);
        self.counters.received_bytes.add(message.data.len() as u64);
        let full = message.topic.as_str().to_owned();
        let Some(route) = self.topics.route(&full) else {
            // Unsubscribed between the arrival and now: nobody here may judge it.
            return Outcome { acceptance: MessageAcceptance::Ignore, dropped: None, overflowed: None };
        };
        let source = message.source;
        match self.judge(message, &full, &route, now) {
            Ok(event) => {
                tracing::debug!(
                    topic = &*event.topic,
                    from = event.author.peer_text,
                    event_id = &*event.id,
                    timestamp = event.timestamp,
                    "received an event"
                );
                let event = Arc::new(event);
                let size = event.data.len();
                let lost: u64 = route.rings.iter().map(|ring| ring.push(Arc::clone(&event), size).dropped as u64).sum();
                self.counters.accepted.add(1);
                self.counters.overflowed.add(lost);
                let overflowed = (lost > 0).then(|| (route.bare.to_string(), lost));
                Outcome { acceptance: MessageAcceptance::Accept, dropped: None, overflowed }
            }
            Err(Drop { reason, acceptance }) => {
                self.counters.dropped.add(reason, 1);
                self.report(&route.bare, source, reason, now);
                Outcome { acceptance, dropped: Some((route.bare.to_string(), source, reason)), overflowed: None }
            }
        }
    }

    /// Tells the operator, once a second. That events come twice is the way of gossip.
    fn report(&mut self, topic: &str, from: Option<PeerId>, reason: &str, now: Instant) {
        let from = from.map(PeerId::to_base58);
        if matches!(reason, "duplicate" | "replay") {
            tracing::debug!(topic, from, reason, "dropped an event");
        } else if let Some(more) = self.drops.pass(now) {
            tracing::warn!(topic, from, reason, more, "dropped an event");
        }
    }

    fn judge(&mut self, message: Message, full: &str, route: &Route, now: Instant) -> Result<Delivered, Drop> {
        let author =
            message.source.and_then(|peer| self.author(peer, route)).ok_or(Drop::ignored("author-not-listed"))?;
        if wire::check_size(message.data.len(), full, self.max_message_size).is_err() {
            return Err(Drop::rejected("too-large"));
        }
        let envelope = envelope::decode(&message.data, &author.peer_text).map_err(|defect| match defect {
            // An honest forwarder may pass it on unread: it is not the forwarder's fault.
            Defect::FromPeer => Drop::ignored(defect.as_str()),
            _ => Drop::rejected(defect.as_str()),
        })?;
        if self.duplicates.seen(&author.wallet, &envelope.id, now) {
            return Err(Drop::ignored("duplicate"));
        }
        let number = message.sequence_number.ok_or(Drop::rejected("no-sequence-number"))?;
        let received_at = SystemTime::now();
        match self.replay.check(&author.wallet, number, unix_ns(received_at), now) {
            Verdict::Fresh | Verdict::Untracked => {}
            Verdict::Replayed => return Err(Drop::ignored("replay")),
            Verdict::Behind { by } => {
                if self.warned.is_none_or(|at| now.duration_since(at) >= WARN_EVERY) {
                    self.warned = Some(now);
                    tracing::warn!(
                        author = %author.wallet, behind_s = by.as_secs(),
                        "an event was dropped as a replay: if its author has just started, the author's clock was set back",
                    );
                }
                return Err(Drop::ignored("replay"));
            }
        }
        Ok(Delivered {
            id: envelope.id,
            topic: Arc::clone(&route.bare),
            author,
            data: message.data,
            message: envelope.message.unwrap_or_default(),
            timestamp: envelope.timestamp,
            received_at,
        })
    }

    /// The author, if this database lists its wallet.
    fn author(&mut self, peer: PeerId, route: &Route) -> Option<Arc<Author>> {
        let author = match self.authors.get(&peer) {
            Some(author) => Arc::clone(author),
            None => Arc::new(Author::new(peer, Wallet::from_peer_id(&peer).ok()?)),
        };
        if !self.gate.author_listed(route.database, &author.wallet) {
            return None;
        }
        // Only listed authors are remembered, so the list bounds the memory.
        Some(Arc::clone(self.authors.entry(peer).or_insert(author)))
    }
}

struct Drop {
    reason: &'static str,
    acceptance: MessageAcceptance,
}

impl Drop {
    /// Not delivered, not forwarded; whoever passed it on did nothing wrong.
    const fn ignored(reason: &'static str) -> Self {
        Self { reason, acceptance: MessageAcceptance::Ignore }
    }

    /// Not delivered, not forwarded; nobody should have passed it on.
    const fn rejected(reason: &'static str) -> Self {
        Self { reason, acceptance: MessageAcceptance::Reject }
    }
}

fn unix_ns(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}
