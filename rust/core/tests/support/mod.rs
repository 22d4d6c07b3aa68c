//! A host for real nodes: drains the mailbox, waits for conditions with a deadline.
#![allow(dead_code, reason = "the fuzz targets take the settings alone")]

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use depinmesh_core::{
    config::{BootstrapConfig, ConnectionConfig, DiscoveryConfig, ListenConfig, NatConfig, NodeConfig, PubSubConfig},
    error::Error,
    events::{Control, NodeEvent, Value},
    gate::{DatabaseId, GateConfig, Revocation},
    identity::SecretKey,
    node::Node,
    pubsub::{Delivered, topics::Subscription},
};
use depinmesh_mailbox::{Drained, Item, Limits, Overflow, Wake};

const DEADLINE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    condition: Condvar,
}

impl Wake for Bell {
    fn wake(&self) {
        *self.rung.lock().expect("no panic under the lock") = true;
        self.condition.notify_one();
    }
}

/// One node and what its host knows of it. Single-threaded: it looks whenever it is asked something.
pub(crate) struct Host {
    pub(crate) key: SecretKey,
    pub(crate) node: Arc<Node>,
    bell: Arc<Bell>,
    results: HashMap<u64, Result<Value, Error>>,
    events: Vec<NodeEvent>,
}

static OPS: AtomicU64 = AtomicU64::new(1);

pub(crate) fn config(quic: bool, tcp: bool) -> NodeConfig {
    NodeConfig {
        listen: ListenConfig {
            hosts: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            quic_port: quic.then_some(0),
            tcp_port: tcp.then_some(0),
            announce: Vec::new(),
        },
        gate: GateConfig {
            refresh_interval: Duration::from_secs(30),
            timeout: Duration::from_secs(10),
            min_interval: Duration::from_secs(1),
            negative_ttl: Duration::from_secs(10),
            max_stale: Duration::from_secs(900),
            revocation: Revocation::Close,
        },
        bootstrap: BootstrapConfig {
            connect_timeout: Duration::from_secs(30),
            retry_interval: Duration::from_secs(5),
            loss_delay: Duration::from_secs(2),
        },
        discovery: DiscoveryConfig {
            dht: true,
            rendezvous_interval: Duration::from_secs(2),
            max_new_per_round: 5,
            mdns: false,
            registry: false,
        },
        connections: ConnectionConfig {
            low: 100,
            high: 400,
            grace: Duration::from_secs(60),
            max_per_ip: 64,
            max_pending_per_ip: 16,
            dial_concurrency: 8,
            handshake_timeout: Duration::from_secs(10),
        },
        nat: NatConfig {
            relay_client: false,
            relay_server: false,
            hole_punching: false,
            relays: Vec::new(),
            upnp: false,
            autonat: false,
            autonat_server: false,
        },
        pubsub: PubSubConfig { max_message_size: 1_048_000, flood_publish: false, batching: false },
    }
}

impl Host {
    /// A started node.
    pub(crate) fn start(key: SecretKey, config: NodeConfig) -> Self {
        let bell = Arc::new(Bell::default());
        let node = Node::new(key.clone(), config, Arc::clone(&bell) as Arc<dyn Wake>);
        let mut host = Self { key, node, bell, results: HashMap::new(), events: Vec::new() };
        host.run(|node, op| node.start(op).expect("a node starts once")).expect("the node listens");
        host
    }

    /// Begins an operation and waits for its end.
    fn run(&mut self, begin: impl FnOnce(&Node, u64)) -> Result<Value, Error> {
        let op = OPS.fetch_add(1, Ordering::Relaxed);
        begin(&self.node, op);
        self.until("an operation ends", |host| host.results.contains_key(&op));
        self.results.remove(&op).expect("it is there")
    }

    pub(crate) fn dial(&mut self, address: &str) -> Result<Value, Error> {
        let address = [address.to_owned()];
        self.run(move |node, op| {
            if let Err(error) = node.dial(op, &address, Duration::from_secs(10)) {
                panic!("the address is refused at the call: {error}");
            }
        })
    }

    /// Waits until it holds, looking at the mailbox meanwhile.
    fn until(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        let end = Instant::now() + DEADLINE;
        while !holds(self) {
            assert!(Instant::now() < end, "not within {DEADLINE:?}: {what}; events: {:?}", self.events);
            self.look(Duration::from_millis(20));
        }
    }

    /// Takes what is in the mailbox, after waiting a moment for something to be there.
    fn look(&mut self, wait: Duration) {
        loop {
            match self.node.mailbox().drain(256) {
                Drained::Items(items) => items.into_iter().for_each(|item| self.take(item)),
                Drained::Parked => break,
                Drained::Closed => return,
            }
        }
        let rung = self.bell.rung.lock().expect("no panic under the lock");
        let (mut rung, _) = self.bell.condition.wait_timeout_while(rung, wait, |rung| !*rung).expect("no panic");
        *rung = false;
    }

    fn take(&mut self, item: Item<Control>) {
        match item {
            Item::Control(Control::Done { op, result }) => {
                self.results.insert(op, result);
            }
            Item::Control(Control::Event(event)) => self.events.push(event),
            // Lists are given, so nothing is asked.
            Item::Control(Control::Request { .. } | Control::Cancel { .. } | Control::Stopped(_)) | Item::Ready(_) => {}
        }
    }

    pub(crate) fn subscribe(&self, database: DatabaseId, topic: &str) -> Arc<Subscription> {
        let limits = Limits { items: 10_000, bytes: 64 << 20, overflow: Overflow::DropOldest };
        self.node.subscribe(database, topic, limits).expect("the topic is subscribed")
    }

    /// Waits for so many events of a subscription.
    pub(crate) fn receive(&mut self, subscription: &Subscription, n: usize) -> Vec<Arc<Delivered>> {
        let mut events = Vec::new();
        self.until("the events arrive", |_| {
            let _ = subscription.take(1_024, &mut events);
            events.len() >= n
        });
        events
    }

    pub(crate) fn wait_for_peers(&mut self, database: DatabaseId, topic: &str, n: usize) {
        self.run(|node, op| node.wait_for_peers(op, database, topic, n).expect("the topic is a name"))
            .expect("the peers come");
    }

    pub(crate) fn close(mut self) {
        self.run(|node, op| node.close(op, Duration::from_secs(5))).expect("a close does not fail");
    }
}
