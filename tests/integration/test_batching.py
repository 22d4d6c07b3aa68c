"""Signed batches: events of a topic that wait together share a signature, and are the same events as without."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair, QueueOverflow, connect
from tests.support import eventually, fields_of, heard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from depinmesh import Database, Subscription

BATCHING = {"batching": True}
MANY = 400


def count(database: Database, name: str) -> int:
    """Return a counter of the node."""
    return int(sum(metric.value for metric in database.node.metrics() if metric.name == name))


@asynccontextmanager
async def pair(**pubsub: Any) -> AsyncIterator[tuple[Database, Database]]:
    """Connect a publisher with this configuration, and a subscriber with the default one."""
    one, two = Keypair.generate(), Keypair.generate()
    wallets = [one.wallet, two.wallet]
    async with connect(**fields_of(two, wallets)) as there:
        fields = fields_of(one, wallets, bootstrap_nodes=there.node.bootstrap_entries(), pubsub=pubsub)
        async with connect(**fields) as here:
            yield here, there


async def messages(events: Subscription, n: int) -> list[Any]:
    """Take n messages."""
    return [(await events.get(15)).message for _ in range(n)]


async def test_events_that_wait_together_leave_under_one_signature_and_arrive_as_they_were_published() -> None:
    async with pair(**BATCHING) as (here, there), there.subscribe("t", queue_size=MANY) as events:
        await heard(here, there, "t")
        sent = [here.publish_nowait("t", {"n": number}) for number in range(MANY)]
        got = [await events.get(15) for _ in range(MANY)]
        assert got == sent
        assert [event.message for event in got] == [{"n": number} for number in range(MANY)]
        assert {(event.from_peer, event.wallet) for event in got} == {(here.node.peer_id, here.node.wallet)}
        assert [event.timestamp for event in got] == [event.timestamp for event in sent]
        assert (
            count(here, "published_total") == count(there, "received_total") == count(there, "accepted_total") == MANY
        )
        assert count(here, "published_bytes_total") < count(there, "received_bytes_total")  # lengths come on top
        assert count(here, "published_batches_total") == count(there, "received_batches_total") > 0
        assert count(there, "dropped_total") == 0


@pytest.mark.parametrize("option", [{}, {"batching": False}])
async def test_without_the_option_every_event_leaves_alone(option: dict[str, bool]) -> None:
    async with pair(**option) as (here, there), there.subscribe("t", queue_size=MANY) as events:
        await heard(here, there, "t")
        for number in range(MANY):
            here.publish_nowait("t", number)
        assert await messages(events, MANY) == list(range(MANY))
        assert count(here, "published_total") == MANY
        assert count(here, "published_batches_total") == count(there, "received_batches_total") == 0


async def test_an_event_alone_is_sent_at_once_and_plain() -> None:
    async with pair(**BATCHING) as (here, there), there.subscribe("t") as events:
        await heard(here, there, "t")
        for number in range(20):
            await here.publish("t", number)
            assert await messages(events, 1) == [number]
        assert count(here, "published_batches_total") == 0


async def test_events_of_other_topics_and_sizes_keep_the_order_of_their_topic() -> None:
    sizes = [10, 20_000, 20_000, 40_000, 10, 32_700, 10, 10, 600_000, 10]
    async with (
        pair(**BATCHING) as (here, there),
        there.subscribe("a", queue_size=MANY) as at_a,
        there.subscribe("b", queue_size=MANY) as at_b,
    ):
        await heard(here, there, "a")
        await heard(here, there, "b")
        sent: dict[str, list[list[object]]] = {"a": [], "b": []}
        for number in range(30):
            for topic in ("a", "b"):
                message = [number, topic * sizes[number % len(sizes)]]
                sent[topic].append(message)
                await here.publish(topic, message)
        assert await messages(at_a, 30) == sent["a"]
        assert await messages(at_b, 30) == sent["b"]
        assert count(there, "dropped_total") == 0


async def test_a_full_subscription_counts_the_events_that_it_loses_and_not_their_messages() -> None:
    async with pair(**BATCHING) as (here, there), there.subscribe("t", queue_size=10) as events:
        await heard(here, there, "t")
        overflows = there.node.events(QueueOverflow)
        for number in range(MANY):
            here.publish_nowait("t", number)
        await eventually(lambda: count(there, "received_total") == MANY)
        assert count(there, "received_batches_total") > 0
        assert (events.stats.pending, events.stats.dropped) == (10, MANY - 10)
        assert count(there, "queue_overflow_total") == MANY - 10
        assert await messages(events, 10) == list(range(MANY - 10, MANY))
        told = 0
        async with asyncio.timeout(15):
            while told < MANY - 10:
                overflow = await anext(overflows)
                assert isinstance(overflow, QueueOverflow)
                told += overflow.count


async def test_what_waits_at_the_close_is_sent() -> None:
    async with pair(**BATCHING) as (here, there), there.subscribe("t", queue_size=MANY) as events:
        await heard(here, there, "t")
        for number in range(MANY):
            here.publish_nowait("t", number)
        await here.close()
        assert await messages(events, MANY) == list(range(MANY))
