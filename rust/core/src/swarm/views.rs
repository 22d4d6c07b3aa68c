//! Readiness and the views of it: who counts as connected, and when a node or a database is ready.

use std::{collections::BTreeMap, time::Instant};

use crate::{
    events::NodeEvent,
    gate::{DatabaseId, Gate},
    metrics::Metric,
    node::PeerInfo,
    shared::{Shared, Views},
};

/// Publishes the peers and what follows from them. Returns the edges: events for the host, and whether the node is ready.
pub(crate) fn refresh(shared: &Shared, gate: &Gate, peers: Vec<PeerInfo>, now: Instant) -> (Vec<NodeEvent>, bool) {
    let databases = shared.topics.databases();
    let ready: BTreeMap<DatabaseId, bool> =
        databases.iter().map(|(id, _)| (*id, peers.iter().any(|info| gate.listed_in(*id, &info.wallet)))).collect();
    let mut events = Vec::new();
    let mut views = shared.views();
    let node_ready = !peers.is_empty();
    if node_ready != views.ready {
        views.ready_since = node_ready.then_some(now);
        events.push(edge(node_ready, None));
    }
    for (id, name) in databases {
        let now_ready = ready.get(&id).copied().unwrap_or(false);
        if now_ready != views.ready_databases.get(&id).copied().unwrap_or(false) {
            events.push(edge(now_ready, Some(name)));
        }
    }
    views.ready = node_ready;
    views.ready_databases = ready;
    views.peers = peers;
    (events, node_ready)
}

fn edge(ready: bool, database: Option<String>) -> NodeEvent {
    match (ready, &database) {
        (true, None) => tracing::info!("the node is ready: it has a peer"),
        (false, None) => tracing::info!("the node is no longer ready: it has no peer"),
        (true, Some(database)) => tracing::info!(database, "the database is ready: a peer of its list is connected"),
        (false, Some(database)) => tracing::info!(database, "the database is no longer ready"),
    }
    if ready { NodeEvent::Ready { database } } else { NodeEvent::NotReady { database } }
}

#[expect(clippy::cast_precision_loss, reason = "counts of peers and addresses are small")]
pub(crate) fn gauges(views: &Views) -> [Metric; 4] {
    [
        Metric::gauge("peers", views.peers.len() as f64),
        Metric::gauge("ready", f64::from(u8::from(views.ready))),
        Metric::gauge("listen_addresses", views.addresses.len() as f64),
        Metric::counter("bootstrap_attempts_total", views.bootstrap_attempts),
    ]
}
