//! All that a node counts and holds, read once for whoever asks.

use crate::{
    gate::Gate,
    metrics::Metric,
    shared::{Shared, Views},
};

pub(crate) fn all(shared: &Shared) -> Vec<Metric> {
    let gate = shared.gate.get();
    let mut samples = shared.counters.samples(gate.map(Gate::counters).as_ref());
    samples.extend(gate.into_iter().flat_map(of_gate));
    samples.extend(of_views(&shared.views()));
    samples.extend(of_queues(shared));
    samples.extend(of_databases(shared));
    samples
}

fn of_gate(gate: &Gate) -> Vec<Metric> {
    let mut samples = vec![Metric::number("authorized_wallets", gate.wallets().len())];
    // Without a list nobody knows, and an alert would blame the list.
    if gate.has_list() {
        samples.push(Metric::number("own_wallet_listed", usize::from(gate.own_listed())));
    }
    samples.extend(gate.age().map(|age| Metric::gauge("registry_age_seconds", age.as_secs_f64())));
    samples
}

fn of_views(views: &Views) -> Vec<Metric> {
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

fn of_queues(shared: &Shared) -> [Metric; 6] {
    let (events, bytes) = shared.topics.queued();
    let (waiting, waiting_bytes) = shared.outbox.size();
    [
        Metric::number("topics", shared.topics.subscribed()),
        Metric::number("queue_events", events),
        Metric::number("queue_bytes", bytes),
        Metric::number("outbox_events", waiting),
        Metric::number("outbox_bytes", waiting_bytes),
        Metric::counter("node_events_lost_total", shared.mailbox.dropped()),
    ]
}

fn of_databases(shared: &Shared) -> Vec<Metric> {
    let databases = shared.topics.databases();
    let mut samples = vec![Metric::number("databases", databases.len())];
    for (id, name) in databases {
        let peers = shared.peers(Some(id)).len();
        samples.push(Metric::number("database_peers", peers).labelled("database", &name));
        samples.push(Metric::number("database_ready", usize::from(peers > 0)).labelled("database", name));
    }
    samples
}
