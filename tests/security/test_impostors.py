"""A thousand tries each, in the long form ten thousand, by a listed peer to pass for another or to silence it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.security.attack import address_of, envelope, full, reasons
from tests.security.raw import Raw, gossiping, raw
from tests.security.rpc import Message, rpc
from tests.security.test_gossip_floods import batches
from tests.security.test_gossip_frames import TOPIC, Attack, attack
from tests.support import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from depinmesh import PeerId

AT_ONCE = 100
FORGOTTEN = 130
"""Seconds after which the network itself has forgotten a message."""

often = pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
pytestmark = pytest.mark.timeout(300)


@asynccontextmanager
async def honest(a: Attack) -> AsyncIterator[tuple[Raw, int]]:
    """Let the other listed key in, too; yield its peer and the stream that it gossips on."""
    async with raw(key=a.other) as peer:
        _, stream = await gossiping(peer, address_of(a.db.node, "tcp"), full(a.db, TOPIC))
        await eventually(lambda: a.other.peer_id in a.db.topic_peers(TOPIC))
        yield peer, stream


def true_event(a: Attack, name: str, **more: object) -> Message:
    """Make an event of the other's own, with this id."""
    return Message(a.other, full(a.db, TOPIC), envelope(a.other.peer_id, name, id=name), **more)  # type: ignore[arg-type]


async def heard(a: Attack, n: int) -> list[tuple[PeerId, str]]:
    """Take the next n events that are delivered; return author and message of each."""
    events = [await a.events.get(15) for _ in range(n)]
    return [(event.from_peer, event.message) for event in events]


@often
async def test_c5_c8_an_event_in_the_name_of_another_is_never_delivered(count: int) -> None:
    async with attack() as a:
        for numbers in batches(count, AT_ONCE):
            named = [a.event(n, from_peer=a.other.peer_id) for n in numbers]
            signed = [true_event(a, str(n)).but(key=a.peer.key, author=a.other) for n in numbers]
            await a.send(*named, *signed)
        await a.is_heard()
        assert a.events.stats.delivered == 1
        assert reasons(a.db.node, "dropped_total") == {"wrong-from-peer": count, "signature": count}
        print(f"spoofed: 0 of {2 * count:,} delivered")


@often
async def test_c6_an_id_that_was_taken_before_by_another_silences_nobody(count: int) -> None:
    async with attack() as a, honest(a) as (other, stream):
        for numbers in batches(count, AT_ONCE):
            names = [f"id {n}" for n in numbers]
            true = [true_event(a, name) for name in names]
            # The id of the event by the attacker itself, in the other's name, and in a message with the other's number.
            own = [a.event("mine", id=name) for name in names]
            false = [a.event("false", id=name, from_peer=a.other.peer_id) for name in names]
            forged = [event.but(signature=bytes(64)) for event in true]
            await a.send(*own, *false, *forged)
            assert await heard(a, len(names)) == [(a.peer.key.peer_id, "mine")] * len(names)
            assert await other.write(stream, rpc(publish=true))
            assert sorted(await heard(a, len(names))) == sorted((a.other.peer_id, name) for name in names)
        await a.is_heard()
        assert reasons(a.db.node, "dropped_total") == {"wrong-from-peer": count, "signature": count}
        print(f"squatted: {count:,} of {count:,} delivered")


@pytest.mark.parametrize(("count", "seconds"), [(1_000, 0), pytest.param(10_000, FORGOTTEN, marks=pytest.mark.slow)])
@pytest.mark.timeout(600)
async def test_c7_what_was_delivered_once_is_not_delivered_again(count: int, seconds: int) -> None:
    async with attack() as a:
        sent: list[list[Message]] = []
        async with honest(a) as (other, stream):
            for numbers in batches(count, AT_ONCE):
                sent.append([true_event(a, f"once {n}") for n in numbers])
                assert await other.write(stream, rpc(publish=sent[-1]))
                assert len(await heard(a, len(numbers))) == len(numbers)
            for messages in sent:
                await a.send(*messages)
            await a.is_heard(word="after the replays")
        # What gossip had forgotten by then, as may be on a slow machine, the node itself has dropped.
        at_first = sum(reasons(a.db.node, "dropped_total").values())
        # The same once more when the author has been away and is back: its numbers are judged anew from then on. After
        # the longer time the network has forgotten the messages, and what the node itself remembers is what tells.
        await eventually(lambda: a.other.peer_id not in [peer.peer_id for peer in a.db.peers()])
        async with honest(a) as (other, stream):
            await asyncio.sleep(seconds)
            for messages in sent:
                await a.send(*messages)
            assert await other.write(stream, rpc(publish=[true_event(a, "new")]))
            assert await heard(a, 1) == [(a.other.peer_id, "new")]
        await a.is_heard()
        assert a.events.stats.delivered == count + 3
        dropped = reasons(a.db.node, "dropped_total")
        assert dropped.keys() <= {"replay", "duplicate"}
        if seconds:
            assert sum(dropped.values()) == at_first + count
        print(f"replayed: 0 of {2 * count:,} delivered")
