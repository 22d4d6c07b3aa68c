"""Nodes that are killed and started again with their keys and ports: how soon events pass. Prints the times."""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair
from tests.faults.lab import NODE, Node
from tests.faults.test_partitions import connected, everywhere
from tests.support import free_ports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.slow

RETURN = 5.0
"""Seconds from its start that a node that was killed takes until it hears all others, and all others hear it."""
ALL_RETURN = 10.0
"""Seconds, once all run again, until everything reaches everybody."""
SLACK = 3


class Fleet:
    """Nodes on loopback that all know each other."""

    def __init__(self, stack: AsyncExitStack, n: int) -> None:
        self._stack = stack
        keys = [Keypair.generate() for _ in range(n)]
        places = [free_ports() for _ in range(n)]
        self._given: list[dict[str, Any]] = [
            {"key": key.to_base58(), "quic": quic, "tcp": tcp} for key, (quic, tcp) in zip(keys, places, strict=True)
        ]
        entries = [f"{key.wallet}@127.0.0.1:{quic}:{tcp}" for key, (quic, tcp) in zip(keys, places, strict=True)]
        self._common = {"wallets": [key.wallet for key in keys], "nodes": entries, "hosts": ["127.0.0.1"]}
        self.nodes: list[Node] = []

    async def start(self, number: int) -> Node:
        """Start a node, for the first time or again."""
        node = await self._stack.enter_async_context(Node.run(sys.executable, NODE))
        node.tell("start", **self._given[number], **self._common)
        started = await node.wait("started")
        node.peer_id, node.entries = started["peer_id"], started["entries"]
        return node

    async def kill(self, number: int) -> None:
        """End a node without a word."""
        self.nodes[number].kill()
        await self.nodes[number].process.wait()


@asynccontextmanager
async def fleet(n: int) -> AsyncIterator[Fleet]:
    """Run so many, each connected to each."""
    async with AsyncExitStack() as stack:
        made = Fleet(stack, n)
        made.nodes = await asyncio.gather(*(made.start(number) for number in range(n)))
        await connected(made.nodes, within=30)
        await everywhere(made.nodes, within=15)
        yield made


@pytest.mark.timeout(600)
async def test_a_node_that_is_killed_and_started_again_takes_part_at_once() -> None:
    took = []
    async with fleet(5) as made:
        for round_ in range(20):
            number = round_ % 5
            await made.kill(number)
            began = time.monotonic()
            made.nodes[number] = await made.start(number)
            await everywhere(made.nodes, within=RETURN * SLACK)
            took.append(time.monotonic() - began)
    print(f"takes part after p50 {statistics.median(took):.2f} s, max {max(took):.2f} s: {[round(t, 2) for t in took]}")
    assert statistics.median(took) <= RETURN


@pytest.mark.timeout(600)
async def test_a_fleet_that_is_restarted_within_a_second_is_whole_again() -> None:
    took = []
    async with fleet(10) as made:
        for _ in range(20):
            for number in range(10):
                await made.kill(number)
            made.nodes = await asyncio.gather(*(made.start(number) for number in range(10)))
            began = time.monotonic()  # what ten interpreters need until then is a matter of the machine
            await everywhere(made.nodes, within=ALL_RETURN * SLACK)
            took.append(time.monotonic() - began)
    print(f"everything everywhere after p50 {statistics.median(took):.2f} s: {[round(one, 2) for one in took]}")
    assert max(took) <= ALL_RETURN
