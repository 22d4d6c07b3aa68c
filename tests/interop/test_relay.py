"""Go nodes and ours behind routers that let nobody in, and a relay of either make between them."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.faults.nat_lab import Kind, nat_lab
from tests.interop.hosts import Network
from tests.interop.peers import GO, Peer
from tests.support import WAIT, eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.faults.lab import Node
    from tests.program import Line

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120), pytest.mark.parametrize("pins", GO)]

RELAY, ONE, TWO = range(3)
TOPIC = "depin-network_t"
DCUTR = "/libp2p/dcutr"
EVENTS, INTERVAL = 40, 0.05
PUNCHED = 20.0
"""Seconds within which there is a direct connection: three tries of five seconds each."""


@asynccontextmanager
async def behind(kind: Kind) -> AsyncIterator[Network]:
    """Build a network of a public host, which is the relay's, and two behind a router each."""
    async with nat_lab() as net, AsyncExitStack() as stack:
        hosts = [await net.host(), *[await net.host(await net.router(kind)) for _ in (ONE, TWO)]]
        yield Network(stack, hosts)


async def start_relay(network: Network, make: str, pins: str) -> None:
    if make == "go":
        relay = await network.go(RELAY, pins, "-public", "-relay")
        await relay.ask("subscribe", "subscribed", topic=TOPIC)
    else:
        await network.ours(RELAY, nat={"relay_server": True})


async def start_ours(network: Network, which: int, *knows: str, hole_punching: bool = False) -> Node:
    """Run a node of ours that is reached through the relay; it asks again each second for whom it knows."""
    nat = {"relays": [network.address(RELAY)], "hole_punching": hole_punching}
    return await network.ours(which, *knows, nat=nat, bootstrap={"wait": "none", "retry_interval": 1})


async def start_go(network: Network, which: int, pins: str, *flags: str) -> Peer:
    """Run a Go node that is connected with the relay, listens to the topic, and is reached through the relay."""
    peer = await network.go(which, pins, *flags)
    await peer.ask("subscribe", "subscribed", topic=TOPIC)
    reserved = await peer.ask("reserve", "reserved", addresses=[network.address(RELAY)])
    assert reserved["error"] is None
    return peer


async def meet(network: Network, pins: str, who_dials: str, *flags: str) -> tuple[Peer, Node]:
    """Connect a Go node and ours through the relay."""
    hole_punching = bool(flags)
    peer = await start_go(network, ONE, pins, *flags)
    if hole_punching:
        await until(lambda: knows_where_it_is(peer))
    if who_dials == "we dial":
        node = await start_ours(network, TWO, network.circuit(RELAY, ONE), hole_punching=hole_punching)
    else:
        node = await start_ours(network, TWO, hole_punching=hole_punching)
        await until(lambda: has_dialled(peer, network.circuit(RELAY, TWO)))
    await node.wait("connected", peer=network.id(ONE), transport="relay")
    return peer, node


async def knows_where_it_is(peer: Peer) -> bool:
    """Say whether a Go node can be asked to punch."""
    return DCUTR in (await peer.ask("protocols", "protocols"))["protocols"]


async def has_dialled(peer: Peer, address: str) -> bool:
    """Let a Go node dial; whom it dials may have no reservation yet."""
    return (await peer.dial(address))["error"] is None


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Ask until the answer is yes."""
    async with asyncio.timeout(WAIT):
        while not await condition():  # noqa: ASYNC110  # it asks another program
            await asyncio.sleep(INTERVAL)


async def publish(one: Peer | Node, number: int) -> None:
    if isinstance(one, Peer):
        await one.publish(TOPIC, number)
    else:
        await one.publish(number)


def heard(one: Peer | Node, author: Peer | Node) -> list[int]:
    """Return the numbers of an author that a node has heard, in order of size."""
    if isinstance(one, Peer):
        lines = one.messages(TOPIC)
        return sorted(line["read"]["message"] for line in lines if line["author"] == author.peer_id)
    return sorted(line["number"] for line in one.said("heard", author=author.peer_id))


async def talk(one: Peer | Node, two: Peer | Node, first: int = 0) -> None:
    """Let both publish numbers, of which none is lost and none comes twice."""
    for number in range(first, first + EVENTS):
        await publish(one, number)
        await publish(two, number)
        await asyncio.sleep(INTERVAL)
    for ear, author in ((one, two), (two, one)):
        # A Go node reads several at once: the last one may come before others.
        await eventually(lambda ear=ear, author=author: len(since(first, ear, author)) >= EVENTS)  # type: ignore[misc]
        assert since(first, ear, author) == list(range(first, first + EVENTS))


def since(first: int, ear: Peer | Node, author: Peer | Node) -> list[int]:
    """Return what a node has heard of an author from a number on."""
    return [number for number in heard(ear, author) if number >= first]


async def hear_each_other(one: Peer | Node, two: Peer | Node) -> None:
    """Let both publish until each has heard the other."""
    number = -1
    while not (heard(one, two) and heard(two, one)):
        await publish(one, number)
        await publish(two, number)
        number -= 1
        await asyncio.sleep(INTERVAL)


async def test_two_of_ours_meet_through_a_go_relay(pins: str) -> None:
    async with behind("symmetric") as network:
        await start_relay(network, "go", pins)
        one = await start_ours(network, ONE)
        two = await start_ours(network, TWO, network.circuit(RELAY, ONE))
        await one.wait("connected", peer=network.id(TWO), transport="relay")
        await two.wait("connected", peer=network.id(ONE), transport="relay")
        await hear_each_other(one, two)
        await talk(one, two)


@pytest.mark.parametrize("who_dials", ["we dial", "they dial"])
@pytest.mark.parametrize("relay", ["go", "ours"])
async def test_a_go_node_and_ours_meet_through_a_relay(pins: str, relay: str, who_dials: str) -> None:
    async with behind("symmetric") as network:
        await start_relay(network, relay, pins)
        peer, node = await meet(network, pins, who_dials)
        await hear_each_other(peer, node)
        await talk(peer, node)


async def test_two_go_nodes_meet_through_our_relay(pins: str) -> None:
    async with behind("symmetric") as network:
        await start_relay(network, "ours", pins)
        one, two = await start_go(network, ONE, pins), await start_go(network, TWO, pins)
        assert (await two.dial(network.circuit(RELAY, ONE)))["error"] is None
        met = await one.wait("connected", peer=network.id(TWO))
        assert "/p2p-circuit" in met["address"]
        await hear_each_other(one, two)
        await talk(one, two)


@pytest.mark.parametrize("who_dials", ["we dial", "they dial"])
@pytest.mark.parametrize("relay", ["go", "ours"])
async def test_a_relayed_connection_with_a_go_node_becomes_a_direct_one(pins: str, relay: str, who_dials: str) -> None:
    async with behind("port-restricted") as network:
        await start_relay(network, relay, pins)
        peer, node = await meet(network, pins, who_dials, "-hole-punching")
        await hear_each_other(peer, node)
        await talk(peer, node)
        await eventually(lambda: any("p2p-circuit" not in line["address"] for line in met_as(peer, node)), PUNCHED)
        await talk(peer, node, EVENTS)
        assert peer.said("disconnected", peer=node.peer_id) == []


def met_as(peer: Peer, node: Node) -> list[Line]:
    """Return the connections of a Go node with ours, so far."""
    return peer.said("connected", peer=node.peer_id)
