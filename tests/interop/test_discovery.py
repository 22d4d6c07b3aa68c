"""Go nodes and ours that find each other through the tables of a third, on hosts of their own.

Nodes with private addresses meet in the LAN table, those with public ones in the WAN table. A Go node serves the latter
only when it knows that everybody can dial it, which takes it 15 s and a helper: the one that is asked here is told so.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair
from tests.faults.lab import NETWORK, PUBLIC, Host, Node, lab, node_on
from tests.interop.peers import GO, TARGET, Peer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from depinmesh import PeerId

QUIC, TCP = 4001, 4002
DATABASE = "depin-network"
FOUND = 15.0
"""Seconds within which two that know the same third are connected; the Go library looks every two seconds."""
ADDRESSES = {"lan": NETWORK, "wan": PUBLIC}

pytestmark = [pytest.mark.parametrize("pins", GO), pytest.mark.parametrize("table", ADDRESSES)]


class Network:
    """Hosts, a key for each, and everybody on one list."""

    def __init__(self, stack: AsyncExitStack, hosts: Sequence[Host], pins: str, table: str) -> None:
        self._stack, self._hosts = stack, hosts
        self._pins, self._table = pins, table
        self.keys = [Keypair.generate() for _ in hosts]

    def id(self, which: int) -> PeerId:
        return self.keys[which].peer_id

    async def go(self, which: int, dials: int | None = None) -> Peer:
        """Run a Go node that advertises itself and searches; it knows one other, or it is the one that is known."""
        binary = TARGET / "interop" / self._pins
        if not binary.exists():
            pytest.skip(f"{binary} is missing: make go-peers")
        host = self._hosts[which]
        listen = f"/ip4/{host.address}/udp/{QUIC}/quic-v1,/ip4/{host.address}/tcp/{TCP}"
        serves = ["-public"] if dials is None and self._table == "wan" else []
        words = host.command(binary, "-key", self.keys[which].to_base58(), "-listen", listen, *serves)
        peer = await self._stack.enter_async_context(Peer.run(*words))
        await peer.wait("started")
        if dials is not None:
            address = f"/ip4/{self._hosts[dials].address}/udp/{QUIC}/quic-v1/p2p/{self.id(dials)}"
            assert (await peer.dial(address))["error"] is None
        peer.tell("rendezvous", database=DATABASE)
        return peer

    async def ours(self, which: int, dials: int | None = None) -> Node:
        """Run a node of ours that knows one other at most."""
        nodes = []
        if dials is not None:
            nodes = [f"{self.keys[dials].wallet}@{self._hosts[dials].address}:{QUIC}:{TCP}"]
        wallets = [key.wallet for key in self.keys]
        config = {"key": self.keys[which].to_base58(), "wallets": wallets, "nodes": nodes, "quic": QUIC, "tcp": TCP}
        return await self._stack.enter_async_context(node_on(self._hosts[which], **config))

    async def used(self, peer: Peer) -> None:
        """Check that a Go node knows others in the one table alone."""
        sizes = await peer.ask("tables", "tables")
        assert {table for table in ADDRESSES if sizes[table]} == {self._table}


async def test_a_go_node_finds_ours_through_a_third(pins: str, table: str) -> None:
    async with lab(3, ADDRESSES[table]) as place, AsyncExitStack() as stack:
        network = Network(stack, place.hosts, pins, table)
        await network.go(0)
        ours = await network.ours(1, dials=0)
        await ours.wait("connected", peer=network.id(0))
        began = time.monotonic()
        late = await network.go(2, dials=0)
        found = await ours.wait("connected", peer=network.id(2), within=FOUND)
        print(f"connected {found['at'] - began:.2f} s after the start of the Go node")
        await network.used(late)


async def test_ours_finds_a_go_node_through_a_third(pins: str, table: str) -> None:
    async with lab(3, ADDRESSES[table]) as place, AsyncExitStack() as stack:
        network = Network(stack, place.hosts, pins, table)
        await network.go(0)
        early = await network.go(1, dials=0)
        began = time.monotonic()
        ours = await network.ours(2, dials=0)
        found = await ours.wait("connected", peer=network.id(1), within=FOUND)
        print(f"connected {found['at'] - began:.2f} s after the start of ours")
        await network.used(early)


async def test_two_go_nodes_find_each_other_through_ours(pins: str, table: str) -> None:
    async with lab(3, ADDRESSES[table]) as place, AsyncExitStack() as stack:
        network = Network(stack, place.hosts, pins, table)
        await network.ours(0)
        began = time.monotonic()
        one = await network.go(1, dials=0)
        await network.go(2, dials=0)
        async with asyncio.timeout(FOUND):
            while True:
                connections = (await one.ask("connections", "connections"))["connections"]
                if any(network.id(2) in str(connection) for connection in connections):
                    break
                await asyncio.sleep(0.1)
        print(f"connected {time.monotonic() - began:.2f} s after the start of the first")
        await network.used(one)
