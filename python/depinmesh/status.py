"""What a node says about itself."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Self, TypeAlias

from depinmesh.identity import PeerId, Wallet

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from depinmesh._core import BootstrapRow


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
class BootstrapStatus:
    """A bootstrap node of the list that was read last, and what became of it."""

    wallet: Wallet
    peer_id: PeerId
    addresses: tuple[str, ...]
    """Where it is dialled, as multiaddrs."""
    is_connected: bool
    dialled_at: datetime | None
    """When this node last dialled it by itself, in UTC; None if it never did."""
    error: str | None
    """Why the last dial came to nothing; None when none has failed since it was connected last."""

    @classmethod
    def _from_row(cls, row: BootstrapRow) -> Self:
        peer_id, wallet, addresses, is_connected, dialled_at, error = row
        return cls(
            wallet=Wallet._trusted(wallet),
            peer_id=PeerId._trusted(peer_id),
            addresses=tuple(addresses),
            is_connected=is_connected,
            dialled_at=None if dialled_at is None else datetime.fromtimestamp(dialled_at, UTC),
            error=error,
        )


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
    bootstrap: tuple[BootstrapStatus, ...]
    """The bootstrap nodes, without the node itself, as of a second ago at most. Of a long list 1,024: those come first
    that are not connected. Where a node that is ready looks at the list again (`discovery.registry`), those that it has
    no room for are left out."""
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
