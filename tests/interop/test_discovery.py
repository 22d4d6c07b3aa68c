"""Go nodes and ours that find each other through the tables of a third, on hosts of their own.

Nodes with private addresses meet in the LAN table, those with public ones in the WAN table. A Go node serves the latter
only when it knows that everybody can dial it, which takes it 15 s and a helper: the one that is asked here is told so.
"""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from tests.faults.lab import NETWORK, PUBLIC, lab
from tests.interop.hosts import Network
from tests.interop.peers import GO

if TYPE_CHECKING:
    from tests.interop.peers import Peer

DATABASE = "depin-network"
FOUND = 15.0
"""Seconds within which two that know the same third are connected; the Go library looks every two seconds."""
ADDRESSES = {"lan": NETWORK, "wan": PUBLIC}
SERVES = {"lan": [], "wan": ["-public"]}

pytestmark = [pytest.mark.parametrize("pins", GO), pytest.mark.parametrize("table", ADDRESSES)]


async def search(peer: Peer, knows: str | None = None) -> None:
    """Let a Go node advertise itself and look for others; it knows one other at most."""
    if knows is not None:
        assert (await peer.dial(knows))["error"] is None
    peer.tell("rendezvous", database=DATABASE)


async def used(peer: Peer) -> set[str]:
    """Return in which tables a Go node knows others."""
    sizes = await peer.ask("tables", "tables")
    return {table for table in ADDRESSES if sizes[table]}


async def test_a_go_node_finds_ours_through_a_third(pins: str, table: str) -> None:
    async with lab(3, ADDRESSES[table]) as place, AsyncExitStack() as stack:
        network = Network(stack, place.hosts)
        await search(await network.go(0, pins, *SERVES[table]))
        ours = await network.ours(1, network.address(0))
        await ours.wait("connected", peer=network.id(0))
        began = time.monotonic()
        late = await network.go(2, pins)
        await search(late, network.address(0))
        found = await ours.wait("connected", peer=network.id(2), within=FOUND)
        print(f"connected {found['at'] - began:.2f} s after the start of the Go node")
        assert await used(late) == {table}


async def test_ours_finds_a_go_node_through_a_third(pins: str, table: str) -> None:
    async with lab(3, ADDRESSES[table]) as place, AsyncExitStack() as stack:
        network = Network(stack, place.hosts)
        await search(await network.go(0, pins, *SERVES[table]))
        early = await network.go(1, pins)
        await search(early, network.address(0))
        began = time.monotonic()
        ours = await network.ours(2, network.address(0))
        found = await ours.wait("connected", peer=network.id(1), within=FOUND)
        print(f"connected {found['at'] - began:.2f} s after the start of ours")
        assert await used(early) == {table}


async def test_two_go_nodes_find_each_other_through_ours(pins: str, table: str) -> None:
    async with lab(3, ADDRESSES[table]) as place, AsyncExitStack() as stack:
        network = Network(stack, place.hosts)
        await network.ours(0)
        began = time.monotonic()
        one, two = await network.go(1, pins), await network.go(2, pins)
        await search(one, network.address(0))
        await search(two, network.address(0))
        await one.wait("connected", peer=network.id(2), within=FOUND)
        print(f"connected {time.monotonic() - began:.2f} s after the start of the first")
        assert await used(one) == {table}
