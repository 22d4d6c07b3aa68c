"""Nodes that find each other through the tables, beyond the bootstrap nodes that they know."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair, connect
from depinmesh.testing import MockRegistry
from tests.support import LISTEN, eventually, fields_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from depinmesh import Database, Node

ALL_CONNECTED = 15.0
"""Seconds within which ten nodes that know one bootstrap node must all be connected with each other."""

JOINED = 10.0
"""Seconds within which one more must have joined them when the bootstrap node is gone."""


GONE = 1.0
"""Seconds within which nothing is left of a wallet that has left the list."""


def gauge(node: Node, name: str, table: str = "lan") -> float:
    """Return a size of one of the tables."""
    (value,) = [m.value for m in node.metrics() if m.name == name and m.labels == {"table": table}]
    return value


def counter(node: Node, name: str) -> float:
    return node.status().counters[name]


def all_connected(databases: Sequence[Database]) -> bool:
    return all(len(database.peers()) == len(databases) - 1 for database in databases)


class Fleet:
    """Nodes on loopback, on one list."""

    def __init__(self, stack: AsyncExitStack, n: int) -> None:
        self._stack = stack
        self.keys = [Keypair.generate() for _ in range(n)]
        self.registry = MockRegistry([key.wallet for key in self.keys])

    async def join(self, which: int, nodes: Sequence[str], **more: Any) -> Database:
        fields = fields_of(self.keys[which], [], bootstrap_nodes=list(nodes), **more)
        fields["authorized_wallets"] = self.registry
        return await self._stack.enter_async_context(connect(**fields))


async def test_ten_nodes_find_all_others_through_one_and_an_eleventh_comes_when_it_is_gone() -> None:
    async with AsyncExitStack() as stack:
        fleet = Fleet(stack, 11)
        first = await fleet.join(0, [])
        entries = first.node.bootstrap_entries()
        began = time.monotonic()
        others = await asyncio.gather(*(fleet.join(i, entries) for i in range(1, 10)))
        await eventually(lambda: all_connected([first, *others]), ALL_CONNECTED)
        print(f"10 nodes all connected {time.monotonic() - began:.2f} s after the start of the second")

        await first.close()
        await eventually(lambda: all_connected(others))
        known = [*others[0].node.bootstrap_entries(), *others[1].node.bootstrap_entries()]
        began = time.monotonic()
        late = await fleet.join(10, known)
        await eventually(lambda: all_connected([late, *others]), JOINED)
        print(f"an 11th joined all of them in {time.monotonic() - began:.2f} s")


async def test_without_the_tables_a_node_finds_nobody_and_is_not_found() -> None:
    async with AsyncExitStack() as stack:
        fleet = Fleet(stack, 4)
        first = await fleet.join(0, [])
        entries = first.node.bootstrap_entries()
        without = await fleet.join(1, entries, discovery={"dht": False})
        others = [await fleet.join(i, entries) for i in (2, 3)]
        await eventually(lambda: [gauge(db.node, "table_peers") for db in (first, *others)] == [2, 2, 2])
        await eventually(lambda: [len(db.peers()) for db in (first, *others)] == [3, 2, 2])
        await eventually(lambda: all(counter(db.node, "find_rounds_total") >= 2 for db in others))
        assert [len(db.peers()) for db in (first, *others, without)] == [3, 2, 2, 1]
        assert not [m for m in without.node.metrics() if m.name == "table_peers"]


async def test_a_wallet_that_leaves_the_list_leaves_the_tables_and_returns_with_it() -> None:
    async with AsyncExitStack() as stack:
        fleet = Fleet(stack, 4)
        first = await fleet.join(0, [])
        entries = first.node.bootstrap_entries()
        databases = [first, *[await fleet.join(i, entries) for i in range(1, 4)]]
        await eventually(lambda: all(gauge(db.node, "table_peers") == 3 for db in databases))
        await eventually(lambda: all(gauge(db.node, "provider_records") == 4 for db in databases))
        stay, gone = databases[:3], databases[3]

        fleet.registry.remove(gone.node.wallet)
        for db in stay:
            await db.node.gate.refresh()
        await eventually(lambda: [gauge(db.node, "table_peers") for db in stay] == [2, 2, 2], GONE)
        await eventually(lambda: [gauge(db.node, "provider_records") for db in stay] == [3, 3, 3], GONE)

        fleet.registry.add(gone.node.wallet)
        for db in stay:
            await db.node.gate.refresh()
        await eventually(lambda: all_connected(databases))
        await eventually(lambda: all(gauge(db.node, "table_peers") == 3 for db in databases))
        await eventually(lambda: all(gauge(db.node, "provider_records") == 4 for db in databases))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8")
async def test_a_node_on_hundreds_of_addresses_is_known_to_its_peers() -> None:
    """As on a machine with containers; told of all of them, rust-libp2p would refuse to read who the node is."""
    async with AsyncExitStack() as stack:
        fleet = Fleet(stack, 2)
        hosts = [f"127.0.1.{n}" for n in range(1, 201)]
        wide = await fleet.join(0, [], listen={**LISTEN, "hosts": hosts})
        assert len(wide.node.addresses) == 2 * len(hosts)
        other = await fleet.join(1, wide.node.bootstrap_entries()[:1])
        assert [peer.peer_id for peer in other.peers()] == [wide.node.peer_id]


async def test_a_node_searches_as_often_as_its_interval_says() -> None:
    async with AsyncExitStack() as stack:
        fleet = Fleet(stack, 2)

        async def searching(which: int, nodes: Sequence[str], interval: float) -> Database:
            db = await fleet.join(which, nodes, discovery={"rendezvous_interval": interval})
            # While a database has no peer its rounds do not slow down.
            await db.node.database("lonely", authorized_wallets=[db.node.wallet])
            return db

        seldom = await searching(0, [], 600.0)
        often = await searching(1, seldom.node.bootstrap_entries(), 0.3)
        # One round for each of its two databases.
        await eventually(lambda: counter(seldom.node, "find_rounds_total") == 2)
        # The control, which lasts longer than two seconds, the interval by default.
        await eventually(lambda: counter(often.node, "find_rounds_total") >= 14)
        assert counter(seldom.node, "find_rounds_total") == 2
