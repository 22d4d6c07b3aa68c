//! What the handle of a node and its network task both see: queues towards the network, views out of it.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use depinmesh_mailbox::Mailbox;
use libp2p::{Multiaddr, PeerId, metrics::Registry};
use tokio::sync::Notify;

use crate::{
    bridge::requests::Requests,
    discovery::bootstrap::Tally,
    error::{Error, Field},
    events::{Control, Value},
    gate::{DatabaseId, Gate},
    metrics::Counters,
    nat::reachability::Reachability,
    peer::{BootstrapInfo, PeerInfo},
    pubsub::{outbox::Outbox, topics::Topics},
    swarm::farewell::Outflow,
};

/// Snapshots of the network, replaced by its task, read by anybody.
#[derive(Default)]
pub(crate) struct Views {
    /// Shared, so that who only looks at them copies nothing while others wait for the lock.
    pub peers: Arc<[PeerInfo]>,
    pub addresses: Vec<String>,
    pub ready: bool,
    pub ready_databases: BTreeSet<DatabaseId>,
    pub bootstrap: Tally,
    pub bootstrap_nodes: Vec<BootstrapInfo>,
    pub started: Option<Instant>,
    /// From the start to the first peer.
    pub time_to_ready: Option<Duration>,
    pub pending_dials: u32,
    /// Whether others reach this node directly.
    pub reachability: Reachability,
    /// Where, on the Internet: announced, mapped by the router, or tried by a peer; and those that the router maps.
    pub public_addresses: Vec<String>,
    pub mapped_addresses: Vec<String>,
    /// Relays through which others reach this node.
    pub relays: usize,
    /// Peers that are reached through this node, and connections that lead through it.
    pub relay_reservations: usize,
    pub relay_circuits: usize,
    /// By the name of a table: peers in it, provider records kept in it.
    pub tables: Vec<(&'static str, usize, usize)>,
}

impl Views {
    /// The network is no more: whoever looks must not take what it was last for what it is.
    pub(crate) fn end(&mut self) {
        let Self { bootstrap, started, time_to_ready, .. } = *self;
        *self = Self { bootstrap, started, time_to_ready, ..Self::default() };
    }
}

pub(crate) struct Shared {
    pub mailbox: Arc<Mailbox<Control>>,
    pub requests: Arc<Requests>,
    pub topics: Arc<Topics>,
    pub outbox: Outbox,
    pub counters: Arc<Counters>,
    pub outflow: Arc<Outflow>,
    pub gate: OnceLock<Gate>,
    /// What libp2p itself counts.
    pub library: OnceLock<Registry>,
    pub bootstrap: Mutex<BootstrapSource>,
    views: Mutex<Views>,
    /// Set by `close` and by the end of the task: no call begins any more.
    closed: AtomicBool,
    pub abort: Notify,
}

/// Where the list of bootstrap nodes comes from.
#[derive(Clone, Debug)]
pub(crate) enum BootstrapSource {
    List(Vec<(PeerId, Vec<Multiaddr>)>),
    Asked,
}

impl Shared {
    pub(crate) fn new(mailbox: Arc<Mailbox<Control>>) -> Arc<Self> {
        Arc::new(Self {
            requests: Requests::new(Arc::clone(&mailbox)),
            topics: Topics::new(Arc::clone(&mailbox)),
            mailbox,
            outbox: Outbox::default(),
            counters: Arc::default(),
            outflow: Arc::default(),
            gate: OnceLock::new(),
            library: OnceLock::new(),
            bootstrap: Mutex::new(BootstrapSource::List(Vec::new())),
            views: Mutex::default(),
            closed: AtomicBool::new(false),
            abort: Notify::new(),
        })
    }

    pub(crate) fn done(&self, op: u64, value: Value) {
        self.mailbox.post(Control::Done { op, result: Ok(value) });
    }

    pub(crate) fn failed(&self, op: u64, error: Error) {
        self.mailbox.post(Control::Done { op, result: Err(error) });
    }

    /// Who waits for room to publish in may go on where there is some, whoever was told of it before. Once in a while.
    pub(crate) fn tell_writable_anew(&self) {
        for op in self.outbox.writable_anew() {
            self.done(op, Value::None);
        }
    }

    pub(crate) fn views(&self) -> MutexGuard<'_, Views> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn bootstrap_source(&self) -> BootstrapSource {
        self.bootstrap.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn begin_close(&self) {
        self.closed.store(true, Ordering::Release);
        for op in self.outbox.close() {
            self.failed(op, Error::closed());
        }
    }

    /// The connected peers, to look at.
    pub(crate) fn all_peers(&self) -> Arc<[PeerInfo]> {
        Arc::clone(&self.views().peers)
    }

    /// The connected peers: all of them, or those on the list of a database.
    pub(crate) fn peers(&self, database: Option<DatabaseId>) -> Vec<PeerInfo> {
        self.all_peers().iter().filter(|info| self.is_peer_of(database, info)).cloned().collect()
    }

    pub(crate) fn has_peers(&self, database: Option<DatabaseId>) -> bool {
        self.all_peers().iter().any(|info| self.is_peer_of(database, info))
    }

    /// Whether a connected peer is on the list of the database; all are peers of the node.
    pub(crate) fn is_peer_of(&self, database: Option<DatabaseId>, info: &PeerInfo) -> bool {
        let (Some(database), Some(gate)) = (database, self.gate.get()) else { return true };
        gate.listed_in(database, &info.wallet)
    }

    pub(crate) fn status(&self) -> Vec<(&'static str, Field)> {
        let views = self.views();
        vec![
            ("bootstrap_attempts", views.bootstrap.attempts.into()),
            ("reachability", Field::Text(views.reachability.as_str().to_owned())),
            ("public_addresses", views.public_addresses.clone().into()),
            ("mapped_addresses", views.mapped_addresses.clone().into()),
            ("relays", views.relays.into()),
            ("outbox", self.outbox.len().into()),
            ("events_lost", self.mailbox.dropped().into()),
        ]
    }
}
