"""A node that runs, and what another one needs to find it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from depinmesh import Keypair, connect
from tests.support import fields_of, free_ports

if TYPE_CHECKING:
    from depinmesh import Connecting, Database

READY = 5.0
"""Seconds within which a node with one good entry must be ready."""


class KnownNode:
    """The node, entries that lead to it or to nobody, and the key of one that joins."""

    def __init__(self, db: Database, key: Keypair, joining_key: Keypair) -> None:
        self.db, self.key, self.joining_key = db, key, joining_key
        self.entries = db.node.bootstrap_entries()
        quic, tcp = free_ports()
        self.dead = f"{key.wallet}@127.0.0.1:{quic}:{tcp}"
        _, _, place = self.entries[0].partition("@")
        self.wrong_wallet = f"{Keypair.from_seed(bytes(range(32))).wallet}@{place}"

    def join(self, nodes: Any, **bootstrap: Any) -> Connecting[Database]:
        """Return what makes a second node, for `async with`."""
        other = Keypair.from_seed(bytes(range(32))).wallet
        fields = fields_of(self.joining_key, [self.joining_key.wallet, self.key.wallet, other])
        return connect(**fields, bootstrap_nodes=nodes, bootstrap=bootstrap)
