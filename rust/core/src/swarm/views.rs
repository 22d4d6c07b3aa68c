//! Readiness and the views of it: who counts as connected, and when a node or a database is ready.

use std::{collections::BTreeSet, time::Instant};

use libp2p::PeerId;

use crate::{
    events::NodeEvent,
    gate::{DatabaseId, Gate},
    shared::Shared,
    swarm::{peers::Peers, task::Task},
};

impl Task {
    /// The host may ask for the peers as soon as it hears that they changed: this comes before the event.
    pub(super) fn show_peers(&self) {
        let peers = self.peers.infos();
        let mut views = self.shared.views();
        views.bootstrap = self.bootstrap.tally();
        let old = std::mem::replace(&mut views.peers, peers);
        drop(views);
        // Nobody waits for the lock while a long list is freed.
        drop(old);
    }

    /// Peers, lists or databases changed: who is ready, and who waited for it. Peers that changed have been shown.
    pub(super) fn update_views(&mut self) {
        let now = Instant::now();
        let (edges, ready) = refresh(&self.shared, &self.gate, now);
        if ready {
            self.bootstrap.ready(now);
        } else if edges.iter().any(|edge| matches!(edge, NodeEvent::NotReady { database: None })) {
            self.bootstrap.not_ready(now);
            self.dialer.hurry(now);
            self.rendezvous.hurry(now);
        }
        self.hurry(now);
        for edge in edges {
            self.emit(edge);
        }
        let mut views = self.shared.views();
        views.bootstrap = self.bootstrap.tally();
        self.ops.check_ready(
            |database| match database {
                None => views.ready,
                Some(database) => views.ready_databases.contains(&database),
            },
            &self.shared,
        );
        drop(views);
        self.check_topic_waiters(None);
    }

    /// Who waited for peers on a topic, of which the full name is given; `None`: on any.
    pub(super) fn check_topic_waiters(&mut self, topic: Option<&str>) {
        let (topics, gate, peers) = (&self.shared.topics, &self.gate, &self.peers);
        let has_peers = |database: DatabaseId, full: &str, n: usize| {
            topics.with_peers(full, |subscribed| {
                subscribed.iter().filter(|peer| counts(gate, peers, database, peer)).take(n).count() >= n
            })
        };
        self.ops.check_topics(topic, has_peers, &self.shared);
    }
}

/// A subscriber counts when it has said who it is and its wallet is on the database's own list.
fn counts(gate: &Gate, peers: &Peers, database: DatabaseId, peer: &PeerId) -> bool {
    peers.wallet(peer).is_some_and(|wallet| gate.listed_in(database, wallet))
}

/// Publishes what follows from the peers. Returns the edges: events for the host, and whether the node is ready.
fn refresh(shared: &Shared, gate: &Gate, now: Instant) -> (Vec<NodeEvent>, bool) {
    let peers = shared.all_peers();
    let databases = shared.topics.databases();
    let is_ready = |id: &DatabaseId| peers.iter().any(|info| gate.listed_in(*id, &info.wallet));
    let ready: BTreeSet<DatabaseId> = databases.iter().map(|(id, _)| *id).filter(is_ready).collect();
    let mut events = Vec::new();
    let mut views = shared.views();
    let node_ready = !peers.is_empty();
    if node_ready != views.ready {
        if let (true, None, Some(started)) = (node_ready, views.time_to_ready, views.started) {
            views.time_to_ready = Some(now.saturating_duration_since(started));
        }
        events.push(edge(node_ready, None, peers.len()));
    }
    for (id, name) in databases {
        let now_ready = ready.contains(&id);
        if now_ready != views.ready_databases.contains(&id) {
            events.push(edge(now_ready, Some(name), peers.len()));
        }
    }
    views.ready = node_ready;
    views.ready_databases = ready;
    (events, node_ready)
}

fn edge(ready: bool, database: Option<String>, peer_count: usize) -> NodeEvent {
    match (ready, &database) {
        (true, None) => tracing::info!(peer_count, "the node is ready: it has a peer"),
        (false, None) => tracing::info!(peer_count, "the node is no longer ready: it has no peer"),
        (true, Some(database)) => tracing::info!(database, "the database is ready: a peer of its list is connected"),
        (false, Some(database)) => tracing::info!(database, "the database is no longer ready"),
    }
    if ready { NodeEvent::Ready { database } } else { NodeEvent::NotReady { database } }
}
