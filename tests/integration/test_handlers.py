"""Handlers of subscriptions, with real nodes."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import sys
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from depinmesh import AlreadySubscribedError, SubscriptionError
from depinmesh._handlers import HandlerErrors
from depinmesh.logs import adapt
from tests.support import eventually, heard, other_tasks, received

if TYPE_CHECKING:
    from collections.abc import Callable

    from depinmesh import Database, Event

Pair = tuple["Database", "Database"]


async def send(sender: Database, receiver: Database, topic: str, *messages: Any) -> None:
    """Publish when the receiver is known to listen."""
    await heard(sender, receiver, topic)
    for message in messages:
        await sender.publish(topic, message)


def handler_errors(database: Database) -> float:
    """Return how often handlers have raised."""
    return database.node.status().counters.get("handler_errors_total", 0)


def plain(seen: list[Any]) -> Callable[[Event], object]:
    return lambda event: seen.append(event.message)


def asynchronous(seen: list[Any]) -> Callable[[Event], object]:
    async def handler(event: Event) -> None:
        await asyncio.sleep(0)
        seen.append(event.message)

    return handler


@pytest.mark.parametrize("make", [plain, asynchronous])
async def test_a_handler_gets_all_events_in_order(pair: Pair, make: Callable[[list[Any]], Any]) -> None:
    seen: list[Any] = []
    await pair[1].subscribe("t", make(seen))
    await send(*pair, "t", *range(1000))
    await eventually(lambda: len(seen) == 1000)
    assert seen == list(range(1000))


async def test_a_handler_runs_on_the_loop_one_call_at_a_time(pair: Pair) -> None:
    running, most, calls = 0, 0, 0

    async def handler(_: Event) -> None:
        nonlocal running, most, calls
        assert asyncio.get_running_loop() is loop
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        calls += 1

    loop = asyncio.get_running_loop()
    await pair[1].subscribe("t", handler)
    await send(*pair, "t", *range(50))
    await eventually(lambda: calls == 50)
    assert most == 1


async def test_concurrency_bounds_the_calls_at_once(pair: Pair) -> None:
    go, running, most, calls = asyncio.Event(), 0, 0, 0

    async def handler(_: Event) -> None:
        nonlocal running, most, calls
        running += 1
        most = max(most, running)
        await go.wait()
        running -= 1
        calls += 1

    await pair[1].subscribe("t", handler, concurrency=4)
    await send(*pair, "t", *range(30))
    await eventually(lambda: running == 4)
    go.set()
    await eventually(lambda: calls == 30)
    assert most == 4


@pytest.mark.parametrize(
    "error", [ValueError("wrong"), StopIteration(), StopAsyncIteration(), asyncio.CancelledError()]
)
@pytest.mark.parametrize("concurrency", [1, 3])
async def test_what_a_handler_raises_is_logged_and_counted_and_the_next_event_comes(
    pair: Pair, caplog: pytest.LogCaptureFixture, error: BaseException, concurrency: int
) -> None:
    seen: list[Any] = []

    def handler(event: Event) -> None:
        seen.append(event.message)
        if event.message == 1:
            raise error

    await pair[1].subscribe("t", handler, concurrency=concurrency)
    await send(*pair, "t", 0, 1, 2)
    await eventually(lambda: seen == [0, 1, 2])
    await eventually(lambda: handler_errors(pair[1]) == 1)
    records = [record for record in caplog.records if "handler" in record.message]
    assert [record.levelno for record in records] == [logging.ERROR]
    assert "topic=t" in records[0].message
    assert records[0].exc_info is not None


async def test_an_async_handler_that_raises_does_not_end_the_subscription(pair: Pair) -> None:
    seen: list[Any] = []

    async def handler(event: Event) -> None:
        await asyncio.sleep(0)
        seen.append(event.message)
        raise RuntimeError("always")

    await pair[1].subscribe("t", handler)
    await send(*pair, "t", *range(5))
    await eventually(lambda: seen == list(range(5)))
    await eventually(lambda: handler_errors(pair[1]) == 5)


async def test_a_handler_that_raises_on_every_second_event_loses_none(pair: Pair) -> None:
    sender, receiver = pair
    seen: list[Any] = []

    async def handler(event: Event) -> None:
        await asyncio.sleep(0)
        seen.append(event.message)
        if event.message % 2:
            raise ValueError(event.message)

    subscription = await receiver.subscribe("t", handler)
    await send(sender, receiver, "t", *range(500))
    await eventually(lambda: len(seen) == 500)
    assert seen == list(range(500))
    await eventually(lambda: handler_errors(receiver) == 250)
    assert (subscription.stats.delivered, subscription.stats.dropped) == (500, 0)


async def test_a_handler_that_cancels_itself_does_not_end_the_subscription(pair: Pair) -> None:
    seen: list[Any] = []

    async def handler(event: Event) -> None:
        seen.append(event.message)
        if event.message == 1 and (task := asyncio.current_task()) is not None:
            task.cancel()
            await asyncio.sleep(60)

    await pair[1].subscribe("t", handler)
    await send(*pair, "t", 0, 1, 2)
    await eventually(lambda: seen == [0, 1, 2])


async def test_a_logger_that_raises_does_not_matter(pair: Pair) -> None:
    class Broken(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            raise OSError("disk full")

    seen: list[Any] = []

    def handler(event: Event) -> None:
        seen.append(event.message)
        raise ValueError("wrong")

    logger, broken = logging.getLogger("depinmesh"), Broken()
    logger.addHandler(broken)
    try:
        await pair[1].subscribe("t", handler)
        await send(*pair, "t", 1, 2)
        await eventually(lambda: seen == [1, 2])
    finally:
        logger.removeHandler(broken)


async def test_a_second_handler_is_refused_at_the_call(pair: Pair) -> None:
    one = pair[0]
    subscription = await one.subscribe("t", print)
    with pytest.raises(AlreadySubscribedError) as caught:
        _ = one.subscribe("t", print)
    assert caught.value.topic == "t"
    await subscription.close()
    await one.subscribe("t", print)


async def test_a_handler_that_comes_second_between_call_and_await_is_refused(pair: Pair) -> None:
    one = pair[0]
    first, second = one.subscribe("t", print), one.subscribe("t", print)
    await first
    with pytest.raises(AlreadySubscribedError):
        await second


async def test_what_is_no_function_is_refused_at_the_call(pair: Pair) -> None:
    with pytest.raises(TypeError):
        _ = pair[0].subscribe("t", "handler")  # type: ignore[arg-type]  # what is tested


async def test_a_handler_and_iterations_share_a_topic(pair: Pair) -> None:
    one, two = pair
    seen: list[Any] = []
    await two.subscribe("t", plain(seen))
    async with two.subscribe("t") as events:
        await send(one, two, "t", 1, 2)
        assert [(await events.get(15)).message for _ in range(2)] == [1, 2]
        await eventually(lambda: seen == [1, 2])


async def test_a_subscription_with_a_handler_is_not_iterated(pair: Pair) -> None:
    subscription = await pair[0].subscribe("t", print)
    with pytest.raises(SubscriptionError):
        await subscription.get(0)
    with pytest.raises(SubscriptionError):
        aiter(subscription)


async def test_a_handler_may_use_the_database(pair: Pair) -> None:
    one, two = pair

    async def echo(event: Event) -> None:
        await two.publish("answers", event.message + 1, min_peers=1, timeout=15)

    await two.subscribe("questions", echo)
    async with one.subscribe("answers") as answers:
        await send(one, two, "questions", 1, 41)
        assert [(await answers.get(15)).message for _ in range(2)] == [2, 42]


async def test_a_handler_runs_in_the_context_of_its_subscribe(pair: Pair) -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    seen: list[Any] = []
    variable.set("subscribed")
    await pair[1].subscribe("t", lambda event: seen.append((event.message, variable.get())))
    variable.set("later")
    await send(*pair, "t", 1)
    await eventually(lambda: seen == [(1, "subscribed")])


async def test_an_idle_handler_has_no_task(pair: Pair) -> None:
    seen: list[Any] = []
    await pair[1].subscribe("t", plain(seen))
    await send(*pair, "t", 1)
    await eventually(lambda: seen == [1])
    await eventually(lambda: other_tasks() == set())


async def test_partials_and_objects_are_handlers(pair: Pair) -> None:
    seen: list[Any] = []

    class Handler:
        async def __call__(self, event: Event) -> None:
            seen.append(("object", event.message))

    await pair[1].subscribe("a", Handler())
    await pair[1].subscribe("b", functools.partial(lambda name, event: seen.append((name, event.message)), "partial"))
    await send(*pair, "a", 1)
    await send(*pair, "b", 2)
    await eventually(lambda: sorted(seen) == [("object", 1), ("partial", 2)])


async def test_a_slow_handler_loses_only_its_own_events(pair: Pair) -> None:
    go = asyncio.Event()
    slow_seen: list[Any] = []
    quick_seen: list[Any] = []

    async def slow(event: Event) -> None:
        await go.wait()
        slow_seen.append(event.message)

    subscription = await pair[1].subscribe("slow", slow, queue_size=10)
    await pair[1].subscribe("quick", plain(quick_seen))
    await heard(*pair, "slow")
    await heard(*pair, "quick")
    for number in range(300):
        await pair[0].publish("slow", number)
        await pair[0].publish("quick", number)
    await eventually(lambda: len(quick_seen) == 300)
    await eventually(lambda: received(subscription) == 300)
    go.set()
    await eventually(lambda: subscription.stats.pending == 0)
    await eventually(lambda: len(slow_seen) == subscription.stats.delivered)
    assert subscription.stats.delivered + subscription.stats.dropped == 300
    assert subscription.stats.dropped > 0


def test_counts_of_errors_are_read_while_new_ones_come() -> None:
    errors = HandlerErrors(adapt(logging.Logger("quiet", logging.CRITICAL)))  # noqa: LOG001  # not of the process
    stop = threading.Event()
    raised: list[BaseException] = []

    def scrape() -> None:
        try:
            while not stop.is_set():
                errors.metrics()
        except RuntimeError as error:
            raised.append(error)

    event = SimpleNamespace(topic="", id="", from_peer="")
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        for number in range(3_000):
            event.topic = str(number)
            errors.report("db", cast("Event", event), ValueError())
    finally:
        stop.set()
        thread.join()
        sys.setswitchinterval(interval)
    assert raised == []
