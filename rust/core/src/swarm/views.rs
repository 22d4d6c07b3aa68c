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
        if let (true, None, Some(started)) = (node_ready, views.time_to_ready, views.started) {
            views.time_to_ready = Some(now.saturating_duration_since(started));
        }
        events.push(edge(node_ready, None, peers.len()));
    }
    for (id, name) in databases {
        let now_ready = ready.get(&id).copied().unwrap_or(false);
        if now_ready != views.ready_databases.get(&id).copied().unwrap_or(false) {
            events.push(edge(now_ready, Some(name), peers.len()));
        }
    }
    views.ready = node_ready;
    views.ready_databases = ready;
    views.peers = peers;
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

pub(crate) fn samples(views: &Views) -> Vec<Metric> {
    let mut samples = vec![
        Metric::number("peers", views.peers.len()),
        Metric::number("ready", usize::from(views.ready)),
        Metric::number("listen_addresses", views.addresses.len()),
        Metric::gauge("pending_dials", f64::from(views.pending_dials)),
        Metric::number("relayed_peers", views.peers.iter().filter(|peer| peer.transport == "relay").count()),
        Metric::number("reachability", 1).labelled("is", views.reachability.as_str()),
        Metric::number("public_addresses", views.public_addresses.len()),
        Metric::number("mapped_addresses", views.mapped_addresses.len()),
        Metric::number("relays", views.relays),
        Metric::number("relay_reservations", views.relay_reservations),
        Metric::number("relay_circuits", views.relay_circuits),
        Metric::counter("bootstrap_attempts_total", views.bootstrap.attempts),
        Metric::counter("bootstrap_successes_total", views.bootstrap.successes),
        Metric::counter("bootstrap_failures_total", views.bootstrap.failures),
    ];
    samples.extend(views.time_to_ready.map(|time| Metric::gauge("time_to_ready_seconds", time.as_secs_f64())));
    for (table, peers, records) in &views.tables {
        samples.push(Metric::number("table_peers", *peers).labelled("table", *table));
        samples.push(Metric::number("provider_records", *records).labelled("table", *table));
    }
    samples
}
