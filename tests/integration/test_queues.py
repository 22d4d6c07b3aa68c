"""What waits between the network and a consumer: nothing is lost without a count, nobody is held up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import BackpressureError, MeshTimeoutError
from tests.support import eventually, mesh_of, soon

if TYPE_CHECKING:
    from depinmesh import Database, Subscription

Pair = tuple["Database", "Database"]


async def taken(subscription: Subscription, n: int) -> list[Any]:
    """Take n messages by iteration."""
    messages: list[Any] = []
    async with asyncio.timeout(15):
        async for event in subscription:
            messages.append(event.message)
            if len(messages) == n:
                break
    return messages


def flood(database: Database, topic: str, message: object) -> None:
    """Publish without giving the network, or anybody, time."""
    for _ in range(100_000):
        database.publish_nowait(topic, message)


async def test_a_full_queue_makes_publish_wait_and_publish_nowait_raise(pair: Pair) -> None:
    one, two = pair
    async with two.subscribe("t", queue_size=100_000, queue_bytes=1 << 30) as events:
        await one.wait_for_peers("t", 1, 15)
        with pytest.raises(BackpressureError):
            flood(one, "t", None)  # which takes less time than to sign it
        await soon(asyncio.gather(one.publish("t", "after"), one.publish("t", "after", min_peers=1)))
        await eventually(lambda: one.node.status().outbox == 0)
        assert events.stats.dropped == 0


async def test_those_who_wait_for_room_all_get_it_whoever_gives_up_meanwhile(pair: Pair) -> None:
    one, two = pair
    async with two.subscribe("t", queue_size=100_000, queue_bytes=1 << 30) as events:
        await one.wait_for_peers("t", 1, 15)
        with pytest.raises(BackpressureError):
            flood(one, "t", "before")
        publishing = [asyncio.create_task(one.publish("t", number)) for number in range(2_000)]
        await soon(asyncio.wait(publishing, return_when=asyncio.FIRST_COMPLETED))
        given_up = {task for task in publishing[::2] if task.cancel()}
        assert given_up, "the others wait"
        sent = {event.message for event in await soon(asyncio.gather(*(set(publishing) - given_up)))}
        received: set[Any] = set()
        while not sent <= received:
            received.add((await events.get(15)).message)
        assert received - {"before"} == sent
        assert all(task.cancelled() for task in given_up)


async def test_cancelled_waits_lose_no_event(pair: Pair) -> None:
    one, two = pair
    messages: list[int] = []
    async with two.subscribe("t") as events:
        await one.wait_for_peers("t", 1, 15)

        async def publish() -> None:
            for number in range(500):
                await one.publish("t", number)
                await asyncio.sleep(0)

        publishing = asyncio.create_task(publish())
        wait = 0.0
        while len(messages) < 500:
            # Cancelled in every state of the wait, as the times shift against each other.
            wait = (wait + 0.00037) % 0.003
            try:
                async with asyncio.timeout(wait):
                    while True:
                        messages.append((await anext(events)).message)
            except TimeoutError:
                continue
        await publishing
    assert messages == list(range(500))


async def test_get_with_no_time_takes_what_is_there(pair: Pair) -> None:
    one, two = pair
    async with two.subscribe("t") as events:
        with pytest.raises(MeshTimeoutError):
            await events.get(0)
        await one.wait_for_peers("t", 1, 15)
        for number in range(3000):
            await one.publish("t", number)
        await eventually(lambda: events.stats.dropped + events.stats.pending == 3000)
        assert [(await events.get(0)).message for _ in range(1024)] == list(range(3000 - 1024, 3000))


async def test_events_nobody_took_are_dropped_and_counted_at_the_close(pair: Pair) -> None:
    one, two = pair
    events = await two.subscribe("t")
    await one.wait_for_peers("t", 1, 15)
    for number in range(600):
        await one.publish("t", number)
    await events.get(15)
    await eventually(lambda: events.stats.delivered + events.stats.pending == 600)
    assert events.stats.delivered == 1
    await events.close()
    assert events.stats.delivered == 1
    assert events.stats.dropped == 599
    assert events.stats.pending == events.stats.pending_bytes == 0


@pytest.mark.parametrize(("overflow", "kept"), [("drop_oldest", range(90, 100)), ("drop_newest", range(10))])
async def test_a_full_queue_drops_by_its_policy_and_counts(pair: Pair, overflow: Any, kept: range) -> None:
    one, two = pair
    async with two.subscribe("t", queue_size=10, overflow=overflow) as events:
        await one.wait_for_peers("t", 1, 15)
        for number in range(100):
            await one.publish("t", number)
        await eventually(lambda: events.stats.dropped == 90)
        assert (events.stats.pending, events.stats.delivered) == (10, 0)
        assert await taken(events, 10) == list(kept)
        assert (events.stats.pending, events.stats.delivered, events.stats.dropped) == (0, 10, 90)


async def test_a_queue_is_bounded_in_bytes(pair: Pair) -> None:
    one, two = pair
    async with two.subscribe("t", queue_bytes=10_000) as events:
        await one.wait_for_peers("t", 1, 15)
        for _ in range(20):
            await one.publish("t", "x" * 1000)
        await eventually(lambda: events.stats.pending + events.stats.dropped == 20)
        assert 5 <= events.stats.pending <= 9
        assert events.stats.pending_bytes <= 10_000


async def test_the_configuration_says_what_a_queue_holds_and_what_a_full_one_drops() -> None:
    pubsub = {"queue_size": 5, "overflow": "drop_newest"}
    async with mesh_of(2, pubsub=pubsub) as (one, two), two.subscribe("t") as events:
        await one.wait_for_peers("t", 1, 15)
        for number in range(20):
            await one.publish("t", number)
        await eventually(lambda: events.stats.dropped == 15)
        assert await taken(events, 5) == list(range(5))


async def test_the_configuration_says_how_many_bytes_a_queue_holds() -> None:
    pubsub = {"max_message_size": 10_000, "queue_bytes": 10_000}
    async with mesh_of(2, pubsub=pubsub) as (one, two), two.subscribe("t") as events:
        await one.wait_for_peers("t", 1, 15)
        for _ in range(20):
            await one.publish("t", "x" * 1000)
        await eventually(lambda: events.stats.pending + events.stats.dropped == 20)
        assert 5 <= events.stats.pending <= 9
        assert events.stats.pending_bytes <= 10_000


async def test_a_consumer_of_a_full_queue_lets_other_tasks_run(pair: Pair) -> None:
    one, two = pair
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with two.subscribe("t", queue_size=20_000, queue_bytes=1 << 26) as events:
        await one.wait_for_peers("t", 1, 15)
        for number in range(20_000):
            await one.publish("t", number)
        await eventually(lambda: events.stats.pending == 20_000)
        task = asyncio.create_task(others())
        await asyncio.sleep(0)
        turns = 0
        assert await taken(events, 20_000) == list(range(20_000))
        # 8 batches of 256 at most between two turns of the others.
        assert turns >= 20_000 // (8 * 256)
        task.cancel()
        await asyncio.wait([task])
