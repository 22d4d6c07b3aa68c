//! What is not signed is neither delivered nor lost silently: it is counted, and the connection stays.

mod support;

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use depinmesh_core::{
    config::TcpSecurity,
    gate::{Entry, WalletSource},
    identity::SecretKey,
};
use futures::StreamExt;
use libp2p::{
    Multiaddr, SwarmBuilder,
    gossipsub::{Behaviour, ConfigBuilder, IdentTopic, MessageAuthenticity, ValidationMode},
    identify, noise,
    swarm::NetworkBehaviour,
    tcp, yamux,
};
use support::{DEADLINE, Host, config};

const ENVELOPE: &[u8] = br#"{"id":"1","from_peer":"","message":"hello","timestamp":1752700000}"#;

#[derive(NetworkBehaviour)]
struct Plain {
    /// Gossip begins when both sides have said who they are.
    identify: identify::Behaviour,
    gossip: Behaviour,
}

/// A listed peer on plain libp2p that publishes until it is told to stop, signed or not.
fn publish_raw(key: &SecretKey, address: &str, signed: bool, stop: mpsc::Receiver<()>) -> thread::JoinHandle<()> {
    let (key, address) = (key.libp2p(), address.parse::<Multiaddr>().expect("a multiaddr"));
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            let authenticity = if signed {
                MessageAuthenticity::Signed(key.clone())
            } else {
                MessageAuthenticity::Author(key.public().to_peer_id())
            };
            let mode = if signed { ValidationMode::Strict } else { ValidationMode::None };
            let gossip = ConfigBuilder::default().validation_mode(mode).build().expect("settings");
            let mut swarm = SwarmBuilder::with_existing_identity(key)
                .with_tokio()
                .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
                .expect("a transport")
                .with_behaviour(|key| Plain {
                    identify: identify::Behaviour::new(identify::Config::new("ipfs/0.1.0".to_owned(), key.public())),
                    gossip: Behaviour::new(authenticity, gossip).expect("a behaviour"),
                })
                .expect("a swarm")
                .build();
            swarm.dial(address).expect("a dial begins");
            let end = Instant::now() + DEADLINE;
            let mut pace = tokio::time::interval(Duration::from_millis(20));
            while stop.try_recv().is_err() && Instant::now() < end {
                tokio::select! {
                    _ = swarm.select_next_some() => {}
                    // Until the subscription is known here there is nobody to publish to.
                    _ = pace.tick() => drop(swarm.behaviour_mut().gossip.publish(IdentTopic::new("db_t"), ENVELOPE)),
                }
            }
        });
    })
}

fn dropped(host: &Host) -> f64 {
    let metrics = host.node.metrics();
    let signature = ("reason", "signature".to_owned());
    metrics.iter().filter(|m| m.name == "dropped_total" && m.labels.contains(&signature)).map(|m| m.value).sum()
}

fn listening(peer: &SecretKey) -> (Host, u32) {
    let host = Host::start(SecretKey::generate(), config(false, Some(TcpSecurity::NoiseOnly)));
    let wallets = WalletSource::List(vec![Entry::Text(peer.wallet().to_string())]);
    let database = host.node.attach("db", wallets).expect("opens");
    (host, database)
}

#[test]
fn unsigned_messages_are_counted_and_not_delivered() {
    let peer = SecretKey::generate();
    let (mut host, database) = listening(&peer);
    let subscription = host.subscribe(database, "t");
    let (stop, stopped) = mpsc::sync_channel(1);
    let thread = publish_raw(&peer, &host.node.addresses()[0], false, stopped);
    host.until("three are dropped", |host| dropped(host) >= 3.0);
    assert!(subscription.stats().pending == 0);
    let connections = host.node.metrics().iter().find(|m| m.name == "connections_total").map(|m| m.value);
    assert_eq!(connections, Some(1.0), "all came over one connection: a bad message does not end it");
    stop.send(()).expect("it runs");
    thread.join().expect("no panic");
    host.close();
}

#[test]
fn the_same_peer_is_heard_when_it_signs() {
    let peer = SecretKey::generate();
    let (mut host, database) = listening(&peer);
    let subscription = host.subscribe(database, "t");
    let (stop, stopped) = mpsc::sync_channel(1);
    let thread = publish_raw(&peer, &host.node.addresses()[0], true, stopped);
    let events = host.receive(&subscription, 1);
    assert_eq!(events[0].message_json(), b"\"hello\"");
    assert!(dropped(&host) == 0.0);
    stop.send(()).expect("it runs");
    thread.join().expect("no panic");
    host.close();
}
