//! What a connection carries, in the order that security asks for: the guard first (see `swarm/guard.rs`).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use libp2p::{
    PeerId,
    gossipsub::{
        Behaviour as Gossipsub, CallbackSubscriptionFilter, ConfigBuilder, MaxCountSubscriptionFilter, Message,
        MessageAuthenticity, MessageId, PeerScoreParams, PeerScoreThresholds, TopicHash, ValidationMode,
    },
    identify,
    identity::{Keypair, PublicKey},
    mdns, ping, relay,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
};

use crate::{
    addresses::Scope,
    config::PubSubConfig,
    defences,
    discovery::kad::Table,
    nat::{autonat::AutoNat, holepunch::HolePunch, relay_server::RelayServer},
    pubsub::{wanted::Wanted, wire},
    swarm::{after_identify::AfterIdentify, guard::Guard, peers::AGENT},
};

/// docs/wire.md section 7. The library's own failure report comes later than our limit, so `swarm/peers.rs`
/// closes connections by the time of the last success.
const PING_INTERVAL: Duration = Duration::from_secs(2);
pub(crate) const PING_LIMIT: Duration = Duration::from_secs(8);

pub(crate) type Gossip = Gossipsub<Wanted, MaxCountSubscriptionFilter<Names>>;
type Names = CallbackSubscriptionFilter<fn(&TopicHash) -> bool>;

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub guard: Guard,
    pub relay_client: Toggle<relay::client::Behaviour>,
    pub relay_server: Toggle<RelayServer>,
    pub hole_punch: Toggle<HolePunch>,
    pub identify: identify::Behaviour,
    pub ping: ping::Behaviour,
    pub wan: Toggle<Table>,
    pub lan: Toggle<Table>,
    pub mdns: Toggle<mdns::tokio::Behaviour>,
    pub autonat: Toggle<AutoNat>,
    pub gossip: AfterIdentify<Gossip>,
}

/// Ways through a NAT, each if it is on.
#[derive(Default)]
pub(crate) struct Passages {
    pub relay_client: Option<relay::client::Behaviour>,
    pub relay_server: Option<RelayServer>,
    pub hole_punch: Option<HolePunch>,
    pub autonat: Option<AutoNat>,
}

/// What looks for others, each if it is on.
#[derive(Default)]
pub(crate) struct Finders {
    pub wan: Option<Table>,
    pub lan: Option<Table>,
    pub mdns: Option<mdns::tokio::Behaviour>,
}

impl Behaviour {
    /// `announces`: the operator named the addresses; those that are detected stay ours.
    pub(crate) fn new(
        guard: Guard,
        key: PublicKey,
        announces: bool,
        passages: Passages,
        finders: Finders,
        gossip: Box<Gossip>,
    ) -> Self {
        Self {
            guard,
            relay_client: passages.relay_client.into(),
            relay_server: passages.relay_server.into(),
            hole_punch: passages.hole_punch.into(),
            identify: identify::Behaviour::new(
                identify::Config::new("ipfs/0.1.0".to_owned(), key)
                    .with_agent_version(AGENT.to_owned())
                    .with_push_listen_addr_updates(true)
                    .with_hide_listen_addrs(announces)
                    // Our own address book decides what is dialled: identify's cache offers a peer's loopback addresses.
                    .with_cache_size(0),
            ),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(PING_INTERVAL).with_timeout(PING_LIMIT)),
            wan: finders.wan.into(),
            lan: finders.lan.into(),
            mdns: finders.mdns.into(),
            autonat: passages.autonat.into(),
            gossip: AfterIdentify::new(gossip),
        }
    }

    pub(crate) fn table(&mut self, scope: Scope) -> Option<&mut Table> {
        match scope {
            Scope::Wan => self.wan.as_mut(),
            Scope::Lan => self.lan.as_mut(),
        }
    }

    /// None of them where discovery by tables is off.
    pub(crate) fn tables(&mut self) -> impl Iterator<Item = (Scope, &mut Table)> {
        let wan = self.wan.as_mut().map(|table| (Scope::Wan, table));
        wan.into_iter().chain(self.lan.as_mut().map(|table| (Scope::Lan, table)))
    }
}

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
pub(crate) fn gossip(
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
