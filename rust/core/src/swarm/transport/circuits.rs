//! The addresses that relays give this node: a few of each relay, and only those that may be of use.
//!
//! The library takes as many as fit into an answer, others with each renewal, and forgets none of them while the
//! reservation lasts. All would be listen addresses of the node, which it tells its peers, and together soon more than a
//! peer reads.

use std::{
    collections::{HashMap, HashSet},
    pin::Pin,
    task::{Context, Poll, ready},
};

use libp2p::{
    Multiaddr, PeerId, Transport,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
    multiaddr::Protocol,
};

use crate::{
    addresses::{Reach, is_public_address},
    discovery::records::MAX_ADDRESS,
};

/// QUIC and TCP over IPv4 and IPv6, and of private ones, of which a relay has many that are of its containers, just two. Of
/// each as many more at the host where the relay was asked, which others may name last: that one is of use.
const MAX_PUBLIC: usize = 4;
const MAX_PRIVATE: usize = 2;
/// What two relays give has room in what identify tells.
const MAX_OF_RELAY: usize = 8;

pub(super) struct Circuits<T> {
    inner: T,
    reach: Reach,
    relays: HashMap<ListenerId, Relay>,
}

struct Relay {
    /// Its name: what ends elsewhere is not its own, and would be taken from the relay there when this one is lost.
    id: Option<PeerId>,
    host: Option<Protocol<'static>>,
    /// It is met on the Internet: its private addresses are in another network than ours. A name may stand for any.
    far: bool,
    told: HashSet<Multiaddr>,
}

impl<T> Circuits<T> {
    pub(super) fn new(inner: T, reach: Reach) -> Self {
        Self { inner, reach, relays: HashMap::new() }
    }

    /// Whether it is one more address at which others may reach us.
    fn takes(&mut self, id: ListenerId, address: &Multiaddr) -> bool {
        let Some(relay) = self.relays.get_mut(&id) else { return false };
        let public = is_public_address(address);
        let few = if public { MAX_PUBLIC } else { MAX_PRIVATE };
        let most = if address.iter().next() == relay.host { 2 * few } else { few };
        relay.told.len() < MAX_OF_RELAY
            && relay.told.iter().filter(|told| is_public_address(told) == public).count() < most
            && address.len() <= MAX_ADDRESS
            && relay_of(address) == relay.id
            && self.reach.admits(address)
            && (!relay.far || public)
            && relay.told.insert(address.clone())
    }
}

/// Whom an address names first.
fn relay_of(address: &Multiaddr) -> Option<PeerId> {
    address.iter().find_map(|part| if let Protocol::P2p(id) = part { Some(id) } else { None })
}

impl<T: Transport + Unpin> Transport for Circuits<T> {
    type Output = T::Output;
    type Error = T::Error;
    type ListenerUpgrade = T::ListenerUpgrade;
    type Dial = T::Dial;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<T::Error>> {
        let host = address.iter().next().map(Protocol::acquire);
        let far = matches!(host, Some(Protocol::Ip4(_) | Protocol::Ip6(_))) && is_public_address(&address);
        let relay = relay_of(&address);
        self.inner.listen_on(id, address)?;
        self.relays.insert(id, Relay { id: relay, host, far, told: HashSet::new() });
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        self.inner.remove_listener(id)
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<T::Dial, TransportError<T::Error>> {
        self.inner.dial(address, options)
    }

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<TransportEvent<T::ListenerUpgrade, T::Error>> {
        loop {
            let event = ready!(Transport::poll(Pin::new(&mut self.inner), cx));
            match &event {
                TransportEvent::NewAddress { listener_id, listen_addr } if !self.takes(*listener_id, listen_addr) => {}
                TransportEvent::ListenerClosed { listener_id, .. } => {
                    self.relays.remove(listener_id);
                    return Poll::Ready(event);
                }
                _ => return Poll::Ready(event),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, future, io, net::Ipv4Addr};

    use futures::task::noop_waker_ref;

    use super::*;

    const RELAY: &str = "p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit";

    /// Relays that give these addresses.
    #[derive(Default)]
    struct Given(VecDeque<TransportEvent<future::Ready<io::Result<()>>, io::Error>>);

    impl Given {
        fn address(&mut self, id: ListenerId, text: &str) {
            let ends = if text.contains("p2p") { "p2p-circuit" } else { RELAY };
            let listen_addr = format!("{text}/{ends}").parse().unwrap();
            self.0.push_back(TransportEvent::NewAddress { listener_id: id, listen_addr });
        }
    }

    impl Transport for Given {
        type Output = ();
        type Error = io::Error;
        type ListenerUpgrade = future::Ready<io::Result<()>>;
        type Dial = future::Ready<io::Result<()>>;

        fn listen_on(&mut self, _: ListenerId, _: Multiaddr) -> Result<(), TransportError<io::Error>> {
            Ok(())
        }

        fn remove_listener(&mut self, _: ListenerId) -> bool {
            false
        }

        fn dial(&mut self, address: Multiaddr, _: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
            Err(TransportError::MultiaddrNotSupported(address))
        }

        fn poll(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
            self.0.pop_front().map_or(Poll::Pending, Poll::Ready)
        }
    }

    /// What comes through of what a relay at the first address gives.
    fn told(at: &str, given: &[String]) -> Vec<String> {
        let (id, reach) = (ListenerId::next(), Reach::of(&[Ipv4Addr::UNSPECIFIED.into()]));
        let mut circuits = Circuits::new(Given::default(), reach);
        circuits.listen_on(id, format!("{at}/{RELAY}").parse().unwrap()).unwrap();
        given.iter().for_each(|text| circuits.inner.address(id, text));
        let mut told = Vec::new();
        let mut cx = Context::from_waker(noop_waker_ref());
        while let Poll::Ready(event) = Transport::poll(Pin::new(&mut circuits), &mut cx) {
            let TransportEvent::NewAddress { listen_addr, .. } = event else { panic!("no address") };
            told.push(listen_addr.to_string().trim_end_matches(RELAY).trim_end_matches('/').to_owned());
        }
        told
    }

    fn texts<const N: usize>(texts: [&str; N]) -> Vec<String> {
        texts.map(str::to_owned).into()
    }

    #[test]
    fn a_relay_gives_a_few_addresses_however_many_it_names() {
        let many: Vec<_> = (1..=255).map(|n| format!("/ip4/8.8.8.{n}/tcp/1")).collect();
        assert_eq!(told("/ip4/9.9.9.9/tcp/1", &many), many[..MAX_PUBLIC]);
        let ports: Vec<_> = (1..=255).map(|n| format!("/ip4/9.9.9.9/tcp/{n}")).collect();
        assert_eq!(told("/ip4/9.9.9.9/tcp/1", &ports), ports[..MAX_OF_RELAY]);
        let private: Vec<_> = (1..=255).map(|n| format!("/ip4/10.0.0.9/tcp/{n}")).collect();
        assert_eq!(told("/ip4/10.0.0.9/tcp/1", &private), private[..2 * MAX_PRIVATE]);
        let all = [private, many].concat();
        assert_eq!(told("/ip4/10.0.0.9/tcp/1", &all).len(), MAX_OF_RELAY);
    }

    #[test]
    fn the_addresses_of_containers_leave_room_for_those_of_the_relay() {
        let mut given: Vec<_> = (17..=25).map(|n| format!("/ip4/172.{n}.0.1/tcp/1")).collect();
        let of_use = texts(["/ip4/10.0.0.9/tcp/1", "/ip4/10.0.0.9/udp/1/quic-v1", "/ip4/8.8.8.8/tcp/1"]);
        given.extend_from_slice(&of_use);
        assert_eq!(told("/ip4/10.0.0.9/tcp/1", &given), [&given[..MAX_PRIVATE], &of_use].concat());
    }

    #[test]
    fn a_relay_gives_no_address_of_another_one() {
        let other = format!("/ip4/8.8.8.8/tcp/1/p2p/{}", PeerId::random());
        assert_eq!(told("/ip4/9.9.9.9/tcp/1", &[other, "/ip4/8.8.8.8/tcp/2".into()]), ["/ip4/8.8.8.8/tcp/2"]);
    }

    #[test]
    fn of_a_relay_on_the_internet_private_addresses_are_nothing_to_others() {
        let given = ["/ip4/10.0.0.1/tcp/1", "/ip4/8.8.8.8/tcp/1", "/ip4/127.0.0.1/tcp/1"].map(str::to_owned);
        assert_eq!(told("/ip4/8.8.8.8/tcp/1", &given), ["/ip4/8.8.8.8/tcp/1"]);
        for near in ["/ip4/10.0.0.9/tcp/1", "/dns4/relay.example/tcp/1"] {
            assert_eq!(told(near, &given), ["/ip4/10.0.0.1/tcp/1", "/ip4/8.8.8.8/tcp/1"]);
        }
    }

    #[test]
    fn an_address_is_told_once_and_long_ones_never() {
        let long = format!("/dns4/{}.example/tcp/1", "a".repeat(60));
        let longer = format!("/dns4/{0}.{0}.example/tcp/1", "a".repeat(60));
        let given = [long.clone(), long.clone(), longer];
        assert_eq!(told("/ip4/8.8.8.8/tcp/1", &given), [long]);
    }
}
