//! Where a peer is dialled: what it says itself, what others say, and places that are another's.

use std::time::{Duration, Instant};

use libp2p::{Multiaddr, PeerId};

use super::{address, dialer};
use crate::swarm::dial::{
    Dialer, Heard, MAX_TARGETS,
    target::{MAX_DELAY, MAX_HEARSAY, OF_ANOTHER_FOR},
};

#[test]
fn hearsay_brings_no_barred_peer_back_and_leaves_room_for_what_a_peer_says_itself() {
    let (mut dialer, now) = dialer(8);
    let (barred, peer) = (PeerId::random(), PeerId::random());
    dialer.bootstrap(&[(barred, address())], now);
    dialer.bar(&barred);
    assert_eq!(dialer.heard_of(barred, address(), now), Heard::Pointless);
    for n in 1..100 {
        dialer.heard_of(peer, vec![at(n)], now);
    }
    assert_eq!(dialer.addresses(&peer, now).map(|addresses| addresses.len()), Some(MAX_HEARSAY));
    dialer.identified(peer, vec![at(1_000)], now);
    assert_eq!(dialer.addresses(&peer, now), Some(vec![at(1_000)]));
}

#[test]
fn hearsay_does_not_fill_the_memory() {
    let (mut dialer, now) = dialer(8);
    let taken =
        (0..2 * MAX_TARGETS).filter(|_| dialer.heard_of(PeerId::random(), address(), now) == Heard::New).count();
    assert_eq!(taken, MAX_TARGETS);
}

#[test]
fn an_address_at_which_another_connected_peer_answers_is_left_alone() {
    let (mut dialer, now) = dialer(8);
    let (peer, other) = (PeerId::random(), PeerId::random());
    let (wrong, good) = (at(1), at(2));
    dialer.bootstrap(&[(peer, vec![with_peer(&wrong, peer), good.clone()])], now);
    dialer.connected(other, now);
    assert_eq!(dialer.due(now)[0].1.len(), 2);
    assert!(dialer.answers_elsewhere(&peer, &with_peer(&wrong, peer), other, now), "the operator named it");
    dialer.failed(peer, now, false);
    let later = now + MAX_DELAY * 2;
    assert_eq!(dialer.due(later), [(peer, vec![good.clone()])]);
    dialer.answers_elsewhere(&peer, &good, other, later);
    dialer.failed(peer, later, false);
    let later = later + MAX_DELAY * 2;
    assert!(dialer.due(later).is_empty(), "nobody else can be reached there");
    assert!(dialer.round_ended());
    let addresses = |dialer: &Dialer, at: Instant| dialer.addresses(&peer, at).map_or(0, |addresses| addresses.len());
    assert_eq!(addresses(&dialer, later), 0);
    assert_eq!(
        addresses(&dialer, later + OF_ANOTHER_FOR),
        2,
        "it may have left the place and be connected all the same"
    );
    dialer.lost(other, later, Duration::ZERO);
    assert_eq!(addresses(&dialer, later), 2, "whoever had the place has gone");
    dialer.connected(other, later);
    dialer.identified(peer, Vec::new(), later);
    assert_eq!(addresses(&dialer, later), 2, "the peer itself has been there");
}

#[test]
fn a_peer_that_moves_again_and_again_is_found_where_it_is_now() {
    let (mut dialer, now) = dialer(8);
    let peer = PeerId::random();
    for n in (1..100).step_by(2) {
        dialer.identified(peer, vec![at(n), at(n + 1)], now);
    }
    let addresses = dialer.addresses(&peer, now).expect("it has some");
    assert_eq!(addresses[..2], [at(99), at(100)]);
    assert_eq!(addresses.len(), 6);
    // As many as a host with some networks has.
    dialer.identified(peer, (200..216).map(at).collect(), now);
    dialer.lost(peer, now, Duration::ZERO);
    for n in 1_000..1_020 {
        dialer.heard_of(peer, vec![at(n)], now);
    }
    assert!(dialer.due(now)[0].1.contains(&at(1_019)), "others say that it is there now");
}

#[test]
fn a_list_that_is_read_again_takes_nothing_from_what_a_connected_peer_has_said() {
    let (mut dialer, now) = dialer(8);
    let peer = PeerId::random();
    let list = [(peer, vec![at(1)])];
    dialer.bootstrap(&list, now);
    dialer.identified(peer, vec![at(2)], now);
    dialer.bootstrap(&list, now);
    assert_eq!(dialer.addresses(&peer, now), Some(vec![at(1), at(2)]));
    dialer.lost(peer, now, Duration::ZERO);
    dialer.bootstrap(&[(peer, vec![at(3)])], now);
    assert_eq!(dialer.addresses(&peer, now), Some(vec![at(3)]), "nobody is there any more");
}

#[test]
fn who_says_that_a_lost_peer_is_elsewhere_does_not_keep_us_from_where_it_was() {
    let (mut dialer, mut now) = dialer(8);
    let (peer, liar) = (PeerId::random(), PeerId::random());
    dialer.identified(peer, vec![at(1)], now);
    dialer.connected(liar, now);
    dialer.lost(peer, now, Duration::ZERO);
    let (mut by_itself, mut misled) = (0, 0);
    for round in 0..50 {
        let lies: Vec<_> = (0..8).map(|lie| at(100 + 8 * round + lie)).collect();
        dialer.heard_of(peer, lies.clone(), now);
        if dialer.due(now) == [(peer, vec![at(1)])] {
            by_itself += 1;
        } else {
            misled += 1;
            dialer.answers_elsewhere(&peer, &lies[0], liar, now);
        }
        dialer.failed(peer, now, false);
        now = dialer.next().expect("another try");
    }
    assert!(misled > 0, "it may have moved");
    assert!(by_itself >= 40, "{by_itself} dials of where it was");
    dialer.identified(peer, vec![at(1)], now);
    dialer.heard_of(peer, vec![at(2)], now);
    assert_eq!(dialer.addresses(&peer, now), Some(vec![at(1), at(2)]), "whoever lied before may be right now");
}

#[test]
fn a_place_that_another_peer_has_now_hides_no_other_place_of_the_peer() {
    let (mut dialer, now) = dialer(8);
    let (peer, other) = (PeerId::random(), PeerId::random());
    dialer.connected(other, now);
    dialer.identified(peer, vec![at(1)], now);
    dialer.lost(peer, now, Duration::ZERO);
    dialer.heard_of(peer, vec![at(2), at(3)], now);
    assert_eq!(dialer.due(now)[0].1.len(), 3);
    dialer.answers_elsewhere(&peer, &at(2), other, now);
    dialer.failed(peer, now, false);
    let next = dialer.next().expect("another try");
    assert_eq!(dialer.due(next), [(peer, vec![at(1), at(3)])]);
}

#[test]
fn a_peer_that_is_not_where_others_say_is_no_news_the_next_time_they_say_so() {
    let (mut dialer, now) = dialer(8);
    let (peer, other) = (PeerId::random(), PeerId::random());
    dialer.connected(other, now);
    assert_eq!(dialer.heard_of(peer, vec![at(1)], now), Heard::New);
    assert_eq!(dialer.due(now).len(), 1);
    dialer.answers_elsewhere(&peer, &at(1), other, now);
    dialer.failed(peer, now, false);
    let later = now + MAX_DELAY;
    assert!(dialer.due(later).is_empty());
    assert_eq!(dialer.heard_of(peer, vec![at(1)], later), Heard::Pointless);
    assert!(dialer.due(later).is_empty());
}

#[test]
fn many_wrong_addresses_do_not_put_the_last_one_out_of_mind() {
    let (mut dialer, now) = dialer(8);
    let (peer, other) = (PeerId::random(), PeerId::random());
    dialer.bootstrap(&[(peer, vec![at(1), at(2)])], now);
    dialer.connected(other, now);
    for wrong in 100..130 {
        dialer.answers_elsewhere(&peer, &at(wrong), PeerId::random(), now);
    }
    dialer.answers_elsewhere(&peer, &at(2), other, now);
    dialer.answers_elsewhere(&peer, &at(200), PeerId::random(), now);
    assert_eq!(dialer.addresses(&peer, now + MAX_DELAY), Some(vec![at(1)]));
}

#[test]
fn where_a_peer_is_being_dialled_is_known_until_that_has_ended() {
    let (mut dialer, now) = dialer(8);
    let peer = PeerId::random();
    dialer.bootstrap(&[(peer, vec![at(1)])], now);
    assert!(dialer.dialled(&peer).is_empty());
    dialer.due(now);
    dialer.bootstrap(&[(peer, vec![at(2)])], now);
    assert_eq!(dialer.dialled(&peer), [at(1)], "a new list changes nothing about the dial");
    dialer.failed(peer, now, false);
    assert!(dialer.dialled(&peer).is_empty());
    dialer.due(now + MAX_DELAY);
    dialer.waits_for_another(&peer);
    assert!(dialer.dialled(&peer).is_empty(), "somebody else dials it elsewhere");
}

fn at(port: u16) -> Multiaddr {
    format!("/ip4/10.0.0.1/tcp/{port}").parse().expect("a multiaddr")
}

fn with_peer(address: &Multiaddr, peer: PeerId) -> Multiaddr {
    address.clone().with(libp2p::multiaddr::Protocol::P2p(peer))
}
