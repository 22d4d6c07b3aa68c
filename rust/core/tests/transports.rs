//! Events cross every transport, each by itself.

mod support;

use std::collections::BTreeSet;

use depinmesh_core::{
    gate::{Entry, WalletSource},
    identity::SecretKey,
};
use support::{Host, config};

const NODES: usize = 3;
const EVENTS: usize = 500;

/// Three nodes that share nothing but this transport: everybody hears everything of the others, once, and nothing of
/// itself.
fn exchange(quic: bool, tcp: bool, transport: &str) {
    let mut hosts: Vec<Host> = (0..NODES).map(|_| Host::start(SecretKey::generate(), config(quic, tcp))).collect();
    let wallets: Vec<Entry> = hosts.iter().map(|host| Entry::Text(host.key.wallet().to_string())).collect();
    let databases: Vec<u32> = hosts
        .iter()
        .map(|host| host.node.attach("db", WalletSource::List(wallets.clone())).expect("the database opens"))
        .collect();
    for dialled in 1..NODES {
        let address = hosts[dialled].node.addresses()[0].clone();
        for host in &mut hosts[..dialled] {
            host.dial(&address).expect("it is reached");
        }
    }
    let subscriptions: Vec<_> = (0..NODES).map(|i| hosts[i].subscribe(databases[i], "t")).collect();
    for i in 0..NODES {
        hosts[i].wait_for_peers(databases[i], "t", NODES - 1);
        let (node, database) = (&hosts[i].node, databases[i]);
        let has = |n| node.has_topic_peers(database, "t", n).expect("the topic is a name");
        assert_eq!([0, 1, NODES - 1, NODES].map(has), [true, true, true, false]);
        assert_eq!(node.topic_peers(database, "t").expect("the topic is a name").len(), NODES - 1);
        assert!(hosts[i].node.peers(None).iter().all(|peer| peer.transport == transport));
    }
    for number in 0..EVENTS {
        for (i, host) in hosts.iter().enumerate() {
            host.node.publish(databases[i], "t", format!("[{i},{number}]").as_bytes()).expect("room in the queue");
        }
    }
    for i in 0..NODES {
        let events = hosts[i].receive(&subscriptions[i], EVENTS * (NODES - 1));
        let texts: BTreeSet<String> =
            events.iter().map(|event| String::from_utf8_lossy(event.message_json()).into_owned()).collect();
        assert_eq!((events.len(), texts.len()), (EVENTS * (NODES - 1), EVENTS * (NODES - 1)), "nothing twice");
        for event in &events {
            let author = hosts.iter().position(|host| host.key.wallet() == event.author.wallet).expect("one of ours");
            assert_ne!(author, i, "no event of its own");
            assert!(event.message_json().starts_with(format!("[{author},").as_bytes()), "the author is right");
        }
    }
    hosts.into_iter().for_each(Host::close);
}

#[test]
fn quic_alone() {
    exchange(true, false, "quic");
}

#[test]
fn tcp_alone() {
    exchange(false, true, "tcp");
}
