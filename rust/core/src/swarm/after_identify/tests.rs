use libp2p::identity::Keypair;

use super::*;
use crate::{
    config::PubSubConfig,
    pubsub::wanted::Wanted,
    swarm::gossip::{self, Gossip, LastMessage},
};

fn gossip() -> AfterIdentify<Gossip> {
    let pubsub = PubSubConfig { max_message_size: 1_048_000, flood_publish: false, batching: false };
    let key = Keypair::generate_ed25519();
    let last = LastMessage::new(key.public().to_peer_id());
    AfterIdentify::new(gossip::build(&key, &pubsub, Wanted::default(), last).expect("settings that agree"))
}

fn endpoint() -> ConnectedPoint {
    let address: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().expect("a multiaddr");
    ConnectedPoint::Dialer { address, role_override: Endpoint::Dialer, port_use: PortUse::Reuse }
}

/// What the swarm tells of a new connection; `others` of the peer are open, or being closed.
fn open(gossip: &mut AfterIdentify<Gossip>, peer_id: PeerId, connection: usize, others: usize) {
    let (connection_id, endpoint) = (ConnectionId::new_unchecked(connection), endpoint());
    let (address, role) = (endpoint.get_remote_address(), Endpoint::Dialer);
    assert!(
        gossip.handle_established_outbound_connection(connection_id, peer_id, address, role, PortUse::Reuse).is_ok()
    );
    gossip.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
        peer_id,
        connection_id,
        endpoint: &endpoint,
        failed_addresses: &[],
        other_established: others,
    }));
}

fn close(gossip: &mut AfterIdentify<Gossip>, peer_id: PeerId, connection: usize, remaining: usize) {
    gossip.on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
        peer_id,
        connection_id: ConnectionId::new_unchecked(connection),
        endpoint: &endpoint(),
        cause: None,
        remaining_established: remaining,
    }));
}

fn peers(gossip: &AfterIdentify<Gossip>) -> Vec<PeerId> {
    gossip.inner.all_peers().map(|(peer, _)| *peer).collect()
}

#[test]
fn a_peer_that_was_left_is_gone_before_its_connections_are() {
    let (mut gossip, peer) = (gossip(), PeerId::random());
    open(&mut gossip, peer, 1, 0);
    open(&mut gossip, peer, 2, 1);
    assert_eq!(peers(&gossip), [peer]);
    gossip.leave(peer);
    assert!(peers(&gossip).is_empty());

    // It is listed again, and comes back while the old connections still are being closed.
    open(&mut gossip, peer, 3, 2);
    assert_eq!(peers(&gossip), [peer]);
    close(&mut gossip, peer, 1, 2);
    assert_eq!(peers(&gossip), [peer]);
    close(&mut gossip, peer, 3, 1);
    assert!(peers(&gossip).is_empty());
    close(&mut gossip, peer, 2, 0);
    assert!(gossip.left.is_empty() && gossip.open.is_empty());
}

#[test]
fn one_of_two_connections_may_close() {
    let (mut gossip, peer) = (gossip(), PeerId::random());
    open(&mut gossip, peer, 1, 0);
    open(&mut gossip, peer, 2, 1);
    close(&mut gossip, peer, 1, 1);
    assert_eq!(peers(&gossip), [peer]);
    close(&mut gossip, peer, 2, 0);
    assert!(peers(&gossip).is_empty());
}
