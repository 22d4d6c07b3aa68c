use libp2p::{
    multiaddr::Protocol,
    swarm::{NewExternalAddrCandidate, NewListenAddr, behaviour::ExternalAddrConfirmed},
};

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
    node.hear(Reachability::Public);
    assert_eq!(node.opinion.is(), Reachability::Public);
    changes(&mut node);
    node.hear(Reachability::Private);
    assert_eq!(changes(&mut node), ["-/ip4/45.77.0.2/tcp/4002"]);
    assert_eq!(node.opinion.is(), Reachability::Private);
}

#[test]
fn what_a_peer_only_sees_is_announced_to_nobody() {
    let mut node = asking();
    let seen = at("/ip4/45.77.0.2/udp/50123/quic-v1");
    node.on_swarm_event(FromSwarm::NewExternalAddrCandidate(NewExternalAddrCandidate { addr: &seen }));
    assert!(changes(&mut node).is_empty());
}

/// A node that listens on a private host and on its loopback, as two listeners of one socket do.
fn behind_a_router() -> AutoNat {
    let mut node = asking();
    for address in [
        "/ip4/192.168.1.2/udp/4001/quic-v1",
        "/ip4/192.168.1.2/tcp/4002",
        "/ip4/127.0.0.1/tcp/4009",
        "/ip6/fd00::2/tcp/4002",
    ] {
        node.know(&at(address));
    }
    node
}

#[test]
fn a_server_is_asked_for_our_ports_where_it_sees_us_and_for_what_it_sees() {
    let node = behind_a_router();
    let candidates =
        |seen: &str| -> Vec<String> { node.addresses.candidates(&at(seen)).iter().map(ToString::to_string).collect() };
    let quic = "/ip4/45.77.0.2/udp/4001/quic-v1";
    assert_eq!(candidates(quic), [quic, "/ip4/45.77.0.2/tcp/4002"]);
    let translated = "/ip4/45.77.0.2/udp/50123/quic-v1";
    assert_eq!(candidates(translated), [translated, quic, "/ip4/45.77.0.2/tcp/4002"]);
    for no_use in ["/ip4/192.168.1.9/tcp/4002", "/ip4/45.77.0.2/tcp/4001/p2p-circuit"] {
        let public = !no_use.contains("192");
        assert_eq!(candidates(no_use).len(), if public { 2 } else { 0 }, "{no_use}");
    }
}

#[test]
fn who_serves_both_versions_is_asked_by_the_first_and_a_server_on_our_own_network_by_none() {
    let both = [v1::DEFAULT_PROTOCOL_NAME, question::PROTOCOL];
    let (public, private) = (at("/ip4/45.77.0.9/udp/4001/quic-v1"), at("/ip4/192.168.1.9/udp/4001/quic-v1"));
    for (remote, serves, asked) in [
        (&public, &both[..], false),
        (&public, &both[1..], true),
        (&public, &[][..], false),
        (&private, &both[1..], false),
    ] {
        let mut node = behind_a_router();
        let seen = at("/ip4/45.77.0.2/udp/4001/quic-v1");
        node.meet(PeerId::random(), ConnectionId::new_unchecked(1), remote, seen, serves);
        let begun = node.rounds.begin(Instant::now(), |seen| node.addresses.candidates(seen));
        assert_eq!(begun, asked, "{remote} {serves:?}");
    }
}

/// What is said and done in the order in which the swarm takes it.
fn taken(node: &mut AutoNat) -> Vec<String> {
    let taken = node.pending.drain(..).map(|event| match event {
        ToSwarm::GenerateEvent(event) => match event {
            AutoNatEvent::Expects(peer) => format!("expects {}", if peer.is_some() { "it" } else { "nobody" }),
            other => format!("{other:?}"),
        },
        ToSwarm::NotifyHandler { event: Either::Right(address), .. } => format!("asks {address}"),
        ToSwarm::ExternalAddrConfirmed(address) => format!("+{address}"),
        ToSwarm::ExternalAddrExpired(address) => format!("-{address}"),
        _ => "else".to_owned(),
    });
    taken.collect()
}

#[tokio::test(start_paused = true)]
async fn its_try_is_expected_before_a_peer_is_asked_and_no_longer_than_until_it_answers() {
    let (mut node, peer, connection) = (behind_a_router(), PeerId::random(), ConnectionId::new_unchecked(1));
    let seen = at("/ip4/45.77.0.2/udp/4001/quic-v1");
    node.meet(peer, connection, &at("/ip4/45.77.0.9/udp/4001/quic-v1"), seen, &[question::PROTOCOL]);
    let event = std::future::poll_fn(|cx| node.poll(cx)).await;
    assert!(matches!(event, ToSwarm::GenerateEvent(AutoNatEvent::Asking)));
    assert_eq!(taken(&mut node), ["expects it", "asks /ip4/45.77.0.2/udp/4001/quic-v1"]);
    node.came(&peer);
    node.on_answer(connection, Answer::Unclear);
    let reached = ["expects nobody", "Asked(\"reached\")", "+/ip4/45.77.0.2/udp/4001/quic-v1", "Changed(Public)"];
    let next = ["Asking", "expects it", "asks /ip4/45.77.0.2/tcp/4002"];
    assert_eq!(taken(&mut node), [&reached[..], &next[..]].concat());
    node.on_answer(connection, Answer::NotConnected);
    assert_eq!(taken(&mut node), ["expects nobody", "Asked(\"not-reached\")"]);
    assert_eq!(node.opinion.is(), Reachability::Public);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_goes_is_asked_for_anew_though_two_answers_agreed() {
    let (mut node, peer, connection) = (behind_a_router(), PeerId::random(), ConnectionId::new_unchecked(1));
    let (public, seen) = (at("/ip4/45.77.0.3/tcp/4002"), at("/ip4/45.77.0.2/udp/4001/quic-v1"));
    node.know(&public);
    node.meet(peer, connection, &at("/ip4/45.77.0.9/udp/4001/quic-v1"), seen, &[question::PROTOCOL]);
    for (goes, pause) in
        [(false, FIRST_AFTER), (false, SAME_SERVER_AFTER), (false, REFRESH_EVERY), (true, SAME_SERVER_AFTER)]
    {
        if goes {
            node.forget(&public);
        }
        let began = Instant::now();
        let event = std::future::poll_fn(|cx| node.poll(cx)).await;
        assert!(matches!(event, ToSwarm::GenerateEvent(AutoNatEvent::Asking)));
        assert!(began.elapsed() >= pause && began.elapsed() <= pause + AGAIN_AFTER, "{:?}", began.elapsed());
        while node.rounds.question().is_some() {
            node.on_answer(connection, Answer::Connected);
        }
        taken(&mut node);
        assert_eq!(node.opinion.is(), Reachability::Public);
    }
}
