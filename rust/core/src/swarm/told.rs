//! What is believed of the addresses that a peer tells of itself.

use libp2p::{Multiaddr, multiaddr::Protocol};

use crate::addresses::{Reach, is_outside, is_public_address, is_relayed};

/// Of one peer.
const MAX_TOLD: usize = 16;

/// At first those at the host where it is met: it tells them in any order, and those of its containers are of no use.
pub(super) fn taken(mut told: Vec<Multiaddr>, remote: &Multiaddr, reach: Reach) -> Vec<Multiaddr> {
    // Who is met on the Internet has its private addresses in another network than ours, where somebody else may be.
    let far = is_far(remote);
    told.retain(|address| reach.admits(address) && (!far || is_public_address(address)));
    if !is_relayed(remote) {
        told.sort_by_key(|address| address.iter().next() != remote.iter().next());
    }
    told.truncate(MAX_TOLD);
    told
}

/// By a direct connection; what a name leads to is not known.
fn is_far(remote: &Multiaddr) -> bool {
    matches!(remote.iter().next(), Some(Protocol::Ip4(_) | Protocol::Ip6(_))) && is_outside(remote)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn of(told: &[&str], remote: &str) -> Vec<String> {
        let told = told.iter().map(|text| text.parse().unwrap()).collect();
        let taken = taken(told, &remote.parse().unwrap(), Reach::of(&[Ipv4Addr::UNSPECIFIED.into()]));
        taken.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn where_a_peer_is_met_comes_before_its_containers() {
        let bridges: Vec<_> = (16..=31).map(|n| format!("/ip4/172.{n}.0.1/tcp/1")).collect();
        let here = ["/ip4/10.0.0.9/tcp/1", "/ip4/10.0.0.9/udp/1/quic-v1"];
        let told: Vec<_> = bridges.iter().map(String::as_str).chain(here).collect();
        let taken = of(&told, "/ip4/10.0.0.9/tcp/50000");
        assert_eq!(taken[..2], here);
        assert_eq!(taken[2..], bridges[..MAX_TOLD - 2]);
    }

    #[test]
    fn ways_through_a_relay_do_not_come_first_where_a_peer_is_met_through_it() {
        const RELAY: &str = "/ip4/8.8.8.8/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit";
        let direct = "/ip4/9.9.9.9/tcp/1";
        assert_eq!(of(&[direct, RELAY], RELAY), [direct, RELAY]);
    }

    #[test]
    fn private_addresses_of_who_is_met_on_the_internet_are_left_out() {
        let told = ["/ip4/10.0.0.9/tcp/1", "/ip4/8.8.8.8/tcp/1", "/ip4/8.8.8.8/tcp/0"];
        assert_eq!(of(&told, "/ip4/8.8.8.8/tcp/50000"), ["/ip4/8.8.8.8/tcp/1"]);
        assert_eq!(of(&told, "/ip4/10.0.0.9/tcp/50000"), ["/ip4/10.0.0.9/tcp/1", "/ip4/8.8.8.8/tcp/1"]);
    }
}
