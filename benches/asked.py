"""What is asked for: each figure, what it must and what it should be."""

from __future__ import annotations

from benches.support.figures import Row

RAW, GO, PY = "raw rust-libp2p", "go-libp2p", "py-libp2p"
_SMALL = {"size": 200}
_AT_500 = {"rate": 500}


def _rate(
    beside: str,
    to: str,
    must: float | None = None,
    goal: float | None = None,
    *,
    system: str = "ours",
    what: str = "events/s",
) -> Row:
    name, measured = f"{what}, beside {beside}", ("throughput", "events_per_second")
    return Row(name, "", *measured, must, goal, to, "ratio", more_is_better=True, system=system, where=_SMALL)


def _latency(
    name: str, value: str, to: str, must: float | None = None, goal: float | None = None, system: str = "ours"
) -> Row:
    return Row(name, "us", "latency", value, must, goal, to, "ratio", system=system, where=_AT_500)


def _alone(
    name: str, unit: str, bench: str, value: str, must: float | None = None, goal: float | None = None, **where: object
) -> Row:
    """A figure that neither has another system beside it nor depends on the transport."""
    return Row(name, unit, bench, value, must, goal, transports=(), where=where)


def _bridge(loop: str) -> Row:
    name, where = f"bridge alone, events/s, {loop}", {"loop": loop, "pace": "flooded"}
    measured = ("bridge", "events_per_second")
    return Row(name, "", *measured, 500_000, 1_000_000, more_is_better=True, transports=(), where=where)


def _dial(transport: str, must: float | None = None, goal: float | None = None) -> Row:
    name = f"first dial of a process to connected, beside {RAW}"
    return Row(name, "ms", "start", "connect_ms", must, goal, "raw", transports=(transport,))


ASKED = (
    _rate(RAW, "raw", 0.90, 0.97),
    _rate(GO, "go", 2, 2.5),
    _rate(RAW, "raw", 5, 10, system="batched", what="events/s with batching"),
    _rate(PY, "py", 30, 40),
    _rate(PY, "py", system="batched", what="events/s with batching"),
    _rate("zenoh-python + Ed25519", "zenoh", 1, 1.25),
    _rate("nats-py + Ed25519", "nats", 1, 1.25),
    Row(
        f"CPU of an event, both sides, beside {RAW}",
        "us",
        "throughput",
        "cpu_us",
        15,
        4,
        "raw",
        "difference",
        where=_SMALL,
    ),
    _latency(f"median latency at 500/s, beside {RAW}", "p50_us", "raw", 1.3, 1.1),
    _latency(f"p99 latency at 500/s, beside {RAW}", "p99_us", "raw"),
    _latency("median latency at 500/s with batching, beside without", "p50_us", "ours", 1.1, system="batched"),
    _bridge("asyncio"),
    _bridge("uvloop"),
    _alone("core's thread in a push of an event", "us", "bridge", "in_push_us", loop="asyncio", pace="20,000/s"),
    Row(f"process start to its first event delivered, beside {GO}", "ms", "start", "ms", 450, 330, "go"),
    Row("the same, CPU of the process", "ms", "start", "cpu_ms"),
    _alone("`import depinmesh`", "ms", "import package", "ms", 80, 50),
    _alone("`from depinmesh import connect`", "ms", "import connect", "ms"),
    _alone("`depinmesh --help`", "ms", "help", "ms", 250, 180),
    _dial("quic", 60, 10),
    _dial("tcp"),
    Row(f"memory of an idle node, beside {PY}", "MiB", "idle", "rss_mib", 0.65, 0.5, "py", "ratio"),
    Row(f"memory of an idle node, beside {GO}", "MiB", "idle", "rss_mib", 1.7, 1.4, "go", "ratio"),
    Row(f"idle CPU with one peer, beside {GO}", "% of a core", "idle", "cpu_per_cent", 0.5, 0.25, "go"),
    _alone("idle CPU with 10 peers", "% of a core", "idle with 10 peers", "cpu_per_cent", 0.5, 0.25),
    _alone("registry calls by 10,000 refused dials, above what is allowed", "", "refused", "calls_over", 0, 0),
    _alone("10,000 topics subscribed", "s", "topics", "seconds", 2, 0.5),
    _alone("memory of each", "KiB", "topics", "kib_each", 4, 1),
    _alone("wallet revoked to its connections closed, 50 nodes, p99", "ms", "revocation", "closed_p99_ms", 1000, 250),
    _alone("killed and restarted peer takes part again, slowest of 20", "s", "restarts", "max_seconds", 5, 1.5),
    _alone("descriptors, threads, tasks left by 1,000 starts and stops", "", "cycles", "left", 0, 0),
    _alone("memory left by each", "bytes", "cycles", "bytes_each", 2048, 1024),
    _alone("`close()` with 50 peers and 10,000 queued events", "ms", "close", "ms", 2000, 500),
    _alone("flood: events of which nothing is known", "", "flood", "unaccounted", 0, 0, batching=False),
    _alone(
        "flood: p99 of another topic, to that without a flood", "times", "flood", "p99_to_before", 2, batching=False
    ),
    _alone("the same, to that with a quick subscriber", "times", "flood", "p99_to_quick", batching=False),
    _alone("the same, to that of two nodes aside", "times", "flood", "p99_to_aside", batching=False),
)

RAW_BESIDE_PY = _rate(PY, "py", system="raw")
"""What stands beneath the table: how much of the Python figure is within reach of anything on rust-libp2p."""

FLEET = (
    _alone("memory of one more node in a process", "MiB", "memory", "node_mib"),
    _alone("memory of one more connection", "KiB", "memory", "connection_kib"),
    _alone("memory of an idle node with 10 peers", "MiB", "idle with 10 peers", "rss_mib"),
    _alone("refused dials", "a second", "refused", "dials_per_second"),
    _alone("CPU of the node for one refused dial", "us", "refused", "cpu_us"),
    _alone("registry calls by 10,000 refused dials", "", "refused", "calls"),
    _alone("first event on the last of 10,000 topics", "s", "topics", "delivered_seconds"),
    _alone("wallet revoked to its connections closed, 50 nodes, median", "ms", "revocation", "closed_p50_ms"),
    _alone("wallet listed again to its node heard", "ms", "revocation", "heard_again_ms"),
    _alone("killed and restarted peer takes part again, median", "s", "restarts", "p50_seconds"),
    _alone("network split for 15 s and healed to all reach all, slowest of 3", "s", "heal", "max_seconds"),
    *(
        _alone(f"mesh of {nodes} nodes in a process, {name}", unit, f"mesh of {nodes}", value)
        for nodes in (20, 50)
        for name, unit, value in (
            ("event everywhere, median", "ms", "everywhere_ms"),
            ("CPU of a delivery", "us", "cpu_us_per_delivery"),
            ("all connected to all", "s", "join_seconds"),
        )
    ),
    *(
        _alone(f"1 to {count} nodes of one process", "deliveries/s", f"1 to {count}", "deliveries_per_second")
        for count in (1, 2, 4, 8, 16)
    ),
)

FLOOD = (
    ("events published", "published"),
    ("not sent, as the subscriber's queue was full", "unsent"),
    ("arrived", "arrived"),
    ("delivered", "delivered"),
    ("dropped by the subscription, as it was full", "dropped"),
    ("still waiting", "pending"),
    ("of which nothing is known, by the counters of both nodes", "unaccounted"),
    ("memory of the subscriber, peak MiB", "subscriber_peak_mib"),
    ("its growth in the second half, MiB", "subscriber_growth_mib"),
    ("memory of the publisher, peak MiB", "publisher_peak_mib"),
    ("its growth in the second half, MiB", "publisher_growth_mib"),
    ("p99 of the other topic without a flood, us", "p99_before_us"),
    ("with the flood and a quick subscriber, us", "p99_quick_us"),
    ("with the flood and a slow one, us", "p99_us"),
    ("between two nodes aside, before the flood, us", "aside_before_us"),
    ("between them during the flood, us", "aside_us"),
)

PLOTS = {
    "performance-rate.svg": Row(
        "events/s, 1 to 1, 200 bytes, signed and encrypted", "", "throughput", "events_per_second", where=_SMALL
    ),
    "performance-cpu.svg": Row("CPU of an event, us, both sides and broker", "", "throughput", "cpu_us", where=_SMALL),
    "performance-latency.svg": Row(
        "median latency, us, at 500/s (py-libp2p: 50/s)", "", "latency", "p50_us", where=_SMALL
    ),
}
"""By their files beside the document."""
