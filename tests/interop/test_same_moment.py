"""A Go node and ours that dial each other in the same millisecond: two connections, and no direction may go deaf.

Go forgets our subscriptions for good when the connection that carries its stream ends, so neither keeping both nor
closing one of them heals it (docs/wire.md section 6).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from depinmesh import MeshError, PeerDisconnected
from tests.interop.exchange import Inbox, inbox
from tests.interop.peers import GO, TOPIC, TRANSPORTS, Peer, address_of, full, go_peer, now, ours
from tests.security.attack import counted
from tests.support import eventually

if TYPE_CHECKING:
    from depinmesh import Database

SIDE_BY_SIDE = 10
INTERVAL = 0.25
LAST = 2.0
"""Seconds at the end in which both directions have to live."""
TRIES_TO_CROSS = 10
RESET_WITHIN = 3.0
HEALS = 9.0
"""Seconds in which two dials that cross once more after a reset are made good; they take two or three."""


@dataclass
class Pair:
    """One of each kind, each knowing where the other is."""

    peer: Peer
    db: Database
    box: Inbox

    async def dial_at(self, moment: float) -> None:
        """Dial each other at a moment in Unix seconds; one of the dials may find that the other was first."""
        theirs = asyncio.create_task(self.peer.dial(address_of(self.db.node), at=moment))
        await asyncio.sleep(moment - time.time())
        with contextlib.suppress(MeshError):
            await self.db.node.dial(self.peer.address)
        await theirs

    async def talk(self, seconds: float) -> None:
        """Send events both ways for a time and check that those of its end arrive, in both directions."""
        ends = now() + seconds
        number = 0
        last = set()
        while now() < ends:
            if now() > ends - LAST:
                last.add(number)
            await self.db.publish(TOPIC, number)
            self.peer.tell("publish", topic=full(self.db), message=number)
            number += 1
            await asyncio.sleep(INTERVAL)
        await eventually(lambda: last & {event.message for event in self.box.events})
        await eventually(lambda: last & {line["read"]["message"] for line in self.peer.messages(full(self.db))})


async def pair(stack: AsyncExitStack, pins: str, transport: str) -> Pair:
    peer = await stack.enter_async_context(go_peer(pins, transport=transport))
    db = await stack.enter_async_context(ours(peer.key.wallet, transport=transport))
    box = await stack.enter_async_context(inbox(db))
    await peer.ask("subscribe", "subscribed", topic=full(db))
    return Pair(peer, db, box)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("pins", GO)
async def test_both_directions_live_after_both_have_dialled_in_the_same_millisecond(
    pins: str, transport: str, *, long: bool
) -> None:
    tries, seconds = (100, 15.0) if long else (20, 5.0)
    doubled, deaf = 0, []
    for _ in range(0, tries, SIDE_BY_SIDE):
        async with AsyncExitStack() as stack:
            pairs = [await pair(stack, pins, transport) for _ in range(SIDE_BY_SIDE)]
            moment = time.time() + 0.3
            await asyncio.gather(*(one.dial_at(moment) for one in pairs))
            ends = await asyncio.gather(*(one.talk(seconds) for one in pairs), return_exceptions=True)
            deaf += [story(one, end) for one, end in zip(pairs, ends, strict=True) if isinstance(end, BaseException)]
            doubled += sum(had_two(one) for one in pairs)
    print(f"{pins}, {transport}: {len(deaf)} of {tries} deaf, {doubled} had two connections")
    assert deaf == []
    assert doubled > 0  # else the test has tried nothing


@pytest.mark.timeout(180)
@pytest.mark.parametrize("pins", GO)
async def test_dials_that_cross_again_after_the_reset_are_made_good_in_seconds(pins: str) -> None:
    for _ in range(TRIES_TO_CROSS):
        async with AsyncExitStack() as stack:
            one = await pair(stack, pins, "quic")
            if await crosses_twice(one):
                await heals(one)
                return
    pytest.fail("the dials never crossed twice")


async def heals(pair: Pair) -> None:
    """See the second reset and events of both sides after it."""
    await eventually(lambda: counted(pair.db.node, "resets_total") > 1, within=HEALS)
    await pair.talk(LAST)


async def crosses_twice(pair: Pair) -> bool:
    """Dial each other in one moment, and again after the reset, as a busy Go node does for its gossip stream."""
    async with pair.db.node.events(PeerDisconnected) as gone:
        await pair.dial_at(time.time() + 0.1)
        try:
            async with asyncio.timeout(RESET_WITHIN):
                assert (await anext(gone)).reason == "reset"
        except TimeoutError:
            return False  # one of the dials was first
        await pair.dial_at(time.time() + 0.03)
    return len(pair.peer.said("connected", open=2)) > 1


def story(pair: Pair, end: BaseException) -> str:
    """Tell what became of the connections of a pair, by the words of its Go side."""
    events = ("connected", "disconnected", "gossip-peer")
    lines = [f"{line['event']} {line.get('direction', '')}" for line in pair.peer.lines if line["event"] in events]
    counters = {name: value for name, value in pair.db.node.status().counters.items() if value}
    return f"{end}; {', '.join(lines)}; {counters}"


def had_two(pair: Pair) -> bool:
    return counted(pair.db.node, "second_connections_total") > 0 or bool(pair.peer.said("connected", open=2))
