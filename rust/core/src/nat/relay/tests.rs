use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn address() -> Multiaddr {
    "/ip4/192.0.2.1/udp/1/quic-v1".parse().expect("a multiaddr")
}

/// Two listed relays and two others, all connected.
fn relays(now: Instant) -> (Relays, [PeerId; 4]) {
    let peers = [(); 4].map(|()| PeerId::random());
    let mut relays = Relays::new(&peers[..2], now);
    for peer in peers {
        relays.offers(peer, address(), now);
    }
    (relays, peers)
}

fn peers(due: &[(PeerId, Multiaddr)]) -> Vec<PeerId> {
    due.iter().map(|(peer, _)| *peer).collect()
}

#[test]
fn two_relays_are_asked_the_listed_ones_first() {
    let now = Instant::now();
    let (mut relays, [a, b, ..]) = relays(now);
    assert_eq!(peers(&relays.due(now, true)), [a, b]);
    for peer in [a, b] {
        relays.asked(&peer, ListenerId::next());
        relays.accepted(&peer);
    }
    assert!(relays.due(now, true).is_empty());
    assert_eq!(relays.next(true), None);
    assert_eq!(relays.held(), 2);
}

#[test]
fn others_are_asked_only_where_any_relay_will_do_and_only_while_they_are_connected() {
    let now = Instant::now();
    let (mut relays, [a, b, c, d]) = relays(now);
    relays.gone(&a);
    assert_eq!(peers(&relays.due(now, false)), [b]);
    assert_eq!(relays.due(now, true).len(), 2);
    for peer in [b, c, d] {
        relays.gone(&peer);
    }
    assert!(relays.due(now, true).is_empty());
}

#[test]
fn whatever_ends_a_reservation_it_is_asked_for_again_here_or_elsewhere() {
    let now = Instant::now();
    let (mut relays, [a, b, c, d]) = relays(now);
    let listeners = [a, b].map(|peer| {
        let listener = ListenerId::next();
        relays.asked(&peer, listener);
        relays.accepted(&peer);
        (peer, listener)
    });
    assert_eq!(relays.closed(listeners[0].1, now), Some((a, true)));
    assert!([c, d].contains(&peers(&relays.due(now, true))[0]));
    assert!(relays.due(now, false).is_empty());
    assert_eq!(peers(&relays.due(now + SECOND, false)), [a]);
    assert_eq!(relays.closed(ListenerId::next(), now), None);
}

#[test]
fn one_that_refuses_is_asked_ever_more_rarely() {
    let now = Instant::now();
    let relay = PeerId::random();
    let mut relays = Relays::new(&[relay], now);
    relays.offers(relay, address(), now);
    let (mut at, mut pauses) = (now, Vec::new());
    for _ in 0..9 {
        let listener = ListenerId::next();
        relays.asked(&relay, listener);
        assert_eq!(relays.closed(listener, at), Some((relay, false)));
        let next = relays.next(false).expect("another try");
        pauses.push(next.duration_since(at));
        at = next;
    }
    assert_eq!(pauses[..3], [FIRST_DELAY, FIRST_DELAY * 2, FIRST_DELAY * 4]);
    assert_eq!(pauses[8], MAX_DELAY);
}

#[test]
fn one_that_nobody_listed_is_forgotten_with_its_last_trace() {
    let now = Instant::now();
    let mut relays = Relays::new(&[], now);
    let peer = PeerId::random();
    relays.offers(peer, address(), now);
    let listener = ListenerId::next();
    relays.asked(&peer, listener);
    relays.accepted(&peer);
    relays.gone(&peer);
    assert!(relays.holds(&peer));
    assert_eq!(relays.closed(listener, now), Some((peer, true)));
    assert!(relays.relays.is_empty());
}

#[test]
fn a_peer_is_served_while_it_has_a_reservation_or_a_circuit() {
    let (mut relayed, peer, other) = (Relayed::default(), PeerId::random(), PeerId::random());
    relayed.reserved(peer);
    relayed.opened(other);
    relayed.opened(other);
    assert!(relayed.serves(&peer) && relayed.serves(&other));
    assert_eq!(relayed.sizes(), (1, 2));
    relayed.closed(&other);
    assert!(relayed.serves(&other));
    relayed.closed(&other);
    relayed.closed(&other);
    relayed.ended(&peer);
    assert!(!relayed.serves(&peer) && !relayed.serves(&other));
    assert_eq!(relayed.sizes(), (0, 0));
}
