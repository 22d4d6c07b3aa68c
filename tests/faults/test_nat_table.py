"""Which nodes reach each other, through which routers: each kind with each, and networks that block UDP."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair
from tests.faults.lab import Node, node_on
from tests.faults.nat_lab import KINDS, Kind, NatLab, nat_lab

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

QUIC, TCP = 4001, 4002
PLACES: tuple[Kind | None, ...] = (None, *KINDS)
CONNECTED, DIRECT = 60.0, 90.0
"""Seconds until each has to be connected to each, and until no more direct connections are waited for."""
BEHIND_UDP_BLOCK, SLACK = 5.0, 3


class Fleet:
    """Nodes that know a public one, which relays, and answers whether they can be reached."""

    def __init__(self, net: NatLab, stack: AsyncExitStack, nodes: int) -> None:
        self._net, self._stack = net, stack
        self._keys = [Keypair.generate() for _ in range(nodes + 1)]
        self._wallets = [key.wallet for key in self._keys]
        self._entry = ""

    async def begin(self) -> None:
        """Run the public node."""
        host = await self._net.host()
        await self._run(host, {"relay_server": True, "autonat_server": True})
        self._entry = f"{self._wallets[-1]}@{host.address}:{QUIC}:{TCP}"

    async def node(self, kind: Kind | None, *, udp: bool = True) -> Node:
        """Run a node behind a new router of this kind, or on the public network."""
        router = await self._net.router(kind) if kind else None
        if router and not udp:
            await router.block_udp()
        # No router of the lab maps ports.
        return await self._run(await self._net.host(router), {"upnp": False})

    async def _run(self, host: Any, nat: dict[str, bool]) -> Node:
        key = self._keys.pop()
        nodes = [self._entry] if self._entry else []
        config = {"key": key.to_base58(), "wallets": self._wallets, "nodes": nodes, "more": {"nat": nat}}
        return await self._stack.enter_async_context(node_on(host, quic=QUIC, tcp=TCP, **config))


@asynccontextmanager
async def fleet(nodes: int) -> AsyncIterator[Fleet]:
    async with nat_lab() as net, AsyncExitStack() as stack:
        made = Fleet(net, stack, nodes)
        await made.begin()
        yield made


async def ways(rows: Sequence[Node], columns: Sequence[Node]) -> list[list[str | None]]:
    """Return how each of the rows is connected to each of the columns."""
    known = [await node.transports() for node in rows]
    return [[transports.get(node.peer_id) for node in columns] for transports in known]


def count(table: list[list[str | None]], *ways: str | None) -> int:
    return sum(way in ways for row in table for way in row)


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_each_kind_of_router_with_each() -> None:
    async with fleet(8) as made:
        rows = [await made.node(kind) for kind in PLACES]
        columns = [await made.node(kind) for kind in PLACES]
        began, connected = time.monotonic(), None
        while True:
            table = await ways(rows, columns)
            seconds = time.monotonic() - began
            if connected is None and count(table, None) == 0:
                connected = seconds
            done = connected is not None and count(table, "quic", "tcp") >= 13
            if done or seconds > (CONNECTED if connected is None else DIRECT):
                break
            await asyncio.sleep(0.5)
        if connected is not None:
            direct = count(table, "quic", "tcp")
            print(f"\neach connected to each after {connected:.1f} s, {direct} directly after {seconds:.1f} s")
        names = [kind or "none" for kind in PLACES]
        print("".join(f"{name:>16}" for name in ["", *names]))
        for name, row in zip(names, table, strict=True):
            print("".join(f"{cell or '-':>16}" for cell in [name, *row]))
        for a, row in zip(names, table, strict=True):
            for b, way in zip(names, row, strict=True):
                if way == "relay":
                    print(f"{a} x {b} stays relayed: {why(a, b)}")
        assert connected is not None, "some are not connected"
        assert count(table, None) == 0
        assert count(table, "quic", "tcp") >= 13


def why(one: str, other: str) -> str:
    """Say why two routers let no direct connection through."""
    if "symmetric" in (one, other) and {one, other} <= {"symmetric", "port-restricted"}:
        return "a symmetric router sends from another port to each peer, which the other router does not let in"
    return "no reason is known: a try may have failed"


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("other", [None, "port-restricted"])
async def test_a_node_whose_network_blocks_udp_comes_by_tcp_or_through_a_relay(other: Kind | None) -> None:
    async with fleet(2) as made:
        peer = await made.node(other)
        await peer.wait("connected", within=15)
        blocked = await made.node("port-restricted", udp=False)
        found = await blocked.wait("connected", peer=peer.peer_id, within=60)
        ready = blocked.said("connected")[0]
        began = blocked.said("started")[0]["at"]
        print(f"ready by {ready['transport']} after {ready['at'] - began:.1f} s, ", end="")
        print(f"with a peer behind {other} by {found['transport']} after {found['at'] - began:.1f} s")
        assert ready["transport"] == "tcp"
        assert found["transport"] in ({"tcp"} if other is None else {"tcp", "relay"})
        assert found["at"] - began < SLACK * BEHIND_UDP_BLOCK
