"""Networks that break and heal: who reaches whom again, and how soon. Each test prints the times it measured."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import time
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair
from tests.faults.lab import Lab, Node, lab, node_on

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

HEALED = 5.0
"""Seconds after the network is whole again in which every new event reaches everybody."""
SLACK = 3
GONE = 10.0
"""Seconds after which a peer that says nothing counts as gone."""
FLAP = 2.0
"""Seconds for which a flapping link is down, and then up."""
GROWTH = 5 * 1024 * 1024
"""Bytes that a node may grow by while a link flaps."""
QUIC, TCP = 4001, 4002

slow = pytest.mark.slow
transports = pytest.mark.parametrize(
    "ports",
    [
        pytest.param((QUIC, None), id="quic", marks=slow),
        pytest.param((None, TCP), id="tcp", marks=slow),
        pytest.param((QUIC, TCP), id="both"),
    ],
)
numbers = itertools.count()


@asynccontextmanager
async def fleet(
    place: Lab, ports: tuple[int | None, int | None] = (QUIC, TCP), **config: object
) -> AsyncIterator[list[Node]]:
    """Run a node on each host, all of which know each other, and wait until each is connected to each."""
    keys = [Keypair.generate() for _ in place.hosts]
    quic, tcp = ports
    entries = [f"{key.wallet}@{host.address}:{QUIC}:{TCP}" for key, host in zip(keys, place.hosts, strict=True)]
    async with AsyncExitStack() as stack:
        nodes = []
        for key, host in zip(keys, place.hosts, strict=True):
            own = {"key": key.to_base58(), "wallets": [one.wallet for one in keys], "quic": quic, "tcp": tcp}
            nodes.append(await stack.enter_async_context(node_on(host, nodes=entries, **own, **config)))
        await connected(nodes, within=30)
        yield nodes


async def connected(nodes: Sequence[Node], within: float) -> None:
    """Wait until each node is connected to each."""
    async with asyncio.timeout(within):
        for node in nodes:
            while len(await node.peers()) < len(nodes) - 1:  # noqa: ASYNC110  # the answer is all there is
                await asyncio.sleep(0.05)


async def everywhere(nodes: Sequence[Node], within: float) -> float:
    """Let each node publish, again and again, until an event of each, published after the call, is heard by each.

    Returns the seconds that it took.
    """
    began = time.monotonic()
    missing = {(a, b) for a in nodes for b in nodes if a is not b}
    while missing:
        closed = sorted((nodes.index(a), nodes.index(b)) for a, b in missing)
        assert time.monotonic() - began < within, f"nothing passes from to {closed} after {within:g} s"
        sent = {node: next(numbers) for node in nodes}
        await asyncio.gather(*(node.publish(number) for node, number in sent.items()))
        deadline = time.monotonic() + 0.25
        while missing and time.monotonic() < deadline:
            missing = {(a, b) for a, b in missing if not b.said("heard", number=sent[a])}
            await asyncio.sleep(0.01)
    return time.monotonic() - began


async def nothing_passes(senders: Sequence[Node], receivers: Sequence[Node], during: float) -> None:
    """Let some publish for a while and check that the others hear nothing of it."""
    until = time.monotonic() + during
    sent = []
    while time.monotonic() < until:
        for node in senders:
            sent.append(next(numbers))
            await node.publish(sent[-1])
        await asyncio.sleep(0.5)
    assert not [one for one in receivers for number in sent if one.said("heard", number=number)]


def resident(node: Node) -> int:
    """Return the bytes of memory that its process holds."""
    pages = Path(f"/proc/{node.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    ("rounds", "seconds"),
    [(1, 15), pytest.param(20, 15, marks=slow), pytest.param(1, 60, marks=slow)],
)
@pytest.mark.timeout(1800)
async def test_a_network_that_was_split_in_halves_is_one_again(rounds: int, seconds: float) -> None:
    took = []
    async with lab(10) as place, fleet(place) as nodes:
        await everywhere(nodes, within=15)
        for _ in range(rounds):
            await place.split(place.hosts[:5], place.hosts[5:])
            await nothing_passes(nodes[:5], nodes[5:], seconds)
            await everywhere(nodes[:5], within=15)
            await everywhere(nodes[5:], within=15)
            await place.heal()
            took.append(await everywhere(nodes, within=HEALED * SLACK))
    print(f"new events everywhere after {[round(one, 2) for one in took]} s")
    assert max(took) <= HEALED * SLACK


@transports
@pytest.mark.timeout(120)
async def test_a_node_whose_cable_is_pulled_is_gone_and_comes_back(ports: tuple[int | None, int | None]) -> None:
    async with lab(3) as place, fleet(place, ports) as nodes:
        await everywhere(nodes, within=15)
        await place.hosts[0].unplug()
        pulled = time.monotonic()
        for node in nodes[1:]:
            gone = await node.wait("disconnected", peer=nodes[0].peer_id, within=GONE * SLACK)
            print(f"gone after {gone['at'] - pulled:.2f} s: {gone['reason']}")
            assert gone["reason"] == "timeout"
        await nothing_passes(nodes[:1], nodes[1:], 15 - (time.monotonic() - pulled))
        await place.hosts[0].plug()
        print(f"new events everywhere after {await everywhere(nodes, within=HEALED * SLACK):.2f} s")


@pytest.mark.timeout(120)
async def test_a_node_that_much_is_sent_to_when_its_cable_is_pulled_is_gone_and_comes_back() -> None:
    """TCP would keep for a quarter of an hour what it cannot deliver, and the connection with it."""
    async with lab(3) as place, fleet(place, (None, TCP)) as nodes:
        await everywhere(nodes, within=15)
        nodes[1].tell("stream", stream={"first": 1_000_000, "count": 3_000, "interval": 0.01, "size": 500})
        await place.hosts[0].unplug()
        pulled = time.monotonic()
        for node in nodes[1:]:
            gone = await node.wait("disconnected", peer=nodes[0].peer_id, within=GONE * SLACK)
            print(f"gone after {gone['at'] - pulled:.2f} s: {gone['reason']}")
        await place.hosts[0].plug()
        await connected(nodes, within=HEALED * SLACK)
        print(f"connected {time.monotonic() - pulled:.2f} s after the cable was pulled")
        took = await everywhere(nodes, within=HEALED * SLACK)
        print(f"new events everywhere {took:.2f} s later")


@slow
@pytest.mark.parametrize(("hosts", "flaps"), [(3, 5), (10, 30)])
@pytest.mark.timeout(600)
async def test_p6_a_link_that_comes_and_goes_costs_nothing_once_it_stays(hosts: int, flaps: int) -> None:
    async with lab(hosts) as place, fleet(place) as nodes:

        async def flap(times: int) -> None:
            for _ in range(times):
                await place.hosts[0].unplug()
                await nothing_passes(nodes[:1], nodes[1:], FLAP)
                await place.hosts[0].plug()
                await asyncio.sleep(FLAP)

        await everywhere(nodes, within=15)
        await flap(3)
        await everywhere(nodes, within=HEALED * SLACK)
        before = [resident(node) for node in nodes]
        await flap(flaps)
        took = await everywhere(nodes, within=HEALED * SLACK)
        grown = [resident(node) - there for node, there in zip(nodes, before, strict=True)]
        print(f"new events everywhere after {took:.2f} s, grown by {[round(one / 1024) for one in grown]} KiB")
        assert max(grown) <= GROWTH


@transports
@pytest.mark.timeout(120)
async def test_a_node_that_stands_still_is_gone_and_comes_back(ports: tuple[int | None, int | None]) -> None:
    async with lab(3) as place, fleet(place, ports) as nodes:
        await everywhere(nodes, within=15)
        os.kill(nodes[0].process.pid, signal.SIGSTOP)
        stopped = time.monotonic()
        for node in nodes[1:]:
            gone = await node.wait("disconnected", peer=nodes[0].peer_id, within=GONE * SLACK)
            print(f"gone after {gone['at'] - stopped:.2f} s: {gone['reason']}")
        await asyncio.sleep(max(0.0, 15 - (time.monotonic() - stopped)))
        os.kill(nodes[0].process.pid, signal.SIGCONT)
        print(f"new events everywhere after {await everywhere(nodes, within=HEALED * SLACK):.2f} s")


@transports
@pytest.mark.timeout(120)
async def test_a_node_that_has_another_address_is_found_again(ports: tuple[int | None, int | None]) -> None:
    # They listen on every address, as nodes do by default; the two others know only the old one of the third.
    async with lab(3) as place, fleet(place, ports, hosts=["0.0.0.0"]) as nodes:
        await everywhere(nodes, within=15)
        await place.hosts[2].move("10.77.0.200")
        print(f"new events everywhere after {await everywhere(nodes, within=60):.2f} s")
