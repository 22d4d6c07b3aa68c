"""Nodes on hosts of their own, with private addresses, that find each other through the tables."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from depinmesh import Keypair
from tests.faults.lab import PUBLIC, Host, Node, lab, node_on
from tests.faults.test_partitions import QUIC, TCP, connected

FLOOD = Path(__file__).with_name("neighbours.py")
ALL_CONNECTED = 15.0
"""Seconds within which ten nodes that know one of them are all connected with each other."""
JOINED = 10.0
"""Seconds within which one more has joined them when that one is gone."""
HEARD = 3.0
"""Seconds after which mDNS has told of everybody: in the test of those who know nobody it takes less than one."""
OFF = 60.0
"""Seconds for which mDNS is off then."""
READY = 5.0
"""Seconds within which a node with one good entry is ready."""


class Fleet:
    """Keys on one list, a host for each."""

    def __init__(self, stack: AsyncExitStack, hosts: list[Host]) -> None:
        self._stack, self._hosts = stack, hosts
        self.keys = [Keypair.generate() for _ in hosts]
        self.wallets = [key.wallet for key in self.keys]

    async def join(self, which: int, nodes: list[str], hosts: list[str] | None = None, **more: object) -> Node:
        """Run a node on its host; it knows these entries."""
        config: dict[str, object] = {"key": self.keys[which].to_base58(), "wallets": self.wallets, "nodes": nodes}
        config |= {"quic": QUIC, "tcp": TCP, "opens_later": more.pop("opens_later", False), "more": more} | (
            {"hosts": hosts} if hosts else {}
        )
        return await self._stack.enter_async_context(node_on(self._hosts[which], **config))


async def test_ten_find_all_others_through_one_and_an_eleventh_comes_when_that_is_killed() -> None:
    async with lab(11) as place, AsyncExitStack() as stack:
        fleet = Fleet(stack, place.hosts)
        first = await fleet.join(0, [])
        began = time.monotonic()
        others = await asyncio.gather(*(fleet.join(i, first.entries) for i in range(1, 10)))
        started = time.monotonic()
        await connected([first, *others], ALL_CONNECTED)
        print(f"10 nodes, started in {started - began:.2f} s, all connected {time.monotonic() - started:.2f} s later")

        first.kill()
        began = time.monotonic()
        late = await fleet.join(10, [*others[0].entries, *others[1].entries])
        started = time.monotonic()
        await connected([late, *others], JOINED)
        print(
            f"an 11th, started in {started - began:.2f} s, joined all of them {time.monotonic() - started:.2f} s later"
        )


async def test_a_node_on_every_address_is_found_at_its_private_one() -> None:
    async with lab(3) as place, AsyncExitStack() as stack:
        fleet = Fleet(stack, place.hosts)
        first = await fleet.join(0, [], hosts=["0.0.0.0"])  # of a namespace
        others = [await fleet.join(i, first.entries, hosts=["0.0.0.0"]) for i in (1, 2)]
        await connected([first, *others], ALL_CONNECTED)


async def test_nodes_with_public_addresses_find_each_other_through_the_public_table() -> None:
    async with lab(4, network=PUBLIC) as place, AsyncExitStack() as stack:
        fleet = Fleet(stack, place.hosts)
        first = await fleet.join(0, [], hosts=["0.0.0.0"])  # of a namespace
        others = [await fleet.join(i, first.entries, hosts=["0.0.0.0"]) for i in (1, 2, 3)]
        await connected([first, *others], ALL_CONNECTED)


@pytest.mark.parametrize("first", ["unroutable", "silent", "another wallet"])
async def test_a_first_entry_that_leads_nowhere_does_not_keep_the_second_from_working(first: str) -> None:
    async with lab(3) as place, AsyncExitStack() as stack:
        fleet = Fleet(stack, place.hosts)
        good = await fleet.join(0, [])
        await place.hosts[2].unplug()
        where = {"unroutable": "192.0.2.1", "silent": place.hosts[2].address, "another wallet": place.hosts[0].address}
        bad = f"{fleet.wallets[2]}@{where[first]}:{QUIC}:{TCP}"
        node = await fleet.join(1, [bad, *good.entries])
        began = time.monotonic()
        await connected([node, good], READY)
        print(f"connected {time.monotonic() - began:.2f} s after the start")


async def test_mdns_finds_nodes_that_know_nobody() -> None:
    async with lab(3) as place, AsyncExitStack() as stack:
        fleet = Fleet(stack, place.hosts)
        on = {"mdns": True}
        without = await fleet.join(2, [], hosts=["0.0.0.0"])  # first: it has every chance that the others have
        nodes = [await fleet.join(i, [], hosts=["0.0.0.0"], discovery=on) for i in (0, 1)]
        began = time.monotonic()
        await connected(nodes, ALL_CONNECTED)
        print(f"found by mDNS in {time.monotonic() - began:.2f} s")
        assert await without.peers() == []


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_mdns_is_off_for_a_minute_where_neighbours_are_made_up() -> None:
    async with lab(4) as place, AsyncExitStack() as stack:
        fleet = Fleet(stack, place.hosts)
        on = {"discovery": {"mdns": True}}
        nodes = [await fleet.join(i, [], hosts=["0.0.0.0"], **on) for i in (0, 1)]
        await connected(nodes, ALL_CONNECTED)
        stranger = place.hosts[3]
        flood = await asyncio.create_subprocess_exec(*stranger.command(sys.executable, FLOOD, stranger.address))
        assert await flood.wait() == 0
        nodes.append(await fleet.join(2, [], hosts=["0.0.0.0"], **on))
        began = time.monotonic()
        while time.monotonic() - began < 2 * HEARD:
            assert await nodes[2].peers() == [], "mDNS is still on"
        await connected(nodes, OFF + ALL_CONNECTED)
        print(f"found by mDNS {time.monotonic() - began:.2f} s after the flood")


async def test_mdns_finds_a_neighbour_whose_database_is_opened_later() -> None:
    """It is heard of once, when nobody is on a list yet."""
    async with lab(2) as place, AsyncExitStack() as stack:
        fleet = Fleet(stack, place.hosts)
        more = {"discovery": {"mdns": True}, "opens_later": True}
        nodes = [await fleet.join(i, [], hosts=["0.0.0.0"], **more) for i in (0, 1)]
        await asyncio.sleep(HEARD)
        for node in nodes:
            node.tell("open")
        began = time.monotonic()
        await connected(nodes, ALL_CONNECTED)
        print(f"connected {time.monotonic() - began:.2f} s after the databases were opened")
