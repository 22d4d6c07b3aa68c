"""Faults of our own, on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from depinmesh.database import Database

if TYPE_CHECKING:
    from depinmesh.node import Node


def crash(node: Node | Database) -> None:
    """Make the core of a running node fail, to see how a program meets it.

    Within a second the state of the node is `failed`, and everything that is awaited on it raises `CoreError`; the
    process goes on and can start another node. The core writes a line about the panic to stderr, as it does when it is
    not on request.
    """
    host = node.node if isinstance(node, Database) else node
    host._running().core.crash()  # it is for tests, and no method of a node
