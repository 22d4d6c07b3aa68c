"""What can be told of a node's health: of the process, of its start, and of its readiness.

A node without peers is alive: a restart would not find it any. So peers and registry belong to readiness alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from depinmesh.status import NodeState

if TYPE_CHECKING:
    from depinmesh.node import Node


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str
    """What was found, for people."""


def liveness(node: Node) -> list[Check]:
    """Look at what a restart of the process would mend. That the event loop answers is shown by the answer."""
    return [Check("core", node.state is not NodeState.FAILED, f"the node is {node.state}")]


def startup(node: Node) -> list[Check]:
    """Look at whether the node has begun to listen."""
    addresses = len(node.addresses)
    running = node.state is NodeState.RUNNING
    return [
        Check("core", running, f"the node is {node.state}"),
        Check("listening", running and addresses > 0, f"{addresses} addresses"),
    ]


def readiness(node: Node, min_peers: int = 1) -> list[Check]:
    """Look at whether events come and go: peers enough, and a list of wallets that still admits others.

    Args:
        node: Whose health it is.
        min_peers: How many peers have to be connected.
    """
    peers = len(node.peers())
    return [*startup(node), Check("peers", peers >= min_peers, f"{peers} of {min_peers} or more"), _registry(node)]


def _registry(node: Node) -> Check:
    age, oldest = node.gate.age, node._config.gate.max_stale
    wallets = len(node.gate.wallets)
    if age is None:
        detail = f"{wallets} wallets, by a fixed list" if wallets else "no list of wallets yet"
        return Check("registry", wallets > 0, detail)
    return Check("registry", age <= oldest, f"{wallets} wallets, read {age:.0f} s ago; {oldest:g} s are allowed")
