"""What a node says about itself, put together from the core, its databases and the process."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from depinmesh import _addresses, _core
from depinmesh.logs.forward import log_metrics
from depinmesh.status import BootstrapStatus, Metric, NatStatus, NodeState, Status, counters_of

if TYPE_CHECKING:
    from depinmesh.node import Node


def status(node: Node) -> Status:
    """Return the status of a node."""
    core = {} if node._session is None else node._session.core.status()
    return Status(
        state=node.state,
        peer_id=node.peer_id,
        wallet=node.wallet,
        addresses=tuple(node.addresses),
        is_ready=node.is_ready,
        peers=len(node.peers()),
        databases=tuple(database._status() for database in node._databases if not database._is_closed),
        nat=NatStatus(
            reachability=core.get("reachability", "unknown"),
            public_addresses=tuple(core.get("public_addresses", ())),
            mapped_addresses=tuple(core.get("mapped_addresses", ())),
            relays=core.get("relays", 0),
        ),
        registry_age=node.gate.age,
        uptime=_uptime(node),
        bootstrap_attempts=core.get("bootstrap_attempts", 0),
        bootstrap=_bootstrap(node),
        outbox=core.get("outbox", 0),
        events_lost=core.get("events_lost", 0),
        counters=counters_of(metrics(node)),
    )


def _bootstrap(node: Node) -> tuple[BootstrapStatus, ...]:
    rows = [] if node._session is None else node._session.core.bootstrap()
    return tuple(BootstrapStatus._from_row(row) for row in rows)


def bootstrap_entries(node: Node) -> list[str]:
    """Return the entries of a node for the bootstrap lists of others."""
    if node._session is None:
        return []
    announced, public = node._config.listen.announce, node._session.core.status()["public_addresses"]
    return _addresses.bootstrap_entries(node.wallet, node.addresses, announced=announced, public=public)


def metrics(node: Node) -> list[Metric]:
    """Return the metrics of a node; `catalogue.py` lists them."""
    versions = _core.versions()
    info = {"version": versions["depinmesh"], "libp2p": versions["libp2p"]}
    core = [] if node._session is None else node._session.core.metrics()
    return [
        Metric("info", "gauge", 1, info),
        Metric("uptime_seconds", "gauge", _uptime(node)),
        *(Metric(*row) for row in core),
        *node._handler_errors.metrics(),
        *log_metrics(),
    ]


def library_metrics(node: Node) -> str:
    """Return the metrics that libp2p itself keeps, as OpenMetrics text; empty before the start."""
    return "" if node._session is None else node._session.core.library_metrics()


def _uptime(node: Node) -> float:
    return monotonic() - node._started_at if node.state is NodeState.RUNNING else 0.0
