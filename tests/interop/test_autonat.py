"""A Go node that serves AutoNAT v2 alone: it comes back with a key of its own, which no gate admits."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from tests.faults.nat_lab import Kind, nat_lab
from tests.faults.test_reachability import FOUND_OUT, counters
from tests.interop.hosts import Network
from tests.interop.peers import Peer
from tests.support import eventually

if TYPE_CHECKING:
    from tests.faults.lab import Node

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SERVER, ASKED = range(2)
TOPIC = "depin-network_t"
INTERVAL = 0.05
AFTERWARDS = 40
"""Events of each side after the node knows: the other addresses are asked for meanwhile."""


def heard(one: Node | Peer, author: str) -> list[int]:
    """Return the numbers of an author that one has heard, in order of size; negative ones are from before the count."""
    if isinstance(one, Peer):
        numbers = [line["read"]["message"] for line in one.said("message", topic=TOPIC, author=author)]
    else:
        numbers = [line["number"] for line in one.said("heard", author=author)]
    return sorted(number for number in numbers if number >= 0)


@pytest.mark.parametrize("kind", [None, "port-restricted"])
async def test_a_node_finds_out_from_a_go_node_that_never_gets_in_beside_it(kind: Kind | None) -> None:
    async with nat_lab() as net, AsyncExitStack() as stack:
        network = Network(stack, [await net.host(), await net.host(await net.router(kind) if kind else None)])
        go = await network.go(SERVER, "go-0.41", "-public", "-autonat-v2")
        await go.ask("subscribe", "subscribed", topic=TOPIC)
        asked = await network.ours(ASKED, network.address(SERVER))

        async def publish(number: int) -> None:
            await go.publish(TOPIC, number)
            await asked.publish(number)
            await asyncio.sleep(INTERVAL)

        while not (asked.said("heard") and go.said("message", topic=TOPIC, author=asked.peer_id)):
            await publish(-1)
        number, left = 0, AFTERWARDS
        expected = "private" if kind else "public"
        async with asyncio.timeout(FOUND_OUT):
            while left:
                await publish(number)
                number += 1
                left -= bool(asked.said("reachability", reachability=expected))
        for one, author in ((go, asked), (asked, go)):
            await eventually(lambda one=one, author=author: len(heard(one, author.peer_id)) >= number)  # type: ignore[misc]
            assert heard(one, author.peer_id) == list(range(number))
        counted = await counters(asked)
        assert counted["second_connections_total"] == counted["resets_total"] == 0
        # Its key, which nobody lists, stood at our gate where that can be reached.
        assert (counted["refused_total"] >= 1) == (kind is None)
        assert asked.said("refused") == asked.said("disconnected") == []
        assert await asked.peers() == [network.id(SERVER)]
        print(f"{kind}: {expected}, 0 of {2 * number} events lost")
