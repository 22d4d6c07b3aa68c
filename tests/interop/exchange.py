"""Events from one side to the other, with a bound on how many are on the way, and what became of them."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.interop.peers import TOPIC, full
from tests.support import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from depinmesh import Database, Event, Subscription
    from tests.interop.peers import Peer

WINDOW = 24
"""Below the 32 events that a Go subscription holds before it drops some."""


@dataclass
class Inbox:
    """What our node has received on a topic."""

    events: list[Event] = field(default_factory=list)


@asynccontextmanager
async def inbox(database: Database) -> AsyncIterator[Inbox]:
    """Subscribe to the topic and keep what comes, in order."""
    async with database.subscribe(TOPIC) as events:
        box = Inbox()
        task = asyncio.create_task(_fill(box, events))
        try:
            yield box
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def _fill(box: Inbox, events: Subscription) -> None:
    async for event in events:
        box.events.append(event)


async def to_peer(database: Database, peer: Peer, n: int) -> None:
    """Publish n events on our side and check that the peer reads each once, with us as the author."""
    name = full(database)
    before = len(peer.messages(name))
    sent = []
    for number in range(n):
        await _until(lambda number=number: len(peer.messages(name)) - before > number - WINDOW)  # type: ignore[misc]
        sent.append(await database.publish(TOPIC, {"to peer": number}, min_peers=1, timeout=10))
    await eventually(lambda: len(peer.messages(name)) - before >= n)
    got = peer.messages(name)[before:]
    assert sorted(line["read"]["message"]["to peer"] for line in got) == list(range(n))
    assert {line["read"]["id"] for line in got} == {event.id for event in sent}
    us = database.node.peer_id
    assert {(line["author"], line["read"]["from_peer"]) for line in got} == {(us, us)}


async def to_us(database: Database, peer: Peer, box: Inbox, n: int) -> None:
    """Let the peer publish n events and check that we read each once, in order, with the peer as the author."""
    before = len(box.events)
    for number in range(n):
        await _until(lambda number=number: len(box.events) - before > number - WINDOW)  # type: ignore[misc]
        peer.tell("publish", topic=full(database), message={"to us": number})
    await eventually(lambda: len(box.events) - before >= n)
    got = box.events[before:]
    assert [event.message for event in got] == [{"to us": number} for number in range(n)]
    assert len({event.id for event in got}) == n
    assert {(event.from_peer, event.wallet) for event in got} == {(peer.peer_id, peer.key.wallet)}


async def _until(condition: Callable[[], bool]) -> None:
    if not condition():
        await eventually(condition)
