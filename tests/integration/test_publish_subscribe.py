"""Publishing and subscribing between real nodes."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import (
    ClosedError,
    ConfigError,
    EncodeError,
    MeshTimeoutError,
    MessageTooLargeError,
    NotSubscribedError,
    TopicError,
    connect,
)
from tests.support import WAIT, alone, eventually, heard, mesh_of, other_tasks, soon

if TYPE_CHECKING:
    from depinmesh import Database, Event, Subscription

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


async def test_an_event_arrives_as_it_was_published(pair: Pair) -> None:
    one, two = pair
    async with two.subscribe("rooms") as events:
        sent = await one.publish(
            "rooms", {"room": "a", "load": 0.5, "list": [1, None, True, "ü"]}, min_peers=1, timeout=15
        )
        event = await events.get(15)
    assert event.message == {"room": "a", "load": 0.5, "list": [1, None, True, "ü"]} == sent.message
    assert (event.id, event.topic, event.timestamp) == (sent.id, "rooms", sent.timestamp)
    assert event.from_peer == one.node.peer_id == sent.from_peer
    assert event.wallet == one.node.wallet
    assert event.time == datetime.fromtimestamp(event.timestamp, UTC)
    assert abs(event.received_at.timestamp() - time.time()) < 30


@pytest.mark.parametrize(
    "message", [None, False, 0, -1.5, "", [], {}, 2**70, "\U0001d54f", [[[]]], {"a": {"b": (1, 2)}}]
)
async def test_every_json_value_travels(pair: Pair, message: Any) -> None:
    one, two = pair
    async with two.subscribe("t") as events:
        await one.publish("t", message, min_peers=1, timeout=15)
        received = (await events.get(15)).message
    assert received == ({"a": {"b": [1, 2]}} if isinstance(message, dict) and message else message)


async def test_events_of_one_author_over_one_connection_come_in_order_and_once(pair: Pair) -> None:
    one, two = pair
    async with two.subscribe("t") as events:
        await one.wait_for_peers("t", 1, 15)
        for number in range(1000):
            await one.publish("t", number)
        assert await taken(events, 1000) == list(range(1000))
        assert events.stats.delivered == 1000
        with pytest.raises(MeshTimeoutError):
            await events.get(0.1)


async def test_a_node_does_not_get_its_own_events(pair: Pair) -> None:
    one, two = pair
    async with one.subscribe("t") as own, two.subscribe("t") as others:
        await one.publish("t", 1, min_peers=1, timeout=15)
        await others.get(15)
        assert own.stats.pending == 0
        with pytest.raises(MeshTimeoutError):
            await own.get(0)


async def test_publishing_to_nobody_succeeds(pair: Pair) -> None:
    event = await pair[0].publish("nobody", "hello")
    assert event.message == "hello"
    assert event.from_peer == pair[0].node.peer_id


async def test_publishing_works_before_subscribing(pair: Pair) -> None:
    one, two = pair
    await one.publish("t", "early")
    async with one.subscribe("t") as own:
        await two.publish("t", "late", min_peers=1, timeout=15)
        assert (await own.get(15)).message == "late"


@pytest.mark.parametrize("topic", ["", "a" * 513, "ü" * 257, "tab\t", "\x7f", "\ud83d"])
async def test_a_topic_that_cannot_be_used_is_refused_before_any_effect(pair: Pair, topic: str) -> None:
    one = pair[0]
    with pytest.raises(TopicError):
        await one.publish(topic, 1)
    with pytest.raises(TopicError):
        one.publish_nowait(topic, 1)
    with pytest.raises(TopicError):
        _ = one.subscribe(topic)
    with pytest.raises(TopicError):
        await one.wait_for_peers(topic, 0)
    assert one.topics() == []


@pytest.mark.parametrize("message", [float("nan"), float("inf"), b"bytes", {1: 2}, {"a": [set()]}, "\ud800", object()])
async def test_a_message_that_is_not_json_is_refused(pair: Pair, message: object) -> None:
    with pytest.raises(EncodeError):
        await pair[0].publish("t", message, min_peers=1)
    with pytest.raises(EncodeError) as caught:
        await pair[0].publish("t", message)
    assert caught.value.path is not None
    assert caught.value.path.startswith("message")


@pytest.mark.parametrize("min_peers", [0, 1], ids=["at once", "before it waits for peers"])
async def test_a_message_that_is_too_large_is_refused(pair: Pair, min_peers: int) -> None:
    with pytest.raises(MessageTooLargeError) as caught:
        await pair[0].publish("t", "x" * 1_100_000, min_peers=min_peers, timeout=WAIT)
    assert caught.value.size is not None
    assert caught.value.limit is not None
    assert caught.value.size > caught.value.limit


async def test_min_peers_waits_for_subscribers(pair: Pair) -> None:
    one, two = pair
    publishing = asyncio.create_task(one.publish("t", "first", min_peers=1))
    await asyncio.sleep(0)
    assert not publishing.done()
    async with two.subscribe("t") as events:
        assert (await events.get(15)).message == "first"
        await soon(publishing)


async def test_a_publish_that_times_out_has_sent_nothing(pair: Pair) -> None:
    one, two = pair
    async with two.subscribe("t") as events:
        await one.wait_for_peers("t", 1, 15)
        with pytest.raises(MeshTimeoutError) as caught:
            await one.publish("t", "never", min_peers=2, timeout=0.05)
        assert caught.value.timeout == 0.05
        await one.publish("t", "now")
        assert (await events.get(15)).message == "now"


async def test_a_cancelled_publish_has_sent_nothing_while_it_waits(pair: Pair) -> None:
    one, two = pair
    async with two.subscribe("t") as events:
        await one.wait_for_peers("t", 1, 15)
        publishing = asyncio.create_task(one.publish("t", "never", min_peers=2))
        await asyncio.sleep(0)
        publishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publishing
        await one.publish("t", "now")
        assert (await events.get(15)).message == "now"


async def test_publish_nowait_may_be_called_from_another_thread(pair: Pair) -> None:
    one, two = pair
    async with two.subscribe("t") as events:
        await one.wait_for_peers("t", 1, 15)
        thread = threading.Thread(target=one.publish_nowait, args=("t", "from a thread"))
        thread.start()
        assert (await events.get(15)).message == "from a thread"
        thread.join()


async def test_iterations_of_one_topic_are_independent(pair: Pair) -> None:
    one, two = pair
    async with two.subscribe("t") as slow, two.subscribe("t") as quick:
        await one.wait_for_peers("t", 1, 15)
        for number in range(10):
            await one.publish("t", number)
        assert await taken(quick, 10) == list(range(10))
        assert slow.stats.delivered == 0
        await quick.close()
        assert await taken(slow, 10) == list(range(10))


async def test_topics_are_separate(pair: Pair) -> None:
    one, two = pair
    async with two.subscribe("a") as a, two.subscribe("b") as b:
        await heard(one, two, "a")
        await heard(one, two, "b")
        await one.publish("b", "for b")
        assert (await b.get(15)).message == "for b"
        assert a.stats.pending == 0


async def test_leaving_the_block_ends_the_subscription(pair: Pair) -> None:
    one, two = pair
    async with two.subscribe("t") as events:
        assert two.topics() == ["t"]
        await heard(one, two, "t")
        assert two.node.peer_id in one.topic_peers("t")
    assert two.topics() == []
    with pytest.raises(ClosedError):
        await events.get()
    assert [event async for event in events] == []
    await eventually(lambda: one.topic_peers("t") == [])
    await events.close()


async def test_a_close_ends_the_waits_of_other_tasks(pair: Pair) -> None:
    subscription = await pair[0].subscribe("t")
    getting = asyncio.create_task(subscription.get())
    iterating = asyncio.create_task(taken(subscription, 1))
    await asyncio.sleep(0)
    await subscription.close()
    with pytest.raises(ClosedError):
        await soon(getting)
    assert await soon(iterating) == []


@pytest.mark.parametrize(
    "options",
    [
        {"queue_size": 0},
        {"queue_size": 1.5},
        {"queue_bytes": -1},
        {"queue_size": 2**64},
        {"overflow": "block"},
        {"concurrency": 2},
        {"concurrency": 0},
    ],
)
async def test_wrong_options_are_refused_at_the_call(pair: Pair, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        _ = pair[0].subscribe("t", **options)
    assert caught.value.errors[0].path in options


@pytest.mark.parametrize("peers", [-1, 0.5, math.nan, None, "1", True, 2**64])
async def test_a_wrong_number_of_peers_is_refused_before_anything_is_sent(pair: Pair, peers: Any) -> None:
    one, two = pair
    async with two.subscribe("t") as events:
        await one.wait_for_peers("t", 1, WAIT)
        with pytest.raises(ConfigError, match="min_peers"):
            await one.publish("t", "wrong", min_peers=peers)
        with pytest.raises(ConfigError, match="number from 0"):
            await one.wait_for_peers("t", peers)
        await one.publish("t", "right", min_peers=1)
        assert (await events.get(WAIT)).message == "right"


async def test_who_publishes_in_a_loop_lets_others_run(pair: Pair) -> None:
    """The network takes large events faster than Python makes them, so its queue never holds anybody up."""
    one, two = pair
    heard = 0

    def hear(_: Event) -> None:
        nonlocal heard
        heard += 1

    await two.subscribe("t", hear)
    await one.wait_for_peers("t", 1, WAIT)

    async def publish() -> None:
        while True:
            await one.publish("t", "x" * 100_000)

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(publish(), 0.5)
    assert time.monotonic() - began < 1.5  # three times as long
    assert heard > 0


async def test_a_subscription_that_is_never_awaited_warns(pair: Pair) -> None:
    opening = pair[0].subscribe("t")
    with pytest.warns(RuntimeWarning, match=r"subscribe.*never awaited"):
        del opening
    assert pair[0].topics() == []


async def test_a_subscription_is_opened_once(pair: Pair) -> None:
    opening = pair[0].subscribe("t")
    subscription = await opening
    with pytest.raises(RuntimeError, match="awaited already"):
        await opening
    await subscription.close()


async def test_unsubscribe_ends_every_subscription_of_the_topic(pair: Pair) -> None:
    one = pair[0]
    first, second, other = await one.subscribe("t"), await one.subscribe("t"), await one.subscribe("u")
    await one.unsubscribe("t")
    for subscription in (first, second):
        with pytest.raises(ClosedError):
            await subscription.get()
    assert one.topics() == ["u"]
    with pytest.raises(NotSubscribedError) as caught:
        await one.unsubscribe("t")
    assert caught.value.topic == "t"
    with pytest.raises(MeshTimeoutError):
        await other.get(0)


async def test_a_topic_can_be_subscribed_again(pair: Pair) -> None:
    one, two = pair
    for round_ in range(3):
        async with two.subscribe("t") as events:
            await one.wait_for_peers("t", 1, 15)
            # Gossip hands it over within a heartbeat or two, as the mesh refuses grafts for a while.
            await one.publish("t", round_)
            assert (await events.get(15)).message == round_
        await eventually(lambda: one.topic_peers("t") == [])


async def test_views_name_topics_and_peers(pair: Pair) -> None:
    one, two = pair
    assert [peer.peer_id for peer in one.peers()] == [two.node.peer_id]
    peer = one.peers()[0]
    assert peer.wallet == two.node.wallet
    assert peer.agent.startswith("depinmesh/")
    assert peer.transport in {"quic", "tcp"}
    assert one.is_ready
    assert two.is_ready
    assert one.topic_peers("t") == []
    async with one.subscribe("b"), one.subscribe("a"):
        assert one.topics() == ["a", "b"]


async def test_wait_for_peers_ends_in_a_timeout(pair: Pair) -> None:
    with pytest.raises(MeshTimeoutError):
        await pair[0].wait_for_peers("t", 1, 0.05)
    async with pair[1].subscribe("t"):
        await pair[0].wait_for_peers("t", 1, 15)
        await pair[0].wait_for_peers("t", 1, 0)
        await pair[0].wait_for_peers("t", 0, 0)
        with pytest.raises(MeshTimeoutError):
            await pair[0].wait_for_peers("t", 2, 0.05)


async def test_wait_ready_returns_at_once_when_a_peer_is_there(pair: Pair) -> None:
    await eventually(lambda: pair[0].is_ready and pair[0].node.is_ready)
    await pair[0].wait_ready(0)
    await pair[0].node.wait_ready(0)


async def test_all_peers_of_a_mesh_get_an_event() -> None:
    async with mesh_of(4) as (sender, *receivers):
        subscriptions = [await receiver.subscribe("t") for receiver in receivers]
        await sender.publish("t", "all", min_peers=3, timeout=15)
        events: list[Event] = [await subscription.get(15) for subscription in subscriptions]
        assert {event.message for event in events} == {"all"}
        assert {event.from_peer for event in events} == {sender.node.peer_id}
    assert other_tasks() == set()


async def test_topics_that_nobody_takes_are_told_of_once_and_beyond_a_thousand_by_the_counter_alone() -> None:
    told: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "published to nobody" in record.getMessage():
                told.append(record.getMessage())

    logger = logging.getLogger("test_unheard")
    logger.addHandler(Ear())
    logger.propagate = False
    async with connect(**alone(logger=logger)) as db:
        for _ in range(2):
            for number in range(1_100):
                await db.publish(f"t{number}", 1)
        await eventually(lambda: db.node.status().counters["published_unheard_total"] == 2_200)
        await eventually(lambda: len(told) == 1_024)
    assert len(told) == 1_024
