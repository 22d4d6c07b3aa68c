//! The swarm of either side: one transport, and the behaviours with the options of depinmesh.

use std::time::Duration;

use futures::StreamExt as _;
use libp2p::{
    PeerId, Swarm, Transport as _,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    gossipsub::{self, AllowAllSubscriptionFilter, IdentityTransform, MaxCountSubscriptionFilter, MessageAuthenticity},
    identify,
    identity::Keypair,
    noise, ping, quic,
    swarm::{self, NetworkBehaviour},
    tcp, yamux,
};
use tokio::time::timeout;

use crate::{Result, options::Transport};

type Filter = MaxCountSubscriptionFilter<AllowAllSubscriptionFilter>;
pub(crate) type Gossip = gossipsub::Behaviour<IdentityTransform, Filter>;

#[derive(NetworkBehaviour)]
pub(crate) struct Behaviour {
    /// A depinmesh node counts a peer only once identify has answered; the pair may be measured against one.
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    pub(crate) gossipsub: Gossip,
}

pub(crate) fn swarm(transport: Transport) -> Result<Swarm<Behaviour>> {
    let key = Keypair::generate_ed25519();
    let identify = identify::Config::new("ipfs/0.1.0".to_owned(), key.public()).with_push_listen_addr_updates(true);
    let behaviour = Behaviour {
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(Duration::from_secs(2))),
        gossipsub: gossipsub(key.clone())?,
    };
    let config =
        swarm::Config::with_tokio_executor().with_smart_dial().with_idle_connection_timeout(Duration::from_secs(3600));
    Ok(Swarm::new(connections(transport, &key)?, behaviour, key.public().to_peer_id(), config))
}

/// Stays connected for a while, so that what an idle node costs can be seen from outside.
pub(crate) async fn linger(swarm: &mut Swarm<Behaviour>, time: Duration) {
    let forever = async {
        loop {
            swarm.select_next_some().await;
        }
    };
    let _: std::result::Result<(), _> = timeout(time, forever).await;
}

fn connections(transport: Transport, key: &Keypair) -> Result<Boxed<(PeerId, StreamMuxerBox)>> {
    Ok(match transport {
        Transport::Quic => quic::tokio::Transport::new(quic::Config::new(key))
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
            .boxed(),
        Transport::Tcp => tcp::tokio::Transport::new(tcp::Config::new())
            .upgrade(Version::V1Lazy)
            .authenticate(noise::Config::new(key)?)
            .multiplex(yamux::Config::default())
            .boxed(),
    })
}

fn gossipsub(key: Keypair) -> Result<Gossip> {
    const MIB: usize = 1024 * 1024;
    let config = gossipsub::ConfigBuilder::default()
        .max_transmit_size(MIB + 64 * 1024)
        .max_control_message_size(MIB)
        .heartbeat_initial_delay(Duration::from_millis(100))
        .duplicate_cache_time(Duration::from_secs(120))
        .flood_publish(false)
        .validation_mode(gossipsub::ValidationMode::Strict)
        .validate_messages()
        .support_floodsub()
        .connection_handler_queue_len(5000)
        .message_id_fn(message_id)
        .build()?;
    let filter = MaxCountSubscriptionFilter {
        filter: AllowAllSubscriptionFilter {},
        max_subscribed_topics: 20_000,
        max_subscriptions_per_request: 20_000,
    };
    Ok(gossipsub::Behaviour::new_with_subscription_filter(MessageAuthenticity::Signed(key), config, filter)?)
}

/// Author and sequence number as they stand on the wire, as the Go implementation makes it.
fn message_id(message: &gossipsub::Message) -> gossipsub::MessageId {
    let mut id = message.source.map(PeerId::to_bytes).unwrap_or_default();
    id.extend(message.sequence_number.unwrap_or_default().to_be_bytes());
    id.into()
}
