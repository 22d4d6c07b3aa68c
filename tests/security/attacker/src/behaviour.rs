//! What the attacker speaks once a connection stands: identify, ping, GossipSub, the client of relays and the server of `AutoNAT` v2, set so that a depinmesh or Go node would
//! understand it. An attack must not fail because of the attacker's own settings.

use std::time::Duration;

use libp2p::{
    PeerId, autonat,
    gossipsub::{self, AllowAllSubscriptionFilter, IdentityTransform, MaxCountSubscriptionFilter, MessageAuthenticity},
    identify,
    identity::PublicKey,
    ping, relay,
    swarm::{NetworkBehaviour, behaviour::toggle::Toggle},
};

use crate::Result;

type Filter = MaxCountSubscriptionFilter<AllowAllSubscriptionFilter>;

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) gossipsub: gossipsub::Behaviour<IdentityTransform, Filter>,
    pub(crate) relay: Toggle<relay::client::Behaviour>,
    /// Others may ask it whether they can be reached, by version 2 of the protocol.
    pub(crate) autonat: Toggle<autonat::v2::server::Behaviour>,
}

impl Behaviour {
    /// `author` signs the events, or is only named by them; it need not be whom the connection belongs to.
    pub(crate) fn new(
        identity: PublicKey,
        author: MessageAuthenticity,
        agent: &str,
        relay: Option<relay::client::Behaviour>,
    ) -> Result<Self> {
        let identify = identify::Config::new("ipfs/0.1.0".to_owned(), identity).with_agent_version(agent.to_owned());
        Ok(Self {
            identify: identify::Behaviour::new(identify),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(Duration::from_secs(2))),
            gossipsub: gossipsub(author)?,
            relay: relay.into(),
            autonat: None.into(),
        })
    }
}

fn gossipsub(author: MessageAuthenticity) -> Result<gossipsub::Behaviour<IdentityTransform, Filter>> {
    const MIB: usize = 1024 * 1024;
    // Who does not sign cannot ask it of others.
    let signs = matches!(author, MessageAuthenticity::Signed(_));
    let mode = if signs { gossipsub::ValidationMode::Strict } else { gossipsub::ValidationMode::None };
    let config = gossipsub::ConfigBuilder::default()
        .max_transmit_size(MIB + 64 * 1024)
        .max_control_message_size(MIB)
        .heartbeat_initial_delay(Duration::from_millis(100))
        .duplicate_cache_time(Duration::from_secs(120))
        .validation_mode(mode)
        .message_id_fn(message_id)
        .support_floodsub()
        // To everybody who listens, in the mesh or not: an attacker does not save bandwidth.
        .flood_publish(true)
        .build()?;
    let filter = MaxCountSubscriptionFilter {
        filter: AllowAllSubscriptionFilter {},
        max_subscribed_topics: 20_000,
        max_subscriptions_per_request: 20_000,
    };
    Ok(gossipsub::Behaviour::new_with_subscription_filter(author, config, filter)?)
}

/// Author and sequence number as they stand on the wire, as the Go implementation makes it.
fn message_id(message: &gossipsub::Message) -> gossipsub::MessageId {
    let mut id = message.source.map(PeerId::to_bytes).unwrap_or_default();
    id.extend(message.sequence_number.unwrap_or_default().to_be_bytes());
    id.into()
}
