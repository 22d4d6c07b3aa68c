use std::{io, net::Ipv4Addr, task::Waker};

use super::*;

const ANYWHERE: [std::net::IpAddr; 1] = [std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED)];

fn at(host: &str, n: usize) -> Vec<Multiaddr> {
    (1..=n).map(|port| format!("/ip4/{host}/tcp/{port}").parse().expect("a multiaddr")).collect()
}

fn hole_punch() -> HolePunch {
    HolePunch::new(PeerId::random(), Reach::of(&ANYWHERE))
}

/// What a peer has named over a relayed connection is told to the library.
fn name(punch: &mut HolePunch, peer: PeerId, relayed: usize, remote_addrs: Vec<Multiaddr>) {
    let told = Either::Left(Told::InboundConnectNegotiated { remote_addrs });
    punch.on_connection_handler_event(peer, ConnectionId::new_unchecked(relayed), told);
}

/// The next dial, as the library shows it: its addresses are nobody else's.
fn dial(punch: &mut HolePunch) -> Option<String> {
    match punch.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(ToSwarm::Dial { opts }) => Some(format!("{opts:?}")),
        _ => None,
    }
}

/// Whether a try may be made beside so many others with the peer.
fn may(others: usize) -> bool {
    let mut punch = hole_punch();
    let (peer, connection) = (PeerId::random(), ConnectionId::new_unchecked(0));
    punch.dials.insert(connection, peer);
    punch.dials.extend((1..=others).map(|id| (ConnectionId::new_unchecked(id), peer)));
    punch.dials.insert(ConnectionId::new_unchecked(1_000), PeerId::random());
    punch.handle_pending_outbound_connection(connection, Some(peer), &at("8.8.8.8", 1), Endpoint::Dialer).is_ok()
}

#[test]
fn a_peer_has_few_tries_at_a_time() {
    assert!(may(0));
    assert!(may(MAX_TRIES - 1));
    assert!(!may(MAX_TRIES), "each of them may last for ten seconds");
}

#[test]
fn an_address_that_a_peer_cannot_be_at_costs_it_none_of_the_others() {
    let (mut punch, peer) = (hole_punch(), PeerId::random());
    let (here, good) = (["127.0.0.1", "0.0.0.0", "224.0.0.1"], ["8.8.8.8", "192.168.1.2"]);
    let named = here.into_iter().chain(good).flat_map(|host| at(host, 1)).collect();
    name(&mut punch, peer, 0, named);
    let dialled = dial(&mut punch).expect("a dial");
    assert!(good.iter().all(|host| dialled.contains(host)), "{dialled}");
    assert!(!here.iter().any(|host| dialled.contains(host)), "{dialled}");
}

#[test]
fn a_peer_is_dialled_at_few_addresses() {
    let (mut punch, peer) = (hole_punch(), PeerId::random());
    name(&mut punch, peer, 0, [at("127.0.0.1", 9), at("8.8.8.8", MAX_ADDRESSES + 1)].concat());
    assert_eq!(dial(&mut punch).expect("a dial").matches("8.8.8.8").count(), MAX_ADDRESSES);
}

#[test]
fn a_peer_that_exchanges_addresses_for_ever_is_dialled_a_few_times() {
    let (mut punch, peer, other) = (hole_punch(), PeerId::random(), PeerId::random());
    for i in 0..100 {
        // Opening connections anew brings it no more than using one again.
        name(&mut punch, peer, i / 10, at("8.8.8.8", MAX_ADDRESSES));
    }
    assert_eq!(std::iter::from_fn(|| dial(&mut punch)).count(), MAX_IN_A_ROW as usize);
    name(&mut punch, other, 100, at("8.8.4.4", 1));
    assert!(dial(&mut punch).is_some(), "what one peer does is nothing to another");
}

#[test]
fn exchanges_that_fail_count_too() {
    let (mut punch, peer) = (hole_punch(), PeerId::random());
    for i in 0..100 {
        let told = Either::Left(Told::InboundConnectFailed { error: io::Error::other("rubbish").into() });
        punch.on_connection_handler_event(peer, ConnectionId::new_unchecked(i), told);
    }
    let mut poll = || punch.poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(std::iter::from_fn(|| poll().is_ready().then_some(())).count(), MAX_IN_A_ROW as usize);
}

#[test]
fn a_peer_has_more_tries_later() {
    let (mut punch, peer, start) = (hole_punch(), PeerId::random(), Instant::now());
    let mut had = |at| std::iter::from_fn(|| punch.may_exchange(peer, at).then_some(())).count();
    assert_eq!(had(start), MAX_IN_A_ROW as usize);
    assert_eq!(had(start + ANOTHER_AFTER / 2), 0);
    assert_eq!(had(start + ANOTHER_AFTER), 1);
    assert_eq!(had(start + 3 * ANOTHER_AFTER), 2);
    assert_eq!(had(start + 100 * ANOTHER_AFTER), MAX_IN_A_ROW as usize, "they do not add up");
    assert!(punch.may_exchange(PeerId::random(), start + 200 * ANOTHER_AFTER));
    assert_eq!(punch.count.len(), 1, "who has all of them left is forgotten");
}

#[test]
fn others_are_told_of_no_address_that_they_cannot_use() {
    let punch = hole_punch();
    let is_told = |text: &str| punch.is_place(&text.parse().expect("a multiaddr"));
    let peer = PeerId::random();
    for good in ["/ip4/8.8.8.8/udp/1/quic-v1", "/ip4/192.168.1.2/tcp/1", "/dns4/node.example.com/tcp/1"] {
        assert!(is_told(good), "{good}");
    }
    for bad in ["/ip4/127.0.0.1/udp/1/quic-v1", "/ip6/::1/tcp/1", "/ip4/0.0.0.0/tcp/1", "/ip6/fe80::1/tcp/1"] {
        assert!(!is_told(bad), "{bad}");
    }
    assert!(!is_told(&format!("/ip4/8.8.8.8/tcp/1/p2p/{peer}/p2p-circuit")));
    assert!(!is_told(&format!("/p2p/{peer}")));
    assert!(HolePunch::new(peer, Reach::of(&[Ipv4Addr::LOCALHOST.into()])).is_place(&at("127.0.0.1", 1)[0]));
}

#[test]
fn other_dials_are_none_of_its_business() {
    let mut punch = hole_punch();
    let connection = ConnectionId::new_unchecked(0);
    assert!(
        punch
            .handle_pending_outbound_connection(
                connection,
                Some(PeerId::random()),
                &at("127.0.0.1", 99),
                Endpoint::Dialer
            )
            .is_ok()
    );
}
