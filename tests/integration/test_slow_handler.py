"""What a slow handler that also raises costs the other subscriptions of its node, in latency."""

from __future__ import annotations

import asyncio
from statistics import quantiles
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from depinmesh import PeerDisconnected
from tests.support import eventually, heard, received, waiting_in

if TYPE_CHECKING:
    from depinmesh import Database, Event

TAKES = 0.1
"""Seconds that the handler awaits for each event while it is slow."""
QUEUE = 16
RAISES = 10
"""One call of so many raises."""
SLOW_EVERY, OTHER_EVERY = 0.005, 0.02
"""Seconds between the events of the slow topic, twenty times what it takes, and of the other."""


@pytest.mark.parametrize("seconds", [1, pytest.param(30, marks=pytest.mark.slow)])
@pytest.mark.timeout(180)
async def test_y9_a_slow_handler_that_raises_disconnects_nobody_and_each_event_is_accounted_for(
    pair: tuple[Database, Database], seconds: int
) -> None:
    author, reader = pair
    slow, sent, calls, times = False, 0, 0, list[float]()

    async def handler(_: Event) -> None:
        nonlocal calls
        if slow:
            await asyncio.sleep(TAKES)
            calls += 1
            if calls % RAISES == 0:
                raise ValueError

    async def publish_slow_topic() -> None:
        nonlocal sent
        while True:
            await author.publish("slow", sent)
            sent += 1
            await asyncio.sleep(SLOW_EVERY)

    async def latencies() -> list[float]:
        times.clear()
        ends = monotonic() + seconds
        while monotonic() < ends:
            await author.publish("other", monotonic())
            await asyncio.sleep(OTHER_EVERY)
        return sorted(times)

    subscription = await reader.subscribe("slow", handler, queue_size=QUEUE)
    await reader.subscribe("other", lambda event: times.append((monotonic() - event.message) * 1000))
    for topic in ("slow", "other"):
        await heard(author, reader, topic)
    async with reader.node.events(PeerDisconnected) as gone:
        publishing = asyncio.create_task(publish_slow_topic())
        shown = []
        for slow in (False, True):  # noqa: B007  # the handler reads it
            cuts = quantiles(await latencies(), n=100)
            shown.append((round(cuts[49], 2), round(cuts[98], 2)))
        publishing.cancel()
        await asyncio.wait([publishing])
        print(f"the other topic's p50 and p99 in ms: {shown[0]} beside a quick handler, {shown[1]} beside a slow one")
        await eventually(lambda: received(subscription) == sent)
        await eventually(lambda: subscription.stats.pending == 0, within=2 * QUEUE * TAKES)
        assert await waiting_in(gone) == []
    assert subscription.stats.delivered + subscription.stats.dropped == sent
    assert subscription.stats.dropped > 0
    assert reader.node.status().counters["handler_errors_total"] > 0
