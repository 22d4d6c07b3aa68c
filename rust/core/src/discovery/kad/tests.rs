use std::{
    net::{IpAddr, Ipv4Addr},
    slice::from_ref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use libp2p::{
    kad::{ConnectionType, KadPeer, ProviderRecord, store::RecordStore},
    swarm::THandlerInEvent,
};

use super::*;

const LAN: StreamProtocol = protocol(Scope::Lan);
const WAN: StreamProtocol = protocol(Scope::Wan);

fn address(text: &str) -> Multiaddr {
    text.parse().expect("a multiaddr")
}

/// A table of a node that listens everywhere, and the switch that says whether peers are listed.
fn table(scope: Scope) -> (Table, Arc<AtomicBool>) {
    let switch = Arc::new(AtomicBool::new(true));
    let listed = Arc::clone(&switch);
    let reach = Reach::of(&[IpAddr::V4(Ipv4Addr::UNSPECIFIED)]);
    (Table::new(PeerId::random(), scope, reach, Arc::new(move |_| listed.load(Ordering::Relaxed))), switch)
}

fn met(table: &mut Table, remote: &str, serves: &[StreamProtocol], told: &[&str]) -> PeerId {
    let peer = PeerId::random();
    let told: Vec<_> = told.iter().map(|text| address(text)).collect();
    table.meet(&peer, &address(remote), serves, &told);
    peer
}

#[test]
fn a_peer_enters_when_it_serves_the_protocol_at_an_address_of_the_right_kind() {
    let private = "/ip4/10.0.0.2/tcp/4002";
    let public = "/ip4/8.8.8.8/tcp/4002";
    let relayed = format!("{public}/p2p/{}/p2p-circuit", PeerId::random());
    let loopback = "/ip4/127.0.0.1/tcp/4002";
    for (scope, remote, serves, told, enters) in [
        (Scope::Lan, private, vec![LAN], vec![private], true),
        (Scope::Lan, private, vec![LAN, WAN], vec![public, private, loopback], true),
        (Scope::Lan, private, vec![WAN], vec![private], false),
        (Scope::Lan, private, vec![LAN], vec![public, loopback], false),
        (Scope::Lan, public, vec![LAN], vec![private], false),
        (Scope::Wan, private, vec![WAN], vec![public], true),
        (Scope::Wan, public, vec![LAN], vec![public], false),
        (Scope::Wan, public, vec![WAN], vec![private], false),
        (Scope::Wan, public, vec![WAN], vec![&relayed], false),
    ] {
        let (mut table, _) = table(scope);
        let peer = met(&mut table, remote, &serves, &told);
        assert_eq!(table.len(), usize::from(enters), "{scope:?} {remote} {serves:?} {told:?}");
        assert!(table.addresses(peer).iter().all(|address| table.admits(address)));
    }
}

#[test]
fn a_peer_that_no_longer_serves_or_lists_leaves_and_addresses_follow_what_it_says() {
    let (mut table, switch) = table(Scope::Lan);
    let (old, new) = (address("/ip4/10.0.0.2/tcp/1"), address("/ip4/10.0.0.3/tcp/1"));
    let peer = PeerId::random();
    table.meet(&peer, &old, &[LAN], from_ref(&old));
    table.meet(&peer, &old, &[LAN], from_ref(&new));
    assert_eq!(table.addresses(peer), [new.clone().with_p2p(peer).expect("an address")]);
    table.meet(&peer, &old, &[], from_ref(&new));
    assert_eq!(table.len(), 0);
    table.meet(&peer, &old, &[LAN], from_ref(&new));
    assert_eq!(table.len(), 1);
    switch.store(false, Ordering::Relaxed);
    table.meet(&peer, &old, &[LAN], from_ref(&new));
    assert_eq!(table.len(), 0);
}

#[test]
fn nothing_of_a_forgotten_peer_is_left() {
    let (mut table, switch) = table(Scope::Lan);
    let private = address("/ip4/10.0.0.2/tcp/1");
    let (gone, stays) = (PeerId::random(), PeerId::random());
    for peer in [gone, stays] {
        table.meet(&peer, &private, &[LAN], from_ref(&private));
        for key in [b"one", b"two"] {
            let record = ProviderRecord::new(RecordKey::new(key), peer, vec![private.clone()]);
            table.kad.store_mut().add_provider(record).expect("room");
        }
    }
    assert_eq!((table.len(), table.records()), (2, 4));
    table.forget(&gone);
    assert_eq!((table.len(), table.records()), (1, 2));
    assert_eq!(table.addresses(gone), []);
    assert_eq!(table.addresses(stays).len(), 2, "as it said, and as its records have it");
    switch.store(false, Ordering::Relaxed);
    table.meet(&gone, &private, &[LAN], from_ref(&private));
    assert_eq!(table.len(), 1, "and it does not come back while it is not listed");
}

#[test]
fn the_public_table_serves_while_there_is_a_public_address() {
    let (mut wan, _) = table(Scope::Wan);
    confirm(&mut wan, "/ip4/10.0.0.1/tcp/1");
    let relayed = format!("/ip4/8.8.8.8/tcp/1/p2p/{}/p2p-circuit", PeerId::random());
    confirm(&mut wan, &relayed);
    assert_eq!(wan.kad.mode(), Mode::Client);
    confirm(&mut wan, "/ip4/9.9.9.9/tcp/1");
    assert_eq!(wan.kad.mode(), Mode::Server);
    expire(&mut wan, "/ip4/9.9.9.9/tcp/1");
    assert_eq!(wan.kad.mode(), Mode::Client);
    let (lan, _) = table(Scope::Lan);
    assert_eq!(lan.kad.mode(), Mode::Server);
}

fn confirm(table: &mut Table, text: &str) {
    let addr = &address(text);
    table.on_swarm_event(FromSwarm::ExternalAddrConfirmed(libp2p::swarm::behaviour::ExternalAddrConfirmed { addr }));
}

fn expire(table: &mut Table, text: &str) {
    let addr = &address(text);
    table.on_swarm_event(FromSwarm::ExternalAddrExpired(libp2p::swarm::behaviour::ExternalAddrExpired { addr }));
}

/// What a record of ours says.
fn recorded(table: &mut Table, near: &str) -> Vec<Multiaddr> {
    met(table, near, &[protocol(table.scope)], &[near]);
    let key = RecordKey::new(b"key");
    let query_id = table.advertise(&key).expect("somebody to tell");
    let node_id = table.id;
    let provider = KadPeer { node_id, multiaddrs: Vec::new(), connection_ty: ConnectionType::Connected };
    let mut told = THandlerInEvent::<Kad>::AddProvider { key, provider, query_id };
    table.complete(&mut told);
    let THandlerInEvent::<Kad>::AddProvider { provider, .. } = told else { unreachable!() };
    provider.multiaddrs
}

#[test]
fn an_interface_is_told_beside_those_of_containers_also_when_it_was_lost_and_is_back() {
    let (mut lan, _) = table(Scope::Lan);
    let interface = ["/ip4/10.0.0.1/udp/1/quic-v1", "/ip4/10.0.0.1/tcp/1"];
    interface.into_iter().for_each(|text| confirm(&mut lan, text));
    for n in 17..=30 {
        confirm(&mut lan, &format!("/ip4/172.{n}.0.1/tcp/1"));
    }
    for _ in 0..2 {
        let told = recorded(&mut lan, "/ip4/10.0.0.2/tcp/1");
        assert_eq!(told.len(), MAX_ADDRESSES);
        assert!(interface.iter().all(|text| told.contains(&address(text))), "{told:?}");
        interface.into_iter().for_each(|text| expire(&mut lan, text));
        interface.into_iter().for_each(|text| confirm(&mut lan, text));
    }
}

#[test]
fn of_each_kind_some_addresses_are_told() {
    let (mut wan, _) = table(Scope::Wan);
    for n in 1..=12 {
        confirm(&mut wan, &format!("/ip6/2606:4700::{n}/tcp/1"));
    }
    let relayed = format!("/ip4/9.9.9.9/tcp/1/p2p/{}/p2p-circuit", PeerId::random());
    let others = ["/ip4/8.8.8.8/tcp/1", &relayed, "/dns4/node.example.com/tcp/1"];
    others.into_iter().for_each(|text| confirm(&mut wan, text));
    let told = recorded(&mut wan, "/ip4/1.1.1.1/tcp/1");
    assert_eq!(told.len(), MAX_ADDRESSES);
    assert!(others.iter().all(|text| told.contains(&address(text))), "{told:?}");
    assert_eq!(told.iter().collect::<HashSet<_>>().len(), MAX_ADDRESSES);
}

#[test]
fn nobody_is_asked_or_told_while_the_table_is_empty() {
    let (mut table, _) = table(Scope::Lan);
    let key = RecordKey::new(b"key");
    assert!(table.find(&key).is_none());
    met(&mut table, "/ip4/10.0.0.2/tcp/1", &[LAN], &["/ip4/10.0.0.2/tcp/1"]);
    assert!(table.find(&key).is_some());
    assert!(table.advertise(&key).is_none(), "without an address of our own nobody could come");
    let addr = &address("/ip4/10.0.0.1/tcp/1");
    table.on_swarm_event(FromSwarm::ExternalAddrConfirmed(libp2p::swarm::behaviour::ExternalAddrConfirmed { addr }));
    assert!(table.advertise(&key).is_some());
    assert_eq!(table.records(), 1);
    table.stop_advertising(&key);
    assert_eq!(table.records(), 0);
}

#[test]
fn the_count_is_that_of_the_buckets() {
    let (mut table, _) = table(Scope::Lan);
    let counted = |table: &mut Table| table.kad.kbuckets().map(|bucket| bucket.num_entries()).sum::<usize>();
    let told = ["/ip4/10.0.0.2/tcp/1", "/ip4/10.0.0.3/tcp/1"];
    let peers: Vec<_> = (0..100).map(|_| met(&mut table, "/ip4/10.0.0.2/tcp/1", &[LAN], &told)).collect();
    assert!(table.len() < peers.len(), "buckets have twenty places");
    assert_eq!(table.len(), counted(&mut table));
    for peer in peers.iter().take(50) {
        table.leave(peer);
    }
    assert_eq!(table.len(), counted(&mut table));
}
