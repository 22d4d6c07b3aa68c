"""A fleet from which wallets are removed, and to which they come back."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from depinmesh import PeerConnected, PeerDisconnected
from depinmesh.testing import MockRegistry, network
from tests.support import eventually, received

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from depinmesh import Database, PeerId, Subscription

TOPIC = "t"
GATE = {"refresh_interval": 1.0, "min_interval": 1.0, "negative_ttl": 1.0}
CLOSED_WITHIN = 1.0
BACK_WITHIN = 5.0
SLACK = 3


@dataclass(frozen=True)
class Outcome:
    """How long it took, in seconds."""

    closed_p50: float
    closed_p99: float
    heard_again: float


async def revoke(nodes: int, removed: int, retries: float) -> Outcome:
    """Remove wallets, let their nodes try to come back for some seconds, then list them again."""
    registry = MockRegistry()
    async with network(nodes, registry=registry, timeout=240, gate=GATE) as databases, AsyncExitStack() as stack:
        out, inside = databases[:removed], databases[removed:]
        strangers = {db.node.peer_id for db in out}
        inboxes = [await stack.enter_async_context(db.subscribe(TOPIC)) for db in out]
        gone: list[float] = []
        back: list[PeerId] = []
        watching = [asyncio.create_task(_watch(db, strangers, gone, back)) for db in inside]
        await asyncio.sleep(0)  # from its first step on a task misses nothing

        registry.remove(*(db.node.wallet for db in out))
        began = time.monotonic()
        await asyncio.gather(*(db.node.gate.refresh() for db in inside))
        await eventually(lambda: len(gone) >= len(inside) * removed, within=60)
        took = sorted(at - began for at in gone)
        assert _part(took, 0.99) <= CLOSED_WITHIN * SLACK
        for db in inside:
            assert not strangers & ({peer.peer_id for peer in db.peers()} | set(db.topic_peers(TOPIC)))

        before = _refusals(inside)
        await asyncio.sleep(retries)
        tries = _refusals(inside) - before
        assert back == []
        assert tries > 0, "nobody tried to come back"

        registry.add(*(db.node.wallet for db in out))
        began = time.monotonic()
        await asyncio.gather(*(db.node.gate.refresh() for db in databases))
        await _heard(inside[0], inboxes, began)
        heard_again = time.monotonic() - began
        for task in watching:
            task.cancel()
    return Outcome(_part(took, 0.5), _part(took, 0.99), heard_again)


async def _watch(db: Database, strangers: AbstractSet[PeerId], gone: list[float], back: list[PeerId]) -> None:
    async for event in db.node.events(PeerConnected, PeerDisconnected):
        if isinstance(event, PeerConnected):
            back += {event.peer.peer_id} & strangers
        elif isinstance(event, PeerDisconnected) and event.reason == "revoked":
            gone.append(time.monotonic())


async def _heard(sender: Database, receivers: list[Subscription], began: float) -> None:
    before = [received(receiver) for receiver in receivers]
    while any(received(receiver) == count for receiver, count in zip(receivers, before, strict=True)):
        assert time.monotonic() - began <= BACK_WITHIN * SLACK, "listed again, and still without events"
        await sender.publish(TOPIC, 0)
        await asyncio.sleep(0.05)


def _refusals(databases: list[Database]) -> float:
    return sum(db.node.status().counters.get("refused_total", 0) for db in databases)


def _part(ordered: list[float], part: float) -> float:
    return ordered[math.ceil(part * len(ordered)) - 1]
