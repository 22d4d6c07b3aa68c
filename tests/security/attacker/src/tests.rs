//! The instruments themselves: an attack that is refused must read as zero, the same attack let in must not.

use std::{io, sync::Arc, time::Duration};

use libp2p::{
    Multiaddr, PeerId, Transport as _, core::muxing::StreamMuxerBox, gossipsub::MessageAuthenticity, identity::Keypair,
};

use crate::{
    attempt::{Attempt, End, Plan, attempt},
    node::Node,
    observe::Counters,
    options::Options,
    transport,
};

const TOPIC: &str = "db_topic";

/// Dials a listener that refuses after the muxer, where the gate of depinmesh stands, or lets everybody in.
async fn dial(address: &str, refuse: bool) -> Attempt {
    let options = Options::parse(lexopt::Parser::from_args(["node"])).expect("options");
    let key = Keypair::generate_ed25519();
    let counters = Arc::<Counters>::default();
    let (transport, relay) = transport::build(&key, &options, counters.clone()).expect("a transport");
    let gated = transport.and_then(move |admitted: (PeerId, StreamMuxerBox), _| async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if refuse { Err(io::Error::other("refused")) } else { Ok(admitted) }
    });
    let mut victim = Node::over(
        gated.boxed(),
        Some(relay),
        counters,
        key.public(),
        MessageAuthenticity::Signed(key),
        "victim",
        false,
    )
    .expect("a victim");
    victim.swarm.behaviour_mut().gossipsub.subscribe(&libp2p::gossipsub::IdentTopic::new(TOPIC)).expect("a topic");
    let address: Multiaddr =
        victim.listen(address.parse().expect("an address")).await.expect("listening").parse().expect("an address");
    let victim = tokio::spawn(async move {
        loop {
            victim.next().await;
        }
    });
    let mut attacker = Node::new(Keypair::generate_ed25519(), &options, false).expect("an attacker");
    let publish = Some((TOPIC.to_owned(), "data".to_owned()));
    let plan = Plan { address, hold: Duration::from_secs(2), until_identified: false, publish };
    let ended = attempt(&mut attacker, &plan).await.expect("an attempt");
    victim.abort();
    ended
}

#[tokio::test]
async fn a_refused_dial_is_served_nothing() {
    for address in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"] {
        let ended = dial(address, true).await;
        assert!(ended.connected, "{address}: the refusal comes after the handshake");
        assert!(ended.end == End::Closed && !ended.identified && ended.events_sent == 0, "{address}");
        assert_eq!((ended.counted.streams_served(), ended.counted.bytes_read), (0, 0), "{address}");
    }
}

#[tokio::test]
async fn a_dial_let_in_is_served() {
    for address in ["/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"] {
        let ended = dial(address, false).await;
        assert!(ended.end == End::Open && ended.identified && ended.events_sent == 1, "{address}");
        assert_eq!(ended.counted.streams_served(), 3, "{address}: identify, ping and gossipsub");
        assert!(ended.counted.bytes_read > 0, "{address}");
    }
}
