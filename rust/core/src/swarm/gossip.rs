//! GossipSub: how it is set, and what the node makes of what it reports.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use libp2p::{
    PeerId,
    gossipsub::{
        Behaviour as Gossipsub, CallbackSubscriptionFilter, ConfigBuilder, Event, MaxCountSubscriptionFilter, Message,
        MessageAcceptance, MessageAuthenticity, MessageId, PeerScoreParams, PeerScoreThresholds, TopicHash,
        ValidationMode,
    },
    identity::Keypair,
};

use crate::{
    config::PubSubConfig,
    defences,
    events::NodeEvent,
    pubsub::{kept::KeptMessage, wanted::Wanted, wire},
    swarm::task::Task,
};

pub(crate) type Gossip = Gossipsub<Wanted, MaxCountSubscriptionFilter<Names>>;
type Names = CallbackSubscriptionFilter<fn(&TopicHash) -> bool>;

/// The message of this node that gossip made last. Of one that it could not send it says no more than that.
#[derive(Clone)]
pub(crate) struct LastMessage {
    own: PeerId,
    number: Arc<AtomicU64>,
}

impl LastMessage {
    pub(crate) fn new(own: PeerId) -> Self {
        Self { own, number: Arc::default() }
    }

    pub(crate) fn id(&self) -> MessageId {
        message_id(Some(self.own), self.number.load(Ordering::Relaxed))
    }

    fn note(&self, message: &Message) {
        if message.source == Some(self.own) {
            self.number.store(message.sequence_number.unwrap_or_default(), Ordering::Relaxed);
        }
    }
}

/// GossipSub as a Go node runs it; docs/wire.md section 4 has the table. It holds the key, and stays where it is: a move
/// would leave a copy behind that nobody wipes.
pub(crate) fn build(
    key: &Keypair,
    pubsub: &PubSubConfig,
    wanted: Wanted,
    last: LastMessage,
) -> Result<Box<Gossip>, &'static str> {
    let PubSubConfig { max_message_size: _, flood_publish, batching: _ } = pubsub;
    let config = ConfigBuilder::default()
        .max_transmit_size(wire::MAX_RPC + wire::READ_AHEAD)
        .max_control_message_size(wire::MAX_RPC)
        .max_publish_messages(wire::MAX_MESSAGES_OF_RPC)
        .heartbeat_initial_delay(Duration::from_millis(100))
        .duplicate_cache_time(wire::MESSAGE_SEEN_TIME)
        .flood_publish(*flood_publish)
        .validation_mode(if defences::STRICT_SIGNING { ValidationMode::Strict } else { ValidationMode::None })
        .validate_messages()
        // Otherwise what a peer sends back to us after a restart is reported as if it were forged; `receive.rs` drops it.
        .allow_self_origin(true)
        .support_floodsub()
        .connection_handler_queue_len(5_000)
        .message_id_fn(move |message| {
            last.note(message);
            message_id(message.source, message.sequence_number.unwrap_or_default())
        })
        .build()
        .map_err(|_| "the GossipSub settings contradict each other")?;
    let mut gossip = Gossip::new_with_subscription_filter_and_transform(
        MessageAuthenticity::Signed(key.clone()),
        config,
        MaxCountSubscriptionFilter {
            // What it refuses is left out, and what came with that is taken.
            filter: CallbackSubscriptionFilter(wire::may_be_kept),
            max_subscribed_topics: wire::MAX_TOPICS_OF_PEER,
            max_subscriptions_per_request: wire::MAX_TOPICS_OF_PEER,
        },
        wanted,
    )?;
    let (params, thresholds) = no_judgement();
    gossip.with_peer_score(params, thresholds).map_err(|_| "the weights of the scores contradict each other")?;
    Ok(Box::new(gossip))
}

/// Scores that are zero whatever a peer does: nobody is judged by them.
///
/// They are on because the library forgets only then, after three seconds, which message a peer has announced and not sent.
/// Otherwise announcements of messages that there are not fill the memory, and keep true ones from being asked for.
fn no_judgement() -> (PeerScoreParams, PeerScoreThresholds) {
    let params = PeerScoreParams {
        app_specific_weight: 0.0,
        ip_colocation_factor_weight: 0.0,
        behaviour_penalty_weight: 0.0,
        slow_peer_weight: 0.0,
        retain_score: Duration::ZERO,
        ..PeerScoreParams::default()
    };
    let thresholds = PeerScoreThresholds { opportunistic_graft_threshold: 0.0, ..PeerScoreThresholds::default() };
    (params, thresholds)
}

/// Author and sequence number, raw: the id that Go computes. Another one would end gossip repair without an error.
fn message_id(source: Option<PeerId>, number: u64) -> MessageId {
    let mut id = source.map_or_else(Vec::new, PeerId::to_bytes);
    id.extend_from_slice(&number.to_be_bytes());
    MessageId::from(id)
}

impl Task {
    pub(super) fn on_gossip(&mut self, event: Event) {
        match event {
            Event::Message { propagation_source, message_id, mut message } => {
                let (bytes, at) = (message.data.len(), Instant::now());
                let outcome = self.receiver.receive(&mut message, at);
                let passed_on = matches!(outcome.acceptance, MessageAcceptance::Accept);
                let gossip = &mut self.swarm.behaviour_mut().gossip.inner;
                gossip.report_message_validation_result(&message_id, &propagation_source, outcome.acceptance);
                if passed_on {
                    let kept = KeptMessage { id: message_id, source: propagation_source, bytes, at };
                    for old in self.kept.add(message.topic, kept) {
                        // All that this does to a message that was accepted is to forget it.
                        gossip.report_message_validation_result(&old.id, &old.source, MessageAcceptance::Ignore);
                    }
                }
                for loss in outcome.losses {
                    self.emit(loss);
                }
            }
            Event::Subscribed { peer_id, topic } => {
                self.shared.topics.peer_joined(topic.as_str(), peer_id);
                self.check_topic_waiters(Some(topic.as_str()));
            }
            Event::Unsubscribed { peer_id, topic } => {
                self.shared.topics.peer_left(topic.as_str(), &peer_id);
            }
            Event::SlowPeer { peer_id, failed_messages } => {
                let failed = (failed_messages.priority + failed_messages.non_priority) as u64;
                let retried = failed.min(self.retried);
                self.retried -= retried;
                let copies = failed - retried;
                if copies > 0 {
                    self.shared.counters.unsent.add(copies);
                    tracing::warn!(%peer_id, copies, "a peer takes messages too slowly: copies to it were dropped");
                    let dropped = NodeEvent::MessageDropped {
                        topic: String::new(),
                        author: None,
                        reason: "peer-too-slow",
                        count: copies,
                    };
                    self.emit(dropped);
                }
            }
            Event::GossipsubNotSupported { peer_id } => {
                tracing::debug!(%peer_id, "a peer does not speak gossip");
            }
        }
    }
}
