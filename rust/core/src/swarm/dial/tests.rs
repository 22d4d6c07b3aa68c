mod hearsay;
mod places;

use super::{
    target::{FORGET_AFTER, GIVE_UP, LATELY, MAX_DELAY, MAX_DELAY_LOST},
    *,
};

const MS: Duration = Duration::from_millis(1);
const HANDSHAKE: Duration = Duration::from_secs(10);

fn address() -> Vec<Multiaddr> {
    vec!["/ip4/127.0.0.1/tcp/1".parse().expect("a multiaddr")]
}

fn dialer(limit: usize) -> (Dialer, Instant) {
    (Dialer::new(PeerId::random(), limit, HANDSHAKE, Jitter::seeded(3)), Instant::now())
}

#[test]
fn a_whole_list_is_dialled_at_once_but_for_ourselves() {
    let (mut dialer, now) = dialer(8);
    let own = dialer.own;
    let nodes: Vec<_> = (0..5).map(|_| (PeerId::random(), address())).chain([(own, address())]).collect();
    assert!(dialer.bootstrap(&nodes, now));
    let due = dialer.due(now);
    assert_eq!(due.len(), 5);
    assert!(due.iter().all(|(peer, _)| *peer != own));
    assert!(!dialer.bootstrap(&[(own, address())], now), "a list of ourselves alone is an empty list");
}

#[test]
fn dials_under_way_stay_bounded_for_a_list_of_any_length() {
    let (mut dialer, now) = dialer(8);
    let nodes: Vec<_> = (0..1_000).map(|_| (PeerId::random(), address())).collect();
    dialer.bootstrap(&nodes, now);
    let first = dialer.due(now);
    assert_eq!(first.len(), 8);
    assert!(dialer.due(now).is_empty());
    dialer.failed(first[0].0, now, true);
    assert_eq!(dialer.due(now).len(), 1);
    assert!(!dialer.round_ended());
}

#[test]
fn a_round_goes_on_while_a_connected_node_has_not_said_who_it_is() {
    let (mut dialer, now) = dialer(8);
    let peer = PeerId::random();
    dialer.bootstrap(&[(peer, address())], now);
    assert_eq!(dialer.due(now).len(), 1);
    dialer.connected(peer, now);
    assert!(!dialer.round_ended());
    dialer.unmet(peer, now, true);
    assert!(dialer.round_ended());
    dialer.bootstrap(&[(peer, address())], now);
    assert!(!dialer.round_ended());
    dialer.bar(&peer);
    assert!(dialer.round_ended(), "nobody waits for a node that has left the list of wallets");
}

#[test]
fn a_lone_node_tries_again_after_a_quarter_second_doubling_to_two() {
    let (mut dialer, mut now) = dialer(8);
    let peer = PeerId::random();
    dialer.bootstrap(&[(peer, address())], now);
    let mut pauses = Vec::new();
    for _ in 0..6 {
        assert_eq!(dialer.due(now).len(), 1);
        dialer.failed(peer, now, true);
        let next = dialer.next().expect("another try");
        pauses.push(next - now);
        now = next;
    }
    for (pause, nominal) in pauses.iter().zip([250, 500, 1_000, 2_000, 2_000, 2_000]) {
        assert!(*pause >= MS * nominal * 8 / 10 && *pause <= MS * nominal * 12 / 10, "{pauses:?}");
    }
}

#[test]
fn a_lost_peer_is_dialled_at_once_and_a_refusing_one_slowly() {
    let (mut dialer, now) = dialer(8);
    let peer = PeerId::random();
    dialer.identified(peer, address(), now);
    assert!(dialer.due(now).is_empty());
    dialer.lost(peer, now, Duration::ZERO);
    assert_eq!(dialer.due(now).len(), 1);
    dialer.refused(peer, now);
    assert!(dialer.due(now + MS * 1_500).is_empty());
    assert_eq!(dialer.due(now + MS * 2_500).len(), 1);
}

#[test]
fn a_bootstrap_node_off_the_list_is_dialled_when_it_is_back_on_it() {
    let (mut dialer, now) = dialer(8);
    let (named, met) = (PeerId::random(), PeerId::random());
    dialer.bootstrap(&[(named, address())], now);
    dialer.identified(named, address(), now);
    dialer.identified(met, address(), now);
    for peer in [named, met] {
        dialer.bar(&peer);
        dialer.lost(peer, now, Duration::ZERO);
    }
    assert!(dialer.due(now + FORGET_AFTER).is_empty());
    dialer.admit(|_| false, now);
    assert!(dialer.due(now).is_empty());
    dialer.admit(|_| true, now);
    assert_eq!(dialer.due(now), [(named, address())], "the addresses of others are forgotten");
}

#[test]
fn a_failed_second_dial_leaves_a_connected_peer_alone() {
    let (mut dialer, now) = dialer(8);
    let peer = PeerId::random();
    dialer.identified(peer, address(), now);
    dialer.failed(peer, now, false);
    assert!(dialer.due(now + FORGET_AFTER).is_empty());
}

#[test]
fn a_forgotten_peer_is_never_dialled() {
    let (mut dialer, now) = dialer(8);
    let peer = PeerId::random();
    dialer.identified(peer, address(), now);
    dialer.forget(&peer);
    dialer.lost(peer, now, Duration::ZERO);
    assert!(dialer.due(now + FORGET_AFTER).is_empty());
}

#[test]
fn a_node_with_others_comes_back_to_a_lost_peer_every_three_seconds_and_after_ten_minutes_seldom() {
    let (mut dialer, start) = dialer(8);
    let peer = PeerId::random();
    dialer.identified(peer, address(), start);
    dialer.lost(peer, start, Duration::ZERO);
    let mut now = start;
    let mut pause = Duration::ZERO;
    while now - start < LATELY {
        assert!(pause <= MAX_DELAY_LOST * 12 / 10);
        assert_eq!(dialer.due(now).len(), 1);
        dialer.failed(peer, now, false);
        pause = dialer.next().expect("another try") - now;
        now += pause;
    }
    for _ in 0..5 {
        dialer.due(now);
        dialer.failed(peer, now, false);
        now = dialer.next().expect("another try");
    }
    dialer.due(now);
    dialer.failed(peer, now, false);
    assert!(dialer.next().expect("another try") - now >= MAX_DELAY * 8 / 10);
}

#[test]
fn a_dial_of_a_former_peer_is_given_up_soon_and_a_first_one_of_the_list_never() {
    let (mut dialer, now) = dialer(8);
    let (former, new) = (PeerId::random(), PeerId::random());
    dialer.identified(former, address(), now);
    dialer.lost(former, now, Duration::ZERO);
    dialer.bootstrap(&[(new, address())], now);
    assert_eq!(dialer.due(now).len(), 2);
    assert!(dialer.overdue(now + GIVE_UP / 2).is_empty());
    assert_eq!(dialer.overdue(now + GIVE_UP), [former]);
}

#[test]
fn a_dial_that_lasts_makes_room_for_entries_not_tried_yet() {
    let (mut dialer, now) = dialer(4);
    let nodes: Vec<_> = (0..9).map(|_| (PeerId::random(), address())).collect();
    dialer.bootstrap(&nodes, now);
    let mut tried = dialer.due(now);
    assert_eq!(tried.len(), 4);
    assert!(dialer.overdue(now + MAKES_ROOM_AFTER / 2).is_empty());
    let mut then = now;
    while tried.len() < nodes.len() {
        then = dialer.next().expect("somebody makes room");
        let ended = dialer.overdue(then);
        assert!(!ended.is_empty());
        for peer in ended {
            dialer.failed(peer, then, true);
        }
        let more: Vec<_> = dialer.due(then);
        assert!(dialer.under_way() <= 4);
        let fresh = more.into_iter().filter(|(peer, _)| !tried.iter().any(|(other, _)| other == peer));
        tried.extend(fresh.collect::<Vec<_>>());
    }
    assert!(then - now <= 4 * MAKES_ROOM_AFTER);
    assert!(dialer.overdue(then + GIVE_UP).is_empty(), "once all were tried, each has its time");
}

#[test]
fn former_peers_are_remembered_up_to_a_bound_the_last_ones_first() {
    let (mut dialer, start) = dialer(8);
    let peers: Vec<_> = (0..MAX_LOST + 2).map(|_| PeerId::random()).collect();
    for (peer, n) in peers.iter().zip(0..) {
        dialer.identified(*peer, address(), start);
        dialer.lost(*peer, start + MS * n, Duration::ZERO);
    }
    let known: Vec<_> = peers.iter().map(|peer| dialer.addresses(peer, start).is_some()).collect();
    assert_eq!(known.iter().filter(|known| **known).count(), MAX_LOST);
    assert!(!known[0] && !known[1]);
}

#[test]
fn a_peer_that_others_speak_of_is_dialled_once_and_then_when_its_time_has_come() {
    let (mut dialer, now) = dialer(8);
    let (own, peer) = (dialer.own, PeerId::random());
    assert_eq!(dialer.heard_of(own, address(), now), Heard::Pointless);
    assert_eq!(dialer.heard_of(peer, Vec::new(), now), Heard::Pointless, "nobody knows where it is");
    assert_eq!(dialer.heard_of(peer, address(), now), Heard::New);
    assert_eq!(dialer.due(now).len(), 1);
    assert_eq!(dialer.heard_of(peer, address(), now), Heard::Known, "the dial under way may succeed");
    dialer.failed(peer, now, false);
    assert_eq!(dialer.heard_of(peer, address(), now), Heard::Pointless, "it waits like anybody else");
    assert!(dialer.due(now).is_empty());
    dialer.connected(peer, now);
    assert_eq!(dialer.heard_of(peer, address(), now), Heard::Known);
}
