//! Which addresses take part in discovery, and in which table (docs/wire.md section 8).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use libp2p::{Multiaddr, multiaddr::Protocol};

/// The two tables of a Go node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    /// Private addresses, and loopback ones where a node lives on nothing else.
    Lan,
    /// Addresses of the public Internet.
    Wan,
}

impl Scope {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Wan => "wan",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Loopback,
    Private,
    Public,
}

/// The rules of one node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    loopback: bool,
}

impl Reach {
    /// A node that listens on loopback alone meets others there; to any other node a loopback address is its own.
    pub(crate) fn of(hosts: &[IpAddr]) -> Self {
        Self { loopback: hosts.iter().all(IpAddr::is_loopback) }
    }

    /// Whether a peer may be reachable there at all.
    pub(crate) fn admits(self, address: &Multiaddr) -> bool {
        self.scope(address).is_some()
    }

    /// The table that the address belongs to.
    pub(crate) fn scope(self, address: &Multiaddr) -> Option<Scope> {
        match kind(address)? {
            Kind::Public => Some(Scope::Wan),
            Kind::Private => Some(Scope::Lan),
            Kind::Loopback => self.loopback.then_some(Scope::Lan),
        }
    }
}

/// Somebody on the Internet may have it.
pub(crate) fn is_public(ip: Ipv4Addr) -> bool {
    of_v4(ip) == Some(Kind::Public)
}

/// The same of the host of an address.
pub(crate) fn is_public_address(address: &Multiaddr) -> bool {
    kind(address) == Some(Kind::Public)
}

/// Reached through somebody else.
pub(crate) fn is_relayed(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

/// An address of the Internet, and no way through a relay.
pub(crate) fn is_outside(address: &Multiaddr) -> bool {
    is_public_address(address) && !is_relayed(address)
}

/// As others dial it.
pub(crate) fn is_direct(address: &Multiaddr) -> bool {
    !is_relayed(address) && kind(address).is_some()
}

/// Where it leads, whoever is expected there.
pub(crate) fn without_peer(address: &Multiaddr) -> Multiaddr {
    address.iter().filter(|part| !matches!(part, Protocol::P2p(_))).collect()
}

/// One host, then how it is spoken to, at a port that there can be, and perhaps a relay's peers. Of several hosts TCP dials
/// the last one, and names are looked up wherever they stand: whoever judges by the first host judges another one.
/// The library's metrics have a label for each form that there is, so that nothing may be repeated.
pub(crate) fn is_plain(address: &Multiaddr) -> bool {
    use Protocol::{Dns, Dns4, Dns6, Dnsaddr, Ip4, Ip6, P2p, P2pCircuit, QuicV1, Tcp, Udp};
    let (mut parts, mut before) = (address.iter(), 0);
    matches!(parts.next(), Some(Ip4(_) | Ip6(_) | Dns(_) | Dns4(_) | Dns6(_) | Dnsaddr(_)))
        && parts.all(|part| {
            let place = match part {
                Tcp(1..) | Udp(1..) => 1,
                QuicV1 => 2,
                P2p(_) if before < 3 => 3,
                P2pCircuit => 4,
                P2p(_) if before == 4 => 5,
                _ => 0,
            };
            std::mem::replace(&mut before, place) < place
        })
}

/// `None` where nobody can be reached.
fn kind(address: &Multiaddr) -> Option<Kind> {
    if !is_plain(address) {
        return None;
    }
    match address.iter().next()? {
        Protocol::Ip4(ip) => of_v4(ip),
        Protocol::Ip6(ip) => of_v6(ip),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) | Protocol::Dnsaddr(name) => of_name(&name),
        _ => None,
    }
}

const fn of_v4(ip: Ipv4Addr) -> Option<Kind> {
    match ip.octets() {
        [127, ..] => Some(Kind::Loopback),
        // 100.64.0.0/10: carriers.
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] => Some(Kind::Private),
        // This network, protocol assignments, documentation, old relays, benchmarks, multicast, reserved, broadcast; and
        // link-local ones, at one of which clouds keep the secrets of their machines.
        [0 | 224..=255, ..]
        | [169, 254, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 18 | 19, ..]
        | [198, 51, 100, _]
        | [203, 0, 113, _] => None,
        _ => Some(Kind::Public),
    }
}

const fn of_v6(ip: Ipv6Addr) -> Option<Kind> {
    if let Some(ip) = ip.to_ipv4_mapped() {
        return of_v4(ip);
    }
    if ip.is_loopback() {
        return Some(Kind::Loopback);
    }
    match ip.segments() {
        [0xfc00..=0xfdff, ..] => Some(Kind::Private),
        [0x2001, 0xdb8, ..] => None,
        [0x2000..=0x3fff, ..] => Some(Kind::Public),
        // Link-local ones mean nothing without the interface that they belong to.
        _ => None,
    }
}

fn of_name(name: &str) -> Option<Kind> {
    // Nobody looks up an IP address: it is taken for what it is.
    match name.parse() {
        Ok(IpAddr::V4(ip)) => return of_v4(ip),
        Ok(IpAddr::V6(ip)) => return of_v6(ip),
        Err(_) => {}
    }
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    match name.rsplit('.').next()? {
        "" => None,
        "localhost" => Some(Kind::Loopback),
        "local" | "internal" | "lan" => Some(Kind::Private),
        _ => Some(Kind::Public),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(reach: Reach, text: &str) -> Option<Scope> {
        reach.scope(&text.parse().expect("a multiaddr"))
    }

    #[test]
    fn an_address_belongs_to_one_table_or_to_none() {
        let reach = Reach::of(&[IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        for (text, expected) in [
            ("/ip4/10.1.2.3/tcp/1", Some(Scope::Lan)),
            ("/ip4/172.16.0.1/udp/1/quic-v1", Some(Scope::Lan)),
            ("/ip4/172.32.0.1/udp/1/quic-v1", Some(Scope::Wan)),
            ("/ip4/192.168.3.4/tcp/1", Some(Scope::Lan)),
            ("/ip4/100.64.0.1/tcp/1", Some(Scope::Lan)),
            ("/ip4/100.128.0.1/tcp/1", Some(Scope::Wan)),
            ("/ip4/8.8.8.8/tcp/1", Some(Scope::Wan)),
            ("/ip4/203.0.113.7/tcp/1", None),
            ("/ip4/0.0.0.0/tcp/1", None),
            ("/ip4/224.0.0.1/udp/1", None),
            ("/ip4/169.254.169.254/tcp/80", None),
            ("/ip6/::ffff:169.254.169.254/tcp/80", None),
            ("/dns4/169.254.169.254/tcp/80", None),
            ("/ip4/8.8.8.8/tcp/0", None),
            ("/ip4/10.1.2.3/udp/0/quic-v1", None),
            ("/ip6/fd00::1/tcp/1", Some(Scope::Lan)),
            ("/ip6/fe80::1/tcp/1", None),
            ("/ip6/2606:4700::1/tcp/1", Some(Scope::Wan)),
            ("/ip6/2001:db8::1/tcp/1", None),
            ("/ip6/::ffff:10.0.0.1/tcp/1", Some(Scope::Lan)),
            ("/dns4/node.example.com/tcp/1", Some(Scope::Wan)),
            ("/dns4/printer.local/tcp/1", Some(Scope::Lan)),
            ("/ip4/127.0.0.1/tcp/1", None),
            ("/ip6/::1/tcp/1", None),
            ("/dns4/localhost/tcp/1", None),
            ("/dns4/10.0.0.1/tcp/1", Some(Scope::Lan)),
            ("/dns/127.0.0.1/tcp/1", None),
            ("/dns6/::1/tcp/1", None),
            (
                "/ip4/8.8.8.8/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit",
                Some(Scope::Wan),
            ),
            ("/ip4/8.8.8.8/ip4/127.0.0.1/tcp/1", None),
            ("/ip4/8.8.8.8/dns4/localhost/tcp/1", None),
            ("/dns4/a.example/tcp/1/ip4/10.0.0.1/tcp/2", None),
            ("/ip4/8.8.8.8/tcp/1/ws", None),
            ("/ip4/8.8.8.8/tcp/1/tcp/1", None),
            ("/ip4/8.8.8.8/p2p-circuit/tcp/1", None),
            ("/dnsaddr/nodes.example.com", Some(Scope::Wan)),
            ("/memory/5", None),
        ] {
            assert_eq!(scope(reach, text), expected, "{text}");
        }
    }

    #[test]
    fn loopback_counts_where_there_is_nothing_else() {
        let reach = Reach::of(&[IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
        assert_eq!(scope(reach, "/ip4/127.0.0.1/tcp/1"), Some(Scope::Lan));
        assert_eq!(scope(reach, "/ip6/::1/udp/1/quic-v1"), Some(Scope::Lan));
    }
}
