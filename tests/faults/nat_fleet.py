"""A relay on the public network, and nodes behind routers that know nothing but it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from depinmesh import Keypair
from tests.faults.lab import Node, node_on

if TYPE_CHECKING:
    from contextlib import AsyncExitStack

    from tests.faults.lab import Host

PORT = 4001
"""Of QUIC; TCP has the next one."""


class NatFleet:
    """Keys on one list. A relay passes connections on and no gossip: it subscribes to nothing."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._keys = [Keypair.generate() for _ in range(8)]
        self._next = iter(self._keys)
        self.relays: list[str] = []

    async def relay(self, host: Host, **more: Any) -> Node:
        """Run a relay, which those that join afterwards know."""
        node = await self._run(host, subscribes=False, more={"nat": {"relay_server": True}, **more})
        self.relays += node.entries
        return node

    async def join(self, host: Host, **more: Any) -> Node:
        """Run a node that begins at the relays."""
        transports = {"quic": more.pop("quic", PORT), "tcp": more.pop("tcp", PORT + 1)}
        return await self._run(host, **transports, more=more)

    async def _run(self, host: Host, **fields: Any) -> Node:
        key = next(self._next)
        config = {
            "key": key.to_base58(),
            "wallets": [key.wallet for key in self._keys],
            "nodes": list(self.relays),
            "quic": PORT,
            "tcp": PORT + 1,
            **fields,
        }
        return await self._stack.enter_async_context(node_on(host, **config))


async def transport(node: Node, other: Node) -> str | None:
    """Return how a node is connected to another, if it is."""
    return (await node.transports()).get(other.peer_id)


async def connected(one: Node, two: Node, *wanted: str, within: float) -> float:
    """Wait until both see each other so, by any of these transports, or by whatever; return when."""
    async with asyncio.timeout(within):
        while True:
            seen = [await transport(one, two), await transport(two, one)]
            if all(found in wanted if wanted else found for found in seen):
                return time.monotonic()
            await asyncio.sleep(0.02)
