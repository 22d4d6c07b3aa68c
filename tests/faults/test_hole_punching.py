"""Two nodes behind routers of their own, and relays on the public network: how they meet, and that nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import permutations
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.faults.nat_fleet import PORT, NatFleet, connected, transport
from tests.faults.nat_lab import nat_lab
from tests.support import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.faults.lab import Host, Node
    from tests.faults.nat_lab import Kind, Router

slow = pytest.mark.slow

FIRST_EVENT = 5.0
"""Seconds within which an event of a node reaches one that both know only a relay."""
DIRECT = 2.0
"""Seconds from there within which both have a direct connection."""
ANOTHER = 10.0
"""Seconds within which nodes whose relay died hear each other again."""
SETTLED = 12.0
"""Seconds within which what a direct connection replaces is closed: some four, with slack."""

ONLY = {"quic": {"tcp": None}, "tcp": {"quic": None}}
"""What a node is told so that it has one transport."""


class Place(NamedTuple):
    """A public network with a fleet; two hosts stand behind routers."""

    fleet: NatFleet
    public: list[Host]
    routers: list[Router]
    hosts: list[Host]


@asynccontextmanager
async def two_behind(first: Kind, second: Kind, relays: int = 1) -> AsyncIterator[Place]:
    """Build it, with hosts for relays, and without any node."""
    async with nat_lab() as lab, AsyncExitStack() as stack:
        public = [await lab.host() for _ in range(relays)]
        routers = [await lab.router(kind) for kind in (first, second)]
        hosts = [await lab.host(router) for router in routers]
        yield Place(NatFleet(stack), public, routers, hosts)


async def talk(one: Node, two: Node, first: int, count: int) -> None:
    """Let both publish a hundred numbers a second."""
    for node in (one, two):
        node.tell("stream", stream={"first": first, "count": count, "interval": 0.01})


def heard(node: Node, author: Node, first: int = 0) -> list[int]:
    """Return the numbers that a node has of another, from one on."""
    return [line["number"] for line in node.said("heard", author=author.peer_id) if line["number"] >= first]


async def all_heard(one: Node, two: Node, first: int, count: int) -> None:
    """Check that both have had all of it, once."""
    for node in (one, two):
        await node.wait("streamed", first=first)
    wanted = list(range(first, first + count))
    with contextlib.suppress(AssertionError):  # which numbers are missing says more
        await eventually(lambda: min(len(heard(one, two, first)), len(heard(two, one, first))) >= count, 5)
    assert (sorted(heard(one, two, first)), sorted(heard(two, one, first))) == (wanted, wanted)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("only", "runs", "direct"),
    [
        pytest.param("quic", 1, 1, id="quic"),
        pytest.param("quic", 20, 20, id="quic-20-times", marks=slow),
        pytest.param("tcp", 20, 18, id="tcp-20-times", marks=slow),
    ],
)
async def test_a_direct_connection_comes_about_and_no_event_is_lost_or_doubled(
    only: str, runs: int, direct: int
) -> None:
    count, upgraded, first_events, upgrades = 500, 0, [], []
    async with two_behind("port-restricted", "port-restricted") as place:
        for _ in range(runs):
            for router in place.routers:
                await router.forget()
            async with AsyncExitStack() as stack:
                fleet = NatFleet(stack)
                await fleet.relay(place.public[0])
                one = await fleet.join(place.hosts[0], **ONLY[only])
                two = await fleet.join(place.hosts[1], **ONLY[only])
                start = time.monotonic()
                await talk(one, two, 0, count)
                for node, author in ((one, two), (two, one)):
                    line = await node.wait("heard", author=author.peer_id, within=FIRST_EVENT)
                    first_events.append(line["at"] - start)
                since = time.monotonic()
                try:
                    upgrades.append(await connected(one, two, only, within=DIRECT) - since)
                    upgraded += 1
                except TimeoutError:
                    print("this one stays relayed")
                await all_heard(one, two, 0, count)
    print(
        f"{only}: direct in {upgraded} of {runs}, first event within {max(first_events):.2f} s, "
        f"direct within {max(upgrades, default=0):.2f} s of it"
    )
    assert upgraded >= direct


async def test_what_is_replaced_is_closed() -> None:
    async with two_behind("port-restricted", "open") as place:
        relay = await place.fleet.relay(place.public[0])
        one, two = [await place.fleet.join(host) for host in place.hosts]
        await connected(one, two, "quic", "tcp", within=FIRST_EVENT + DIRECT)
        async with asyncio.timeout(SETTLED):
            while any([await connections(node) != {1} for node in (one, two)]):  # noqa: ASYNC110  # nodes do not tell
                await asyncio.sleep(0.1)
        assert (await relay.ask("counters", "counters"))["counters"]["circuits_total"] == 1
        for node in (one, two):
            counters = (await node.ask("counters", "counters"))["counters"]
            assert (counters["resets_total"], counters["second_connections_total"]) == (0, 0)
        await talk(one, two, 0, 100)
        await all_heard(one, two, 0, 100)


async def test_two_behind_one_router_meet_on_their_own_network() -> None:
    async with nat_lab() as lab, AsyncExitStack() as stack:
        public, router = await lab.host(), await lab.router("port-restricted")
        fleet = NatFleet(stack)
        await fleet.relay(public)
        one, two = [await fleet.join(await lab.host(router)) for _ in range(2)]
        await connected(one, two, "quic", "tcp", within=FIRST_EVENT + DIRECT)


async def test_a_neighbour_on_the_same_machine_keeps_nobody_from_a_direct_connection() -> None:
    """It sees the node at 127.0.0.1, where nobody else can reach it."""
    async with two_behind("port-restricted", "port-restricted") as place:
        await place.fleet.relay(place.public[0])
        here = {"hosts": ["0.0.0.0"], "quic_port": PORT, "tcp_port": PORT + 1}
        one = await place.fleet.join(place.hosts[0], listen=here)
        beside = here | {"quic_port": PORT + 2, "tcp_port": PORT + 3}
        at = f"/ip4/127.0.0.1/udp/{PORT}/quic-v1/p2p/{one.peer_id}"
        neighbour = await place.fleet.join(place.hosts[0], listen=beside, bootstrap_nodes=[at])
        await connected(one, neighbour, "quic", within=FIRST_EVENT)
        assert "/127.0.0.1/" in await way(neighbour, one)
        two = await place.fleet.join(place.hosts[1])
        await connected(one, two, "quic", "tcp", within=FIRST_EVENT + DIRECT)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("seconds", "size"), [pytest.param(10, 0, id="10 s"), pytest.param(600, 9_000, id="10 min", marks=slow)]
)
async def test_symmetric_routers_leave_a_relayed_connection_that_lasts(seconds: int, size: int) -> None:
    """With 9,000 bytes twice a second each way more than 10 MiB pass the relay in ten minutes."""
    async with two_behind("symmetric", "symmetric") as place:
        relay = await place.fleet.relay(place.public[0])
        one, two = [await place.fleet.join(host) for host in place.hosts]
        await connected(one, two, within=FIRST_EVENT)
        count = seconds * 2
        for node in (one, two):
            node.tell("stream", stream={"first": 0, "count": count, "interval": 0.5, "size": size})
        for node in (one, two):
            await node.wait("streamed", within=seconds + 30)
        await all_heard(one, two, 0, count)
        assert (await transport(one, two), await transport(two, one)) == ("relay", "relay")
        for node, other in ((one, two), (two, one)):
            counters = (await node.ask("counters", "counters"))["counters"]
            assert (counters["resets_total"], node.said("disconnected", peer=other.peer_id)) == (0, [])
        assert (await relay.ask("counters", "counters"))["counters"]["circuits_total"] == 1


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("end", "only"), [(end, only) for end in ("killed", "cut") for only in ONLY])
async def test_a_relay_dies_and_another_one_takes_its_place(end: str, only: str) -> None:
    async with two_behind("symmetric", "symmetric", relays=2) as place:
        relays = [await place.fleet.relay(host) for host in place.public]
        one, two = [await place.fleet.join(host, **ONLY[only]) for host in place.hosts]
        await connected(one, two, "relay", within=FIRST_EVENT)
        for node in (one, two):
            await reserved(node, 2)
        through = await way(one, two)
        used = next(i for i, relay in enumerate(relays) if relay.peer_id in through)
        if end == "killed":
            relays[used].kill()
        else:
            await place.public[used].unplug()
        start = time.monotonic()
        await heard_anew(one, two, within=ANOTHER)
        print(f"a relay was {end} ({only}): both hear each other again after {time.monotonic() - start:.2f} s")


@pytest.mark.timeout(120)
async def test_all_whom_a_lost_relay_led_to_are_reached_through_another_one() -> None:
    async with nat_lab() as lab, AsyncExitStack() as stack:
        public = [await lab.host() for _ in range(2)]
        fleet = NatFleet(stack)
        relays = [await fleet.relay(host) for host in public]
        nodes = [await fleet.join(await lab.host(await lab.router("symmetric")), **ONLY["tcp"]) for _ in range(4)]
        pairs = list(permutations(nodes, 2))
        for one, two in pairs:
            await connected(one, two, "relay", within=FIRST_EVENT)
        for node in nodes:
            await reserved(node, 2)
        led = [sum([relay.peer_id in await way(one, two) for one, two in pairs]) for relay in relays]
        lost = led.index(max(led))
        await public[lost].unplug()
        start = time.monotonic()
        async with asyncio.timeout(ANOTHER):
            for one, two in pairs:
                while relays[1 - lost].peer_id not in await way(one, two):  # noqa: ASYNC110  # nodes do not tell
                    await asyncio.sleep(0.1)
        print(f"a relay of {max(led) // 2} pairs was cut: all have another after {time.monotonic() - start:.2f} s")


async def way(one: Node, two: Node) -> str:
    """Return by which address a node is connected to another, if it is."""
    addresses: dict[str, list[str]] = (await one.ask("peers", "peers"))["addresses"]
    return next(iter(addresses.get(two.peer_id, [])), "")


async def connections(node: Node) -> set[int]:
    """Return how many connections a node has to its peers."""
    return {len(places) for places in (await node.ask("peers", "peers"))["addresses"].values()}


async def reserved(node: Node, n: int) -> None:
    """Wait until a node is reached through so many relays."""

    def relays() -> set[str]:
        places = [line["address"] for line in node.said("address") if "/p2p-circuit/" in line["address"]]
        return {place.split("/p2p/")[1] for place in places}

    await eventually(lambda: len(relays()) >= n, FIRST_EVENT)


async def heard_anew(one: Node, two: Node, within: float) -> None:
    """Let both publish until each has something of the other that was published from now on."""
    async with asyncio.timeout(within):
        for number in range(1_000, 10_000):
            for node in (one, two):
                await node.publish(number)
            if heard(one, two, 1_000) and heard(two, one, 1_000):
                return
            await asyncio.sleep(0.1)
