//! Counters of one node: written by the network without locks on the hot path, read whole by the host language.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    gate::GateCounters,
    histogram::{Histogram, Reading},
    nat::autonat,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

/// One sample. `name` has no prefix; labels are few and bounded. The value of a histogram is its count.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    pub name: &'static str,
    pub kind: MetricKind,
    pub value: f64,
    pub labels: Vec<(&'static str, String)>,
    /// Of a histogram: upper bounds with the count up to each, and the sum of all values.
    pub buckets: Vec<(f64, u64)>,
    pub sum: f64,
}

impl Metric {
    #[expect(clippy::cast_precision_loss, reason = "a float sample is what metrics are; exact up to 2^53")]
    pub(crate) fn counter(name: &'static str, value: u64) -> Self {
        Self { kind: MetricKind::Counter, ..Self::gauge(name, value as f64) }
    }

    pub(crate) const fn gauge(name: &'static str, value: f64) -> Self {
        Self { name, kind: MetricKind::Gauge, value, labels: Vec::new(), buckets: Vec::new(), sum: 0.0 }
    }

    #[expect(clippy::cast_precision_loss, reason = "numbers of things that are there at once")]
    pub(crate) const fn number(name: &'static str, n: usize) -> Self {
        Self::gauge(name, n as f64)
    }

    #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
    fn histogram(name: &'static str, reading: &Reading) -> Self {
        let buckets = reading.buckets();
        let count = buckets.last().map_or(0, |(_, count)| *count);
        Self { kind: MetricKind::Histogram, buckets, sum: reading.sum(), ..Self::gauge(name, count as f64) }
    }

    pub(crate) fn labelled(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.labels.push((name, value.into()));
        self
    }
}

#[derive(Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A counter by reason. Reasons are `&'static str`, so their number is bounded by the code.
#[derive(Default)]
pub(crate) struct ByReason(Mutex<BTreeMap<&'static str, u64>>);

impl ByReason {
    pub(crate) fn add(&self, reason: &'static str, n: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += n;
    }

    pub(crate) fn read(&self) -> BTreeMap<&'static str, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[derive(Default)]
pub(crate) struct Counters {
    /// Events handed to GossipSub for at least one peer.
    pub published: Counter,
    /// Events that no known peer subscribed to: sent to nobody.
    pub published_unheard: Counter,
    /// Bytes of the envelopes of `published`.
    pub published_bytes: Counter,
    /// Messages among them that carried several events.
    pub published_batches: Counter,
    /// Events that gossip handed up, before our own checks.
    pub received: Counter,
    /// Bytes of the messages that carried them.
    pub received_bytes: Counter,
    /// Messages among them that carried several events.
    pub received_batches: Counter,
    /// Events that passed every check and went to at least one subscription.
    pub accepted: Counter,
    /// Events that a check refused, by check.
    pub dropped: ByReason,
    /// Event ids that were forgotten before their time, as there were too many.
    pub forgotten: Counter,
    /// Events that a full queue of a subscription dropped.
    pub overflowed: Counter,
    /// Copies that gossip could not send to a slow peer.
    pub unsent: Counter,
    /// Events that subscriptions handed to the host.
    pub delivered: Counter,
    /// How long the oldest event of each batch that the host took had waited.
    pub queue_wait: Histogram,
    /// How long each new connection took, admission included.
    pub connect: Histogram,
    /// Round trips of pings.
    pub ping: Histogram,
    /// Peers whose last connection ended, by reason.
    pub disconnections: ByReason,
    /// Connections that were established, both directions.
    pub connections: Counter,
    /// Connections to a peer that had one, kept or denied.
    pub second_connections: Counter,
    /// Peers of which all connections were closed to be made anew.
    pub resets: Counter,
    /// Dials that ended without a connection.
    pub dial_failures: Counter,
    /// Rounds of searching for the nodes of a database.
    pub find_rounds: Counter,
    /// Advertisements of this node that reached somebody.
    pub advertised: Counter,
    /// Peers to dial that searches, tables or mDNS brought, and that were not known before.
    pub discovered: Counter,
    /// Relays that were lost while others could reach this node through them.
    pub reservations_lost: Counter,
    /// Connections between two peers that this node relayed.
    pub circuits: Counter,
    /// Requests to this node's relay that it denied.
    pub reservations_denied: Counter,
    pub circuits_denied: Counter,
    /// Tries at a direct connection in place of a relayed one.
    pub hole_punches: Counter,
    pub hole_punches_failed: Counter,
    /// Questions whether others can connect here, by answer; and those of peers that were answered.
    pub reachability_asked: ByReason,
    pub reachability_served: ByReason,
    /// What listeners reported; with QUIC each packet that nobody can read is one.
    pub listener_errors: Counter,
    /// Connections and dials that were refused elsewhere than in the gate: by its second look, by an address limit, by
    /// the other side.
    pub refused: ByReason,
}

impl Counters {
    /// All of them, and those of the gate once there is one.
    pub(crate) fn samples(&self, gate: Option<&GateCounters>) -> Vec<Metric> {
        let Self {
            published,
            published_unheard,
            published_bytes,
            published_batches,
            received,
            received_bytes,
            received_batches,
            accepted,
            dropped,
            forgotten,
            overflowed,
            unsent,
            delivered,
            queue_wait,
            connect,
            ping,
            disconnections,
            connections,
            second_connections,
            resets,
            dial_failures,
            find_rounds,
            advertised,
            discovered,
            reservations_lost,
            circuits,
            reservations_denied,
            circuits_denied,
            hole_punches,
            hole_punches_failed,
            reachability_asked,
            reachability_served,
            listener_errors,
            refused,
        } = self;
        let mut samples = vec![
            Metric::counter("published_total", published.get()),
            Metric::counter("published_unheard_total", published_unheard.get()),
            Metric::counter("published_bytes_total", published_bytes.get()),
            Metric::counter("published_batches_total", published_batches.get()),
            Metric::counter("received_total", received.get()),
            Metric::counter("received_bytes_total", received_bytes.get()),
            Metric::counter("received_batches_total", received_batches.get()),
            Metric::counter("accepted_total", accepted.get()),
            Metric::counter("event_ids_forgotten_total", forgotten.get()),
            Metric::counter("queue_overflow_total", overflowed.get()),
            Metric::counter("unsent_total", unsent.get()),
            Metric::counter("delivered_total", delivered.get()),
            Metric::histogram("queue_wait_seconds", &queue_wait.read()),
            Metric::histogram("connect_seconds", &connect.read()),
            Metric::histogram("ping_seconds", &ping.read()),
            Metric::counter("connections_total", connections.get()),
            Metric::counter("second_connections_total", second_connections.get()),
            Metric::counter("resets_total", resets.get()),
            Metric::counter("dial_failures_total", dial_failures.get()),
            Metric::counter("find_rounds_total", find_rounds.get()),
            Metric::counter("advertised_total", advertised.get()),
            Metric::counter("discovered_total", discovered.get()),
            Metric::counter("reservations_lost_total", reservations_lost.get()),
            Metric::counter("circuits_total", circuits.get()),
            Metric::counter("relay_denied_total", reservations_denied.get()).labelled("request", "reservation"),
            Metric::counter("relay_denied_total", circuits_denied.get()).labelled("request", "circuit"),
            Metric::counter("hole_punches_total", hole_punches.get()).labelled("result", "succeeded"),
            Metric::counter("hole_punches_total", hole_punches_failed.get()).labelled("result", "failed"),
            Metric::counter("listener_errors_total", listener_errors.get()),
        ];
        for (name, counts, results) in [
            ("reachability_asked_total", reachability_asked.read(), autonat::ANSWERS_TO_US),
            ("reachability_served_total", reachability_served.read(), autonat::ANSWERS_OF_OURS),
        ] {
            let of = |result| Metric::counter(name, counts.get(result).copied().unwrap_or_default());
            samples.extend(results.into_iter().map(|result| of(result).labelled("result", result)));
        }
        let mut refused = refused.read();
        if let Some(gate) = gate {
            let GateCounters {
                registry_calls,
                registry_failures,
                registry_call,
                entries_dropped,
                admitted,
                refused: by_gate,
                unreported,
            } = gate;
            samples.extend([
                Metric::counter("registry_calls_total", *registry_calls),
                Metric::counter("registry_failures_total", *registry_failures),
                Metric::histogram("registry_call_seconds", registry_call),
                Metric::counter("registry_entries_dropped_total", *entries_dropped),
                Metric::counter("admitted_total", *admitted),
                Metric::counter("refusals_unreported_total", *unreported),
            ]);
            for (reason, n) in by_gate {
                *refused.entry(reason.as_str()).or_default() += n;
            }
        }
        let by_reason = [
            ("dropped_total", dropped.read()),
            ("refused_total", refused),
            ("disconnections_total", disconnections.read()),
        ];
        for (name, counts) in by_reason {
            samples.extend(counts.iter().map(|(reason, n)| Metric::counter(name, *n).labelled("reason", *reason)));
        }
        samples
    }
}
