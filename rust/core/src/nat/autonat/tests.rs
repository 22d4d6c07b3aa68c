use libp2p::{
    multiaddr::Protocol,
    swarm::{NewExternalAddrCandidate, behaviour::ExternalAddrConfirmed},
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
    node.on_reached(&named);
    node.on_reached(&named);
    node.on_reached(&at("/ip4/45.77.0.2/udp/4001/quic-v1"));
    assert_eq!(changes(&mut node), ["+/ip4/45.77.0.2/tcp/4002", "+/ip4/45.77.0.2/udp/4001/quic-v1"]);
}

#[test]
fn what_others_announce_or_nobody_may_is_left_to_them() {
    let mut node = asking();
    let (listener, mapped) = (at("/ip4/45.77.0.2/tcp/4002"), at("/ip4/45.77.0.3/tcp/4002"));
    let listening = NewListenAddr { listener_id: ListenerId::next(), addr: &listener };
    node.on_swarm_event(FromSwarm::NewListenAddr(listening));
    node.on_swarm_event(FromSwarm::ExternalAddrConfirmed(ExternalAddrConfirmed { addr: &mapped }));
    for address in [&listener, &mapped, &at("/ip4/192.168.1.2/tcp/4002")] {
        node.on_reached(address);
    }
    assert!(changes(&mut node).is_empty());
    let mut named_by_the_operator = AutoNat::new(PeerId::random(), true, false, None);
    named_by_the_operator.on_reached(&at("/ip4/45.77.0.2/tcp/4002"));
    assert!(changes(&mut named_by_the_operator).is_empty());
}

#[test]
fn nothing_stays_announced_that_is_no_longer_reached() {
    let mut node = asking();
    node.on_reached(&at("/ip4/45.77.0.2/tcp/4002"));
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

const QUIC: &str = "/ip4/45.77.0.2/udp/4001/quic-v1";
const TCP: &str = "/ip4/45.77.0.2/tcp/4002";
/// Where the node is not.
const WRONG: &str = "/ip4/45.77.0.66/udp/53/quic-v1";

/// A peer that serves nothing is met over the Internet, and sees the node there.
fn sees(node: &mut AutoNat, connection: usize, seen: &str) {
    let remote = at("/ip4/45.77.0.9/udp/4001/quic-v1");
    node.meet(PeerId::random(), ConnectionId::new_unchecked(connection), &remote, at(seen), &[]);
}

/// A server says that it has reached the node there.
fn claims(node: &mut AutoNat, address: &str) {
    node.on_claim(&PeerId::random(), &at(address));
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
    let candidates = |seen: &str| -> Vec<String> {
        let mut node = behind_a_router();
        sees(&mut node, 1, seen);
        node.addresses.candidates(&at(seen)).iter().map(ToString::to_string).collect()
    };
    assert_eq!(candidates(QUIC), [QUIC, TCP]);
    let translated = "/ip4/45.77.0.2/udp/50123/quic-v1";
    assert_eq!(candidates(translated), [translated, QUIC, TCP]);
    for no_use in ["/ip4/192.168.1.9/tcp/4002", "/ip4/45.77.0.2/tcp/4001/p2p-circuit", "/ip6/2606:4700::1/tcp/4002"] {
        assert!(candidates(no_use).is_empty(), "{no_use}");
    }
}

#[test]
fn a_server_that_sees_us_elsewhere_than_most_is_asked_for_where_most_do() {
    let mut node = behind_a_router();
    for (connection, seen) in [QUIC, QUIC, WRONG].into_iter().enumerate() {
        sees(&mut node, connection, seen);
    }
    assert_eq!(node.addresses.candidates(&at(WRONG)), [at(QUIC), at(TCP)]);
}

#[test]
fn a_server_reaches_us_only_where_most_see_us_and_at_our_ports() {
    let mut node = behind_a_router();
    for (connection, seen) in [QUIC, "/ip4/45.77.0.2/tcp/50001", WRONG].into_iter().enumerate() {
        sees(&mut node, connection, seen);
    }
    for wrong in [
        WRONG,
        "/ip4/45.77.0.66/udp/4001/quic-v1",
        "/ip4/45.77.0.2/udp/53/quic-v1",
        "/ip4/45.77.0.2/tcp/50001",
        "/ip4/45.77.0.2/tcp/4002/ws",
        "/ip6/2606:4700::1/tcp/4002",
        "/dns4/node.example.com/tcp/4002",
        "/ip4/192.168.1.2/tcp/4002",
        "/ip4/45.77.0.2/tcp/4002/p2p-circuit",
    ] {
        node.on_claim(&PeerId::random(), &at(wrong));
        assert_eq!(taken(&mut node), ["Asked(\"failed\")"], "{wrong}");
    }
    assert_eq!(node.opinion.is(), Reachability::Unknown);
    node.on_claim(&PeerId::random(), &at(TCP).with(Protocol::P2p(PeerId::random())));
    assert_eq!(taken(&mut node), ["Asked(\"reached\")", "+/ip4/45.77.0.2/tcp/4002", "Changed(Public)"]);
    claims(&mut node, QUIC);
    assert_eq!(changes(&mut node), ["+/ip4/45.77.0.2/udp/4001/quic-v1"]);
}

#[test]
fn a_port_that_the_router_gives_us_is_announced_where_most_see_it() {
    let (mut node, translated) = (behind_a_router(), "/ip4/45.77.0.2/udp/50123/quic-v1");
    for (connection, seen) in [translated, translated, "/ip4/45.77.0.2/udp/53/quic-v1"].into_iter().enumerate() {
        sees(&mut node, connection, seen);
    }
    claims(&mut node, "/ip4/45.77.0.2/udp/53/quic-v1");
    claims(&mut node, translated);
    assert_eq!(changes(&mut node), ["+/ip4/45.77.0.2/udp/50123/quic-v1"]);
}

#[test]
fn of_two_peers_that_disagree_neither_changes_what_is_announced() {
    let mut node = behind_a_router();
    sees(&mut node, 1, QUIC);
    claims(&mut node, QUIC);
    assert_eq!(changes(&mut node), ["+/ip4/45.77.0.2/udp/4001/quic-v1"], "there is no other");
    sees(&mut node, 2, WRONG);
    for address in [WRONG, "/ip4/45.77.0.66/tcp/4002", TCP] {
        claims(&mut node, address);
    }
    assert!(changes(&mut node).is_empty());
}

#[test]
fn a_public_address_of_our_own_counts_as_a_peer_that_sees_us() {
    let mut node = behind_a_router();
    node.know(&at(TCP));
    sees(&mut node, 1, WRONG);
    claims(&mut node, "/ip4/45.77.0.66/tcp/4002");
    assert_eq!(node.opinion.is(), Reachability::Unknown);
    claims(&mut node, TCP);
    assert_eq!(node.opinion.is(), Reachability::Public);
    assert!(changes(&mut node).is_empty());
}

#[test]
fn a_peer_that_is_met_by_v4_says_nothing_of_us_by_v6() {
    let mut node = behind_a_router();
    sees(&mut node, 1, "/ip6/2606:4700::1/tcp/4002");
    claims(&mut node, "/ip6/2606:4700::1/tcp/4002");
    assert!(changes(&mut node).is_empty());
}

#[test]
fn another_address_takes_the_place_of_those_on_the_first_host_once_most_see_us_there() {
    let (mut node, moved) = (behind_a_router(), "/ip4/45.77.0.7/udp/4001/quic-v1");
    sees(&mut node, 1, QUIC);
    claims(&mut node, QUIC);
    claims(&mut node, TCP);
    node.hear(Reachability::Public);
    sees(&mut node, 2, moved);
    claims(&mut node, moved);
    assert!(node.opinion.is_settled());
    assert_eq!(changes(&mut node), ["+/ip4/45.77.0.2/udp/4001/quic-v1", "+/ip4/45.77.0.2/tcp/4002"]);
    assert!(node.addresses.lose(ConnectionId::new_unchecked(1)), "who saw us there has lost its connection");
    assert!(!node.addresses.lose(ConnectionId::new_unchecked(1)));
    claims(&mut node, moved);
    let mut changes = changes(&mut node);
    changes.sort();
    let expected = ["+/ip4/45.77.0.7/udp/4001/quic-v1", "-/ip4/45.77.0.2/tcp/4002", "-/ip4/45.77.0.2/udp/4001/quic-v1"];
    assert_eq!(changes, expected);
}

#[test]
fn what_one_peer_sees_unsettles_nothing_and_what_most_see_does() {
    let mut node = behind_a_router();
    sees(&mut node, 1, QUIC);
    sees(&mut node, 2, QUIC);
    claims(&mut node, QUIC);
    node.hear(Reachability::Public);
    for (connection, settled) in [(3, true), (4, true), (5, false)] {
        sees(&mut node, connection, WRONG);
        assert_eq!(node.opinion.is_settled(), settled, "{connection}");
    }
    node.hear(Reachability::Public);
    sees(&mut node, 6, WRONG);
    assert!(node.opinion.is_settled(), "it was asked for already");
}

#[test]
fn a_way_through_a_relay_that_comes_or_goes_unsettles_nothing() {
    let mut node = behind_a_router();
    let relayed = at("/ip4/45.77.0.66/tcp/4002").with(Protocol::P2p(PeerId::random())).with(Protocol::P2pCircuit);
    for _ in 0..2 {
        node.hear(Reachability::Private);
    }
    assert!(!node.know(&relayed));
    node.forget(&relayed);
    assert!(node.opinion.is_settled());
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_the_contrary_has_the_others_asked_soon_and_who_gave_it_later() {
    let (mut node, peer) = (behind_a_router(), PeerId::random());
    sees(&mut node, 1, QUIC);
    claims(&mut node, QUIC);
    node.hear(Reachability::Public);
    node.pause = Some(Box::pin(tokio::time::sleep(REFRESH_EVERY)));
    node.rounds.asks(peer, Instant::now());
    node.hear(Reachability::Private);
    assert_eq!(node.opinion.is(), Reachability::Public);
    assert_eq!(node.pause.as_ref().unwrap().deadline(), Instant::now() + FIRST_AFTER);
    taken(&mut node);
    // By the other version: its answer does not count.
    node.rounds.asks(peer, Instant::now());
    node.on_claim(&peer, &at(QUIC));
    assert_eq!(taken(&mut node), ["Asked(\"failed\")"]);
    assert!(!node.opinion.is_settled());
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
