use super::*;

fn limited(address: &str) -> Option<IpAddr> {
    limited_address(&address.parse().unwrap())
}

#[test]
fn an_ipv4_address_has_a_limit_of_its_own_whatever_the_port() {
    assert_eq!(limited("/ip4/192.0.2.1/tcp/1"), Some("192.0.2.1".parse().unwrap()));
    assert_eq!(limited("/ip4/192.0.2.1/tcp/1"), limited("/ip4/192.0.2.1/udp/2/quic-v1"));
    assert_ne!(limited("/ip4/192.0.2.1/tcp/1"), limited("/ip4/192.0.2.2/tcp/1"));
}

#[test]
fn the_ipv6_addresses_of_one_customer_share_a_limit() {
    let one = limited("/ip6/2001:db8:1:2::1/tcp/1");
    assert_eq!(one, Some("2001:db8:1:2::".parse().unwrap()));
    assert_eq!(one, limited("/ip6/2001:db8:1:2:ffff:ffff:ffff:ffff/udp/1/quic-v1"));
    assert_ne!(one, limited("/ip6/2001:db8:1:3::1/tcp/1"));
    assert_ne!(one, limited("/ip6/2001:db8:2:2::1/tcp/1"));
}

#[test]
fn an_ipv4_address_that_comes_as_an_ipv6_one_is_the_same() {
    assert_eq!(limited("/ip6/::ffff:192.0.2.1/tcp/1"), limited("/ip4/192.0.2.1/tcp/1"));
    assert_ne!(limited("/ip6/::ffff:192.0.2.1/tcp/1"), limited("/ip6/::ffff:192.0.2.2/tcp/1"));
}

#[test]
fn what_has_no_address_has_no_limit() {
    assert_eq!(limited("/memory/1"), None);
}
