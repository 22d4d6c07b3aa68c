use libp2p::swarm::{NewExternalAddrCandidate, NewListenAddr, behaviour::ExternalAddrConfirmed};

use super::*;

fn asking() -> AutoNat {
    AutoNat::new(PeerId::random(), true, true, None)
}

fn at(text: &str) -> Multiaddr {
    text.parse().unwrap()
}

/// What was announced (`+`) and taken back (`-`) since the last look.
fn changes(node: &mut AutoNat) -> Vec<String> {
    let changes = node.pending.drain(..).filter_map(|event| match event {
        ToSwarm::ExternalAddrConfirmed(address) => Some(format!("+{address}")),
        ToSwarm::ExternalAddrExpired(address) => Some(format!("-{address}")),
        _ => None,
    });
    changes.collect()
}

#[test]
fn what_is_reached_is_announced_once_without_our_name() {
    let mut node = asking();
    let named = at("/ip4/45.77.0.2/tcp/4002").with(Protocol::P2p(PeerId::random()));
    node.on_reached(named.clone());
    node.on_reached(named);
    node.on_reached(at("/ip4/45.77.0.2/udp/4001/quic-v1"));
    assert_eq!(changes(&mut node), ["+/ip4/45.77.0.2/tcp/4002", "+/ip4/45.77.0.2/udp/4001/quic-v1"]);
}

#[test]
fn what_others_announce_or_nobody_may_is_left_to_them() {
    let mut node = asking();
    let (listener, mapped) = (at("/ip4/45.77.0.2/tcp/4002"), at("/ip4/45.77.0.3/tcp/4002"));
    let listening = NewListenAddr { listener_id: libp2p::core::transport::ListenerId::next(), addr: &listener };
    node.on_swarm_event(FromSwarm::NewListenAddr(listening));
    node.on_swarm_event(FromSwarm::ExternalAddrConfirmed(ExternalAddrConfirmed { addr: &mapped }));
    for address in [listener, mapped, at("/ip4/192.168.1.2/tcp/4002")] {
        node.on_reached(address);
    }
    assert!(changes(&mut node).is_empty());
    let mut named_by_the_operator = AutoNat::new(PeerId::random(), true, false, None);
    named_by_the_operator.on_reached(at("/ip4/45.77.0.2/tcp/4002"));
    assert!(changes(&mut named_by_the_operator).is_empty());
}

#[test]
fn another_address_takes_the_place_of_the_first() {
    let mut node = asking();
    node.on_reached(at("/ip4/45.77.0.2/tcp/4002"));
    node.on_reached(at("/ip4/45.77.0.9/tcp/4002"));
    let moved = ["+/ip4/45.77.0.2/tcp/4002", "-/ip4/45.77.0.2/tcp/4002", "+/ip4/45.77.0.9/tcp/4002"];
    assert_eq!(changes(&mut node), moved);
}

#[test]
fn nothing_stays_announced_that_is_no_longer_reached() {
    let mut node = asking();
    node.on_reached(at("/ip4/45.77.0.2/tcp/4002"));
    node.on_status(&NatStatus::Public(at("/ip4/45.77.0.2/tcp/4002")));
    assert_eq!(node.reachability, Reachability::Public);
    changes(&mut node);
    node.on_status(&NatStatus::Private);
    assert_eq!(changes(&mut node), ["-/ip4/45.77.0.2/tcp/4002"]);
    assert_eq!(node.reachability, Reachability::Private);
}

#[test]
fn what_a_peer_only_sees_is_announced_to_nobody() {
    let mut node = asking();
    let seen = at("/ip4/45.77.0.2/udp/50123/quic-v1");
    node.on_swarm_event(FromSwarm::NewExternalAddrCandidate(NewExternalAddrCandidate { addr: &seen }));
    assert!(changes(&mut node).is_empty());
}
