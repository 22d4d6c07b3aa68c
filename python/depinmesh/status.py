"""What a node says about itself."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from depinmesh.identity import PeerId, Wallet


class NodeState(enum.StrEnum):
    """Where a node is in its life. `failed`: its core has ended by itself; close it and make a new one."""

    NEW = "new"
    STARTING = "starting"
    RUNNING = "running"
    CLOSING = "closing"
    CLOSED = "closed"
    FAILED = "failed"


MetricKind: TypeAlias = Literal["counter", "gauge", "histogram"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One sample; `docs/metrics.md` says what each means. Counters only grow; their names end in `_total`."""

    name: str
    kind: MetricKind
    value: float
    """Of a histogram, how many durations it has seen."""
    labels: Mapping[str, str] = field(default_factory=dict)
    buckets: Sequence[tuple[float, int]] = ()
    """Of a histogram: upper bounds in seconds, each with the number of durations up to it; the last one is infinite."""
    sum: float = 0.0
    """Of a histogram: the seconds of all durations together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseStatus:
    """A database of a node."""

    name: str
    is_ready: bool
    """Whether a peer of its list is connected."""
    peers: int
    """How many peers of its list are connected."""
    topics: tuple[str, ...]
    """The topics subscribed here."""


Reachability: TypeAlias = Literal["unknown", "public", "private"]
"""Whether others can connect to a node directly: `unknown` until a peer that offers AutoNAT has tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NatStatus:
    """How a node is reached from outside of its network."""

    reachability: Reachability
    public_addresses: tuple[str, ...]
    """Where on the Internet it is reached directly: multiaddrs listened on, announced, mapped, or tried by a peer."""
    mapped_addresses: tuple[str, ...]
    """Those that its router maps to it by UPnP."""
    relays: int
    """Relays through which others reach it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A node as it was when this was made."""

    state: NodeState
    peer_id: PeerId
    wallet: Wallet
    addresses: tuple[str, ...]
    """Where the node listens, as multiaddrs."""
    is_ready: bool
    """Whether any peer is connected."""
    peers: int
    """How many peers are connected."""
    databases: tuple[DatabaseStatus, ...]
    nat: NatStatus
    registry_age: float | None
    """Seconds since the oldest list of wallets was read; None before the first answer."""
    uptime: float
    """Seconds since the node was started."""
    bootstrap_attempts: int
    """How often the bootstrap nodes were dialled."""
    outbox: int
    """Published events that wait to be sent."""
    events_lost: int
    """Node events that were dropped because the event loop did not take them."""
    counters: Mapping[str, float]
    """The counters of `Node.metrics`, without their labels."""


def counters_of(metrics: Iterable[Metric]) -> dict[str, float]:
    """Return the counters among the metrics, summed over their labels."""
    counters: dict[str, float] = {}
    for metric in metrics:
        if metric.kind == "counter":
            counters[metric.name] = counters.get(metric.name, 0) + metric.value
    return counters
