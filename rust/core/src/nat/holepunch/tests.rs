use std::net::Ipv4Addr;

use super::*;

const ANYWHERE: [std::net::IpAddr; 1] = [std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED)];

fn at(host: &str, n: usize) -> Vec<Multiaddr> {
    (1..=n).map(|port| format!("/ip4/{host}/tcp/{port}").parse().expect("a multiaddr")).collect()
}

/// Whether a try at these addresses may be made beside so many others with the peer.
fn may(others: usize, addresses: &[Multiaddr]) -> bool {
    let mut punch = HolePunch::new(PeerId::random(), Reach::of(&ANYWHERE));
    let (peer, connection) = (PeerId::random(), ConnectionId::new_unchecked(0));
    punch.dials.insert(connection, peer);
    punch.dials.extend((1..=others).map(|id| (ConnectionId::new_unchecked(id), peer)));
    punch.dials.insert(ConnectionId::new_unchecked(1_000), PeerId::random());
    punch.handle_pending_outbound_connection(connection, Some(peer), addresses, Endpoint::Dialer).is_ok()
}

#[test]
fn a_peer_has_few_tries_at_few_places_where_it_can_be() {
    let places = [at("8.8.8.8", 1), at("192.168.1.2", 1)].concat();
    assert!(may(0, &places));
    assert!(may(MAX_TRIES - 1, &places));
    assert!(!may(MAX_TRIES, &places), "each of them may last for ten seconds");
    assert!(may(0, &at("8.8.8.8", MAX_ADDRESSES)));
    assert!(!may(0, &at("8.8.8.8", MAX_ADDRESSES + 1)));
    for host in ["127.0.0.1", "0.0.0.0", "224.0.0.1"] {
        assert!(!may(0, &[places.clone(), at(host, 1)].concat()), "{host}");
    }
}

#[test]
fn other_dials_are_none_of_its_business() {
    let mut punch = HolePunch::new(PeerId::random(), Reach::of(&ANYWHERE));
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
