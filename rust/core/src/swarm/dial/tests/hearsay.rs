//! Peers of whom others speak, and whom nobody here has named or met.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use libp2p::PeerId;

use super::{HANDSHAKE, MS, address, dialer};
use crate::swarm::dial::{Dialer, HEARSAY_EXTRA, Heard, MAX_LOST};

#[test]
fn a_lost_peer_is_dialled_ahead_of_all_hearsay() {
    let (mut dialer, now) = dialer(8);
    hear(&mut dialer, 50, now);
    let peer = lose(&mut dialer, now + MS);
    let due = dialer.due(now + MS);
    assert_eq!((due[0].0, due.len()), (peer, 1 + 4), "hearsay has half of the places");
}

#[test]
fn a_lost_peer_finds_a_place_while_hearsay_is_being_dialled() {
    let (mut dialer, now) = dialer(8);
    hear(&mut dialer, 50, now);
    assert_eq!(dialer.due(now).len(), 4);
    assert!(dialer.due(now).is_empty());
    let peer = lose(&mut dialer, now);
    assert_eq!(dialer.due(now), [(peer, address())]);
    let named = PeerId::random();
    dialer.bootstrap(&[(named, address())], now);
    assert_eq!(dialer.due(now), [(named, address())]);
}

#[test]
fn hearsay_alone_is_dialled_one_after_the_other() {
    let (mut dialer, now) = dialer(8);
    hear(&mut dialer, 50, now);
    let mut dialled = HashSet::new();
    while dialled.len() < 50 {
        let due = dialer.due(now);
        assert_eq!(due.len(), (50 - dialled.len()).min(4));
        for (peer, _) in due {
            assert!(dialled.insert(peer), "each has its turn");
            dialer.failed(peer, now, false);
        }
    }
}

#[test]
fn hearsay_that_waits_for_a_place_keeps_nobody_awake() {
    let (mut dialer, now) = dialer(8);
    hear(&mut dialer, 50, now);
    assert_eq!(dialer.next(), Some(now));
    let due = dialer.due(now);
    assert_eq!(dialer.next(), None, "all of its places are taken");
    lose(&mut dialer, now + MS);
    assert_eq!(dialer.next(), Some(now + MS));
    dialer.failed(due[0].0, now, false);
    assert_eq!(dialer.next(), Some(now));
}

#[test]
fn a_dial_of_hearsay_ends_when_it_has_lasted_too_long() {
    let (mut dialer, now) = dialer(16);
    hear(&mut dialer, 8, now);
    let mut dialled: Vec<_> = dialer.due(now).into_iter().map(|(peer, _)| peer).collect();
    assert_eq!(dialled.len(), 8);
    let limit = HANDSHAKE + HEARSAY_EXTRA;
    assert!(dialer.overdue(now + limit.saturating_sub(MS)).is_empty());
    let mut overdue = dialer.overdue(now + limit);
    dialled.sort_unstable();
    overdue.sort_unstable();
    assert_eq!(overdue, dialled);
}

#[test]
fn a_list_of_dead_nodes_leaves_hearsay_a_place() {
    let (mut dialer, now) = dialer(8);
    let nodes: Vec<_> = (0..20).map(|_| (PeerId::random(), address())).collect();
    dialer.bootstrap(&nodes, now);
    let heard = hear(&mut dialer, 5, now);
    let due = dialer.due(now);
    assert_eq!(due.len(), 8);
    assert!(heard.contains(&due[7].0) && due[..7].iter().all(|(peer, _)| !heard.contains(peer)));
    dialer.failed(due[0].0, now, true);
    assert!(!heard.contains(&dialer.due(now)[0].0), "it has the one that is its own");
}

#[test]
fn with_one_place_the_lost_peer_has_it() {
    let (mut dialer, now) = dialer(1);
    hear(&mut dialer, 5, now);
    let peer = lose(&mut dialer, now);
    assert_eq!(dialer.due(now), [(peer, address())]);
    assert!(dialer.due(now).is_empty());
    dialer.identified(peer, address(), now);
    assert_eq!(dialer.due(now).len(), 1);
}

#[test]
fn a_former_peer_that_refuses_is_no_hearsay_and_one_that_was_never_met_is() {
    let (mut dialer, now) = dialer(8);
    let stranger = hear(&mut dialer, 1, now)[0];
    dialer.refused(stranger, now);
    let peer = lose(&mut dialer, now);
    dialer.refused(peer, now);
    dialer.refused(peer, now);
    let later = now + Duration::from_secs(30);
    hear(&mut dialer, 50, now);
    let due = dialer.due(later);
    assert_eq!((due[0].0, due.len()), (peer, 1 + 4));
    let limit = HANDSHAKE + HEARSAY_EXTRA;
    assert!(!dialer.overdue(later + limit).contains(&peer));
}

#[test]
fn hearsay_puts_no_former_peer_out_of_mind() {
    let (mut dialer, now) = dialer(8);
    let peer = lose(&mut dialer, now);
    hear(&mut dialer, 2 * MAX_LOST, now + MS);
    lose(&mut dialer, now + 2 * MS);
    assert!(dialer.addresses(&peer, now).is_some());
}

/// So many peers of whom others speak, to be dialled at once.
fn hear(dialer: &mut Dialer, count: usize, now: Instant) -> Vec<PeerId> {
    let peers: Vec<_> = (0..count).map(|_| PeerId::random()).collect();
    for peer in &peers {
        assert_eq!(dialer.heard_of(*peer, address(), now), Heard::New);
    }
    peers
}

/// A peer that has just been lost.
fn lose(dialer: &mut Dialer, now: Instant) -> PeerId {
    let peer = PeerId::random();
    dialer.identified(peer, address(), now);
    dialer.lost(peer, now, Duration::ZERO);
    peer
}
