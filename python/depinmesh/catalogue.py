"""Every metric of a node: its name, kind, meaning and labels. The only place that lists them.

Documents, dashboard and alert rules are checked against it, and so is what a running node gives.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from depinmesh.status import MetricKind

PREFIX = "depinmesh_"
"""What the names have in front of them for Prometheus. `Node.metrics` gives them without."""


class MetricInfo(NamedTuple):
    """What is known of a metric without a node."""

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()


CATALOGUE = (
    # The node
    MetricInfo("info", "gauge", "1; the labels name what runs", ("version", "libp2p")),
    MetricInfo("uptime_seconds", "gauge", "seconds since the node was started"),
    MetricInfo("ready", "gauge", "1 while any peer is connected, else 0"),
    MetricInfo("time_to_ready_seconds", "gauge", "seconds from the start to the first peer; absent before"),
    MetricInfo("peers", "gauge", "connected peers"),
    MetricInfo("listen_addresses", "gauge", "addresses that the node listens on"),
    MetricInfo("databases", "gauge", "open databases"),
    MetricInfo("database_ready", "gauge", "1 while a peer of the database's list is connected, else 0", ("database",)),
    MetricInfo("database_peers", "gauge", "connected peers of the database's list", ("database",)),
    MetricInfo("topics", "gauge", "topics subscribed here"),
    MetricInfo("node_events_lost_total", "counter", "node events dropped because the event loop did not take them"),
    # Finding peers
    MetricInfo("bootstrap_attempts_total", "counter", "times that the bootstrap nodes were asked for"),
    MetricInfo("bootstrap_successes_total", "counter", "bootstrap rounds that ended with a peer"),
    MetricInfo("bootstrap_failures_total", "counter", "bootstrap rounds that ended without one"),
    MetricInfo("find_rounds_total", "counter", "searches for the nodes of a database"),
    MetricInfo("advertised_total", "counter", "advertisements of this node for a database that reached somebody"),
    MetricInfo("discovered_total", "counter", "peers to dial that searches, tables or mDNS brought"),
    MetricInfo("table_peers", "gauge", "peers in a Kademlia table", ("table",)),
    MetricInfo("provider_records", "gauge", "provider records kept in a Kademlia table, our own included", ("table",)),
    MetricInfo("connections_total", "counter", "connections that were established, both directions"),
    MetricInfo("second_connections_total", "counter", "connections to a peer that had one, kept or denied"),
    MetricInfo("resets_total", "counter", "peers of which all connections were closed to be made anew"),
    MetricInfo("disconnections_total", "counter", "peers whose last connection ended", ("reason",)),
    MetricInfo("pending_dials", "gauge", "dials under way"),
    MetricInfo("dial_failures_total", "counter", "dials that ended without a connection"),
    MetricInfo("listener_errors_total", "counter", "what listeners reported; each unreadable QUIC packet is one"),
    MetricInfo("connect_seconds", "histogram", "time that a new connection took until it was encrypted and admitted"),
    MetricInfo("ping_seconds", "histogram", "round trips of pings to peers"),
    # Nodes behind a NAT
    MetricInfo("reachability", "gauge", "1; the label says whether others can connect here directly", ("is",)),
    MetricInfo("reachability_asked_total", "counter", "tries of peers, asked for, to connect here", ("result",)),
    MetricInfo("reachability_served_total", "counter", "tries to connect to peers that asked for it", ("result",)),
    MetricInfo("public_addresses", "gauge", "addresses on the Internet where the node is reached directly"),
    MetricInfo("mapped_addresses", "gauge", "addresses that the router maps to this node by UPnP"),
    MetricInfo("relayed_peers", "gauge", "connected peers that are reached through a relay"),
    MetricInfo("relays", "gauge", "relays through which others reach this node"),
    MetricInfo("reservations_lost_total", "counter", "relays that were lost while others could reach this node so"),
    MetricInfo("hole_punches_total", "counter", "tries at a direct connection in place of a relayed one", ("result",)),
    MetricInfo("relay_reservations", "gauge", "peers that are reached through this node's relay"),
    MetricInfo("relay_circuits", "gauge", "connections between two peers that lead through this node's relay"),
    MetricInfo("circuits_total", "counter", "connections that this node's relay made"),
    MetricInfo("relay_denied_total", "counter", "requests that this node's relay denied", ("request",)),
    # The gate
    MetricInfo("authorized_wallets", "gauge", "wallets that may enter now"),
    MetricInfo(
        "own_wallet_listed", "gauge", "1 when the node's own wallet is on a list, else 0; absent before there is one"
    ),
    MetricInfo("registry_age_seconds", "gauge", "age of the oldest list; absent before the first answer"),
    MetricInfo("registry_calls_total", "counter", "calls of a registry"),
    MetricInfo("registry_failures_total", "counter", "calls of a registry that gave no list"),
    MetricInfo("registry_call_seconds", "histogram", "time that calls of a registry took, also those that failed"),
    MetricInfo("registry_entries_dropped_total", "counter", "entries of lists that are no usable wallet"),
    MetricInfo("admitted_total", "counter", "checks of a peer that ended well"),
    MetricInfo("refused_total", "counter", "connections and dials that were refused", ("reason",)),
    MetricInfo("refusals_unreported_total", "counter", "refusals that no node event tells of, under a flood of them"),
    # Sending
    MetricInfo("published_total", "counter", "events sent to at least one peer"),
    MetricInfo("published_bytes_total", "counter", "bytes of the envelopes of events sent"),
    MetricInfo("published_batches_total", "counter", "messages sent that carried several events"),
    MetricInfo("published_unheard_total", "counter", "events that no known peer subscribed to"),
    MetricInfo(
        "unsent_total",
        "counter",
        "copies of messages that were not sent to a slow peer, without those that waited when its connection ended; "
        "a batch is one",
    ),
    MetricInfo("outbox_events", "gauge", "published events that wait for the network"),
    MetricInfo("outbox_bytes", "gauge", "bytes of published events that wait for the network"),
    # Receiving
    MetricInfo("received_total", "counter", "events of subscribed topics that arrived, before the checks"),
    MetricInfo("received_bytes_total", "counter", "bytes of the messages that carried them"),
    MetricInfo("received_batches_total", "counter", "messages that arrived and carried several events"),
    MetricInfo("accepted_total", "counter", "events that passed every check"),
    MetricInfo("dropped_total", "counter", "events that a check refused", ("reason",)),
    MetricInfo("delivered_total", "counter", "events that subscriptions handed to the program"),
    MetricInfo("event_ids_forgotten_total", "counter", "ids of events that left the memory before their 120 s"),
    MetricInfo("queue_overflow_total", "counter", "events that full subscriptions lost"),
    MetricInfo("queue_events", "gauge", "received events that wait in subscriptions"),
    MetricInfo("queue_bytes", "gauge", "bytes of received events that wait in subscriptions"),
    MetricInfo("queue_wait_seconds", "histogram", "time that the oldest event of a batch waited to be taken"),
    MetricInfo("handler_errors_total", "counter", "events whose handler raised", ("database", "topic")),
    # Logs, of all nodes of the process
    MetricInfo("log_records_dropped_total", "counter", "records of the core lost because the logger was too slow"),
    MetricInfo("log_errors_total", "counter", "records that a logger did not take because it raised"),
)

BY_NAME = {info.name: info for info in CATALOGUE}
