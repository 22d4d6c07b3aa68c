"""Two new nodes that dial each other at the same moment."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from depinmesh import Keypair, Node, PeerDisconnected, PeerRefused
from tests.support import LISTEN, eventually, fields_of, received, soon

if TYPE_CHECKING:
    from depinmesh import Database

TRANSPORTS = {"quic": {**LISTEN, "tcp_port": None}, "tcp": {**LISTEN, "quic_port": None}, "both": LISTEN}
EVENTS = 50
PAUSE = 0.01


@dataclass(frozen=True)
class Meeting:
    """What came of it."""

    connections: list[int]
    """Of each side to the other, in the end."""
    received: list[int]
    """Events of the other side."""
    troubles: list[str]
    """Disconnections and refusals that a node reported."""
    resets: int
    seconds: int
    """Second connections that came up on either side: without one nothing was shown."""


async def meet(transport: str) -> Meeting:
    """Let both dial at once, publish on both sides from the moment that each knows of the other's subscription."""
    keys = [Keypair.generate() for _ in range(2)]
    async with AsyncExitStack() as stack:
        nodes = []
        for key in keys:
            fields = fields_of(key, [one.wallet for one in keys], listen=TRANSPORTS[transport])
            nodes.append(await stack.enter_async_context(Node(**fields)))
        databases = [await stack.enter_async_context(node.database()) for node in nodes]
        subscriptions = [await stack.enter_async_context(db.subscribe("t")) for db in databases]
        troubles: list[str] = []
        one, other = nodes
        readers = [asyncio.create_task(_troubles(node, troubles)) for node in nodes]
        await soon(
            asyncio.gather(one.dial(other.bootstrap_entries()[0]), other.dial(one.bootstrap_entries()[0])),
        )
        await soon(asyncio.gather(*(_publish(db) for db in databases)))
        await eventually(lambda: all(received(subscription) >= EVENTS for subscription in subscriptions))
        await eventually(lambda: all(len(peer.addresses) == 1 for node in nodes for peer in node.peers()))
        for reader in readers:
            reader.cancel()
        return Meeting(
            connections=[len(peer.addresses) for node in nodes for peer in node.peers()],
            received=[received(subscription) for subscription in subscriptions],
            troubles=troubles,
            resets=sum(int(node.status().counters["resets_total"]) for node in nodes),
            seconds=sum(int(node.status().counters["second_connections_total"]) for node in nodes),
        )


async def meetings(transport: str, n: int, at_once: int) -> list[Meeting]:
    """Run `n` of them, some side by side."""
    met: list[Meeting] = []
    while len(met) < n:
        met += await asyncio.gather(*(meet(transport) for _ in range(min(at_once, n - len(met)))))
    return met


def faultless(meeting: Meeting) -> bool:
    """Say whether it left one connection, lost nothing, and nobody noticed."""
    return (
        meeting.connections == [1, 1]
        and meeting.received == [EVENTS, EVENTS]
        and not meeting.troubles
        and not meeting.resets
    )


async def _publish(db: Database) -> None:
    await db.wait_for_peers("t", 1)
    for number in range(EVENTS):
        await db.publish("t", number)
        await asyncio.sleep(PAUSE)


async def _troubles(node: Node, troubles: list[str]) -> None:
    async for event in node.events(PeerDisconnected, PeerRefused):
        troubles.append(repr(event))  # noqa: PERF401  # they are read while it runs
