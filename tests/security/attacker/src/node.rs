//! One attacking node: a swarm, its counters, and what it says about each event.

use std::{sync::Arc, time::Duration};

use futures::StreamExt as _;
use libp2p::{
    Multiaddr, PeerId, Swarm, autonat,
    gossipsub::{self, MessageAuthenticity},
    identify,
    identity::{Keypair, PublicKey},
    relay,
    swarm::{self, SwarmEvent},
};
use serde_json::{Value, json};

use crate::{
    Result,
    behaviour::{Behaviour, BehaviourEvent},
    identity::wallet,
    observe::Counters,
    options::Options,
    report,
    transport::{self, Connections},
};

/// Gossip as this node saw it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Gossip {
    /// Events that came in, with a valid signature.
    pub(crate) received: u64,
    /// Events of ours that went out to at least one peer. Without a peer that has told us that it listens there is none.
    pub(crate) accepted: u64,
}

pub(crate) struct Node {
    pub(crate) swarm: Swarm<Behaviour>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) gossip: Gossip,
    /// Says each event; floods only count.
    talkative: bool,
}

pub(crate) type Event = SwarmEvent<BehaviourEvent>;

impl Node {
    pub(crate) fn new(key: Keypair, options: &Options, talkative: bool) -> Result<Self> {
        let counters = Arc::<Counters>::default();
        let (transport, relay) = transport::build(&key, options, counters.clone())?;
        let identity = key.public();
        let author = options.unsigned_as.map_or(MessageAuthenticity::Signed(key), MessageAuthenticity::Author);
        let mut node = Self::over(transport, Some(relay), counters, identity, author, &options.agent, talkative)?;
        node.swarm.behaviour_mut().autonat = options.autonat.then(Default::default).into();
        Ok(node)
    }

    /// A node over a ready transport that proves `identity`, while `author` stands behind what it publishes.
    pub(crate) fn over(
        transport: Connections,
        relay: Option<relay::client::Behaviour>,
        counters: Arc<Counters>,
        identity: PublicKey,
        author: MessageAuthenticity,
        agent: &str,
        talkative: bool,
    ) -> Result<Self> {
        let peer = identity.to_peer_id();
        let behaviour = Behaviour::new(identity, author, agent, relay)?;
        // A connection that ends was ended by the remote, never by our own impatience.
        let config = swarm::Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(3600));
        let swarm = Swarm::new(transport, behaviour, peer, config);
        Ok(Self { swarm, counters, gossip: Gossip::default(), talkative })
    }

    pub(crate) fn peer_id(&self) -> PeerId {
        *self.swarm.local_peer_id()
    }

    /// Listens and waits for the first address.
    pub(crate) async fn listen(&mut self, address: Multiaddr) -> Result<String> {
        let wanted = self.swarm.listen_on(address)?;
        loop {
            let event = self.next().await;
            match event {
                SwarmEvent::NewListenAddr { listener_id, address } if listener_id == wanted => {
                    return Ok(format!("{address}/p2p/{}", self.peer_id()));
                }
                SwarmEvent::ListenerClosed { listener_id, reason, .. } if listener_id == wanted => {
                    return Err(reason.map_or_else(Into::into, |()| "the listener has closed".into()));
                }
                _ => {}
            }
        }
    }

    pub(crate) fn publish(&mut self, topic: &str, data: &[u8]) -> std::result::Result<(), gossipsub::PublishError> {
        self.swarm.behaviour_mut().gossipsub.publish(gossipsub::IdentTopic::new(topic), data)?;
        self.gossip.accepted += 1;
        Ok(())
    }

    /// The next event of the swarm, counted and told. May be dropped at any await.
    pub(crate) async fn next(&mut self) -> Event {
        let event = self.swarm.select_next_some().await;
        if let SwarmEvent::Behaviour(BehaviourEvent::Gossipsub(gossipsub::Event::Message { .. })) = &event {
            self.gossip.received += 1;
        }
        if self.talkative
            && let Some(line) = tell(&event)
        {
            report::line(&line);
        }
        event
    }
}

fn tell(event: &Event) -> Option<Value> {
    match event {
        SwarmEvent::ConnectionEstablished { peer_id, endpoint, .. } => Some(json!({
            "event": "connected",
            "peer_id": peer_id.to_string(),
            "wallet": wallet(peer_id),
            "direction": if endpoint.is_dialer() { "outbound" } else { "inbound" },
            "address": endpoint.get_remote_address().to_string(),
        })),
        SwarmEvent::ConnectionClosed { peer_id, cause, .. } => Some(json!({
            "event": "closed",
            "peer_id": peer_id.to_string(),
            "cause": cause.as_ref().map(|error| report::describe(error)),
        })),
        SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => Some(json!({
            "event": "incoming-failed",
            "address": send_back_addr.to_string(),
            "error": report::describe(error),
        })),
        SwarmEvent::Behaviour(event) => tell_behaviour(event),
        _ => None,
    }
}

fn tell_behaviour(event: &BehaviourEvent) -> Option<Value> {
    match event {
        BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }) => Some(json!({
            "event": "identified",
            "peer_id": peer_id.to_string(),
            "agent": info.agent_version,
            "protocols": info.protocols.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "addresses": info.listen_addrs.iter().map(ToString::to_string).collect::<Vec<_>>(),
        })),
        BehaviourEvent::Autonat(autonat::v2::server::Event { tested_addr, client, data_amount, .. }) => Some(json!({
            "event": "tried",
            "peer_id": client.to_string(),
            "address": tested_addr.to_string(),
            "bytes": data_amount,
        })),
        BehaviourEvent::Gossipsub(gossipsub::Event::Subscribed { peer_id, topic, .. }) => Some(json!({
            "event": "peer-subscribed",
            "peer_id": peer_id.to_string(),
            "topic": topic.as_str(),
        })),
        BehaviourEvent::Gossipsub(gossipsub::Event::Message { propagation_source, message, .. }) => Some(json!({
            "event": "gossip",
            "topic": message.topic.as_str(),
            "author": message.source.map(|author| author.to_string()),
            "forwarder": propagation_source.to_string(),
            "data": String::from_utf8_lossy(&message.data),
        })),
        _ => None,
    }
}
