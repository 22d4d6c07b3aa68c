"""The first event after a subscription arrives, and so does the first one after a subscription that was left."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import pytest

from depinmesh import MeshTimeoutError
from tests.integration.shapes import line, shaped, subscribed
from tests.security.attack import counted
from tests.support import eventually, received

if TYPE_CHECKING:
    from depinmesh import Database

pytestmark = pytest.mark.timeout(90)

AWAY = 1.0
"""Seconds between leaving a topic and coming back: less than the ten for which GossipSub keeps such a peer out."""
BACK_WITHIN = 3.0
SLACK = 3


@pytest.mark.parametrize("rounds", [30, pytest.param(1_000, marks=[pytest.mark.slow, pytest.mark.timeout(300)])])
@pytest.mark.parametrize("also", [False, True], ids=["publisher-alone", "publisher-subscribes-too"])
async def test_c3_no_first_event_is_lost_once_a_subscriber_is_known(
    pair: tuple[Database, Database], also: bool, rounds: int
) -> None:
    publisher, subscriber = pair
    for number in range(rounds):
        topic = f"t{number}"
        if also:
            await publisher.subscribe(topic)
        await publisher.publish(topic, "too early")
        await eventually(lambda: counted(publisher.node, "published_unheard_total") == number + 1)  # noqa: B023
        async with subscriber.subscribe(topic) as events:
            await publisher.wait_for_peers(topic, timeout=15)
            await publisher.publish(topic, number)
            # Gossip may still tell of what its author, a subscriber too, has published a moment before.
            while (heard := (await events.get(15)).message) == "too early":
                assert also
            assert heard == number
    assert counted(publisher.node, "published_unheard_total") == rounds
    assert counted(publisher.node, "published_total") == rounds


async def test_c12_a_topic_that_was_left_is_heard_again_soon_after_it_is_subscribed_again() -> None:
    # In the middle of a line, so that the event has to be passed on: the author itself would send it to any subscriber.
    edges = line(3)
    async with shaped(3, edges) as databases:
        author, _, last = databases
        *_, events = await subscribed(databases, edges, "t", {0, 1, 2})
        heard = None
        while heard != "before":
            await author.publish("t", "before")
            with contextlib.suppress(MeshTimeoutError):
                heard = (await events.get(0.2)).message

        await last.unsubscribe("t")
        await eventually(lambda: last.node.peer_id not in databases[1].topic_peers("t"))
        await asyncio.sleep(AWAY)
        began = time.monotonic()
        (events,) = await subscribed(databases, edges, "t", {2})
        published = 0
        while not received(events):
            assert time.monotonic() - began < BACK_WITHIN * SLACK, "subscribed again, and still without events"
            await author.publish("t", published)
            published += 1
            await asyncio.sleep(0.05)
        print(f"heard again after {time.monotonic() - began:.2f} s")

        # Nothing but the time away is lost, and nobody was put out for it.
        for number in range(published, published + 10):
            await author.publish("t", number)
        missing = set(range(published + 10))
        while missing:
            missing.discard((await events.get(15)).message)
        assert [counted(db.node, "connections_total") for db in databases] == [1, 2, 1]
