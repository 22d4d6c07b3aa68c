"""Handlers and the end of what they belong to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair, Node, connect
from tests.support import eventually, fields_of, heard, mesh_of, other_tasks, soon

if TYPE_CHECKING:
    from depinmesh import Database, Event

Pair = tuple["Database", "Database"]


async def send(sender: Database, receiver: Database, topic: str, *messages: Any) -> None:
    """Publish when the receiver is known to listen."""
    await heard(sender, receiver, topic)
    for message in messages:
        await sender.publish(topic, message)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interruption_in_a_handler_reaches_the_caller_of_the_loop(error: type[BaseException]) -> None:
    def handler(_: Event) -> None:
        raise error

    async def main() -> None:
        async with mesh_of(2) as (one, two):
            await two.subscribe("t", handler)
            await one.publish("t", 1, min_peers=1, timeout=15)
            await asyncio.sleep(15)

    with pytest.raises(error):
        asyncio.run(main())


async def test_unsubscribe_waits_for_the_running_handler(pair: Pair) -> None:
    one, two = pair
    started, finish, seen = asyncio.Event(), asyncio.Event(), []

    async def handler(event: Event) -> None:
        started.set()
        await finish.wait()
        seen.append(event.message)

    await two.subscribe("t", handler)
    await send(one, two, "t", 1, 2)
    await soon(started.wait())
    unsubscribing = asyncio.create_task(two.unsubscribe("t"))
    await eventually(lambda: two.topics() == [])
    assert not unsubscribing.done()
    finish.set()
    await soon(unsubscribing)
    assert seen == [1]  # and no further call
    await asyncio.sleep(0)
    assert seen == [1]


@pytest.mark.parametrize("way", ["subscription", "topic", "database", "node", "task"])
async def test_a_handler_may_end_what_it_belongs_to(way: str) -> None:
    async with mesh_of(2) as (one, two):
        done = asyncio.Event()

        async def handler(_: Event) -> None:
            if way == "subscription":
                await subscription.close()
            elif way == "topic":
                await two.unsubscribe("t")
            elif way == "database":
                await two.close()
            elif way == "node":
                await two.node.close()
            else:
                # In a task of its own, as `asyncio.wait_for` and task groups do it.
                await asyncio.create_task(two.close())
            done.set()

        subscription = await two.subscribe("t", handler)
        await one.publish("t", 1, min_peers=1, timeout=15)
        async with asyncio.timeout(5):  # far below the time limit of a close
            await done.wait()


@pytest.mark.parametrize("way", ["subscription", "topic", "node"])
async def test_a_call_that_is_over_excuses_no_later_one(way: str) -> None:
    """The task that it has started ends what they belong to; both calls run in one task."""
    async with mesh_of(2) as (one, two):
        started, finish, ends = asyncio.Event(), asyncio.Event(), list[asyncio.Task[None]]()

        async def end() -> None:
            await started.wait()
            if way == "subscription":
                await subscription.close()
            elif way == "topic":
                await two.unsubscribe("t")
            else:
                await two.close()

        async def handler(event: Event) -> None:
            if event.message == "stop":
                await eventually(lambda: subscription.stats.pending)  # it goes on with that one at once
                ends.append(asyncio.create_task(end()))
            else:
                started.set()
                await finish.wait()

        subscription = await two.subscribe("t", handler)
        await send(one, two, "t", "stop", "work")
        await soon(started.wait())
        await asyncio.wait(ends, timeout=0.5)
        assert [task.done() for task in ends] == [False]
        finish.set()
        await soon(ends[0])


async def test_a_call_that_is_over_keeps_no_later_one_from_being_cancelled() -> None:
    async with mesh_of(2) as (one, two):
        started, cancelled, ends = asyncio.Event(), asyncio.Event(), list[asyncio.Task[None]]()

        async def end() -> None:
            await started.wait()
            await two.close(timeout=0.2)

        async def handler(event: Event) -> None:
            if event.message == "stop":
                await eventually(lambda: subscription.stats.pending)
                ends.append(asyncio.create_task(end()))
                return
            started.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cancelled.set()
                raise

        subscription = await two.subscribe("t", handler)
        await send(one, two, "t", "stop", "work")
        await soon(started.wait())
        await soon(ends[0])
        assert cancelled.is_set()


async def test_a_call_that_is_over_while_its_task_waits_excuses_no_later_one(pair: Pair) -> None:
    """It has begun to wait for a handler while the call was running, and waits for it still."""
    one, two = pair
    holding, started, finish = asyncio.Event(), asyncio.Event(), asyncio.Event()
    ends: list[asyncio.Task[None]] = []

    async def held(_: Event) -> None:
        holding.set()
        await finish.wait()

    async def handler(event: Event) -> None:
        if event.message == "stop":
            await eventually(lambda: subscription.stats.pending)
            ends.append(asyncio.create_task(two.unsubscribe("held")))
            await eventually(lambda: "held" not in two.topics())
        else:
            started.set()
            await finish.wait()

    await two.subscribe("held", held)
    subscription = await two.subscribe("t", handler)
    await send(one, two, "held", 1)
    await soon(holding.wait())
    await send(one, two, "t", "stop", "work")
    await soon(started.wait())
    ends.append(asyncio.create_task(subscription.close()))
    await asyncio.wait(ends, timeout=0.3)
    assert [task.done() for task in ends] == [False, False]
    finish.set()
    for task in ends:
        await soon(task)


async def test_two_handlers_that_both_close_do_not_wait_for_each_other() -> None:
    async with mesh_of(2) as (one, two):
        both, done = asyncio.Barrier(2), []

        async def handler(event: Event) -> None:
            await both.wait()
            await two.close()
            done.append(event.topic)

        await two.subscribe("a", handler)
        await two.subscribe("b", handler)
        await send(one, two, "a", 1)
        await send(one, two, "b", 1)
        await eventually(lambda: sorted(done) == ["a", "b"], within=5)


@pytest.mark.parametrize("how", ["close", "unsubscribe"])
@pytest.mark.parametrize("topics", [["a", "a"], ["a", "b"]], ids=["one subscription", "each the other's"])
async def test_two_handlers_that_both_end_a_subscription_do_not_wait_for_each_other(
    pair: Pair, topics: list[str], how: str
) -> None:
    one, two = pair
    both, done = asyncio.Barrier(2), list[int]()

    async def handler(event: Event) -> None:
        await both.wait()
        other = topics[1 - event.message]
        if how == "close":
            await subscriptions[other].close()
        elif other in two.topics():
            await two.unsubscribe(other)
        done.append(event.message)

    subscriptions = {topic: await two.subscribe(topic, handler, concurrency=2) for topic in set(topics)}
    for number, topic in enumerate(topics):
        await send(one, two, topic, number)
    await eventually(lambda: sorted(done) == [0, 1], within=5)
    for subscription in subscriptions.values():
        await soon(subscription.close())


async def test_a_handler_that_waits_for_one_that_closes_keeps_the_close_from_nothing() -> None:
    async with mesh_of(2) as (one, two):
        both, done = asyncio.Barrier(2), list[str]()

        async def ends(event: Event) -> None:
            await both.wait()
            await two.unsubscribe("closes")
            done.append(event.topic)

        async def closes(event: Event) -> None:
            await both.wait()
            await eventually(lambda: "closes" not in two.topics())
            await two.close()
            done.append(event.topic)

        await two.subscribe("ends", ends)
        await two.subscribe("closes", closes)
        await send(one, two, "ends", 1)
        await send(one, two, "closes", 1)
        await eventually(lambda: sorted(done) == ["closes", "ends"], within=5)
        assert done[0] == "ends"  # which does not wait for the close: so the close waits for it


async def test_two_handlers_that_close_a_database_and_its_node_do_not_wait_for_each_other() -> None:
    keys = [Keypair.generate() for _ in range(2)]
    wallets = [key.wallet for key in keys]
    async with Node(**fields_of(keys[0], wallets)) as node:
        database = await node.database()
        closing, waiting, done = asyncio.Event(), asyncio.Event(), list[str]()

        async def of_database(event: Event) -> None:
            closing.set()
            await database.close()
            done.append(event.topic)

        async def of_node(event: Event) -> None:
            waiting.set()
            await closing.wait()
            await node.close()
            done.append(event.topic)

        await database.subscribe("database", of_database)
        await database.subscribe("node", of_node)
        async with connect(**fields_of(keys[1], wallets, bootstrap_nodes=node.bootstrap_entries())) as sender:
            await send(sender, database, "node", 1)
            await soon(waiting.wait())
            await send(sender, database, "database", 1)
            await eventually(lambda: sorted(done) == ["database", "node"], within=5)


async def test_unsubscribe_waits_for_a_handler_that_closes_something_else(pair: Pair) -> None:
    one, two = pair
    other_of_one, other_of_two = [await database.node.database("other") for database in pair]
    holding, finish, done = asyncio.Event(), asyncio.Event(), list[str]()

    async def held(_: Event) -> None:
        holding.set()
        await finish.wait()

    async def closes(event: Event) -> None:
        await other_of_two.close()
        done.append(event.topic)

    await other_of_two.subscribe("held", held)
    await two.subscribe("closes", closes)
    await send(other_of_one, other_of_two, "held", 1)
    await soon(holding.wait())
    await send(one, two, "closes", 1)
    await eventually(lambda: other_of_two.topics() == [])
    unsubscribing = asyncio.create_task(two.unsubscribe("closes"))
    await asyncio.wait({unsubscribing}, timeout=0.3)
    assert not unsubscribing.done()
    finish.set()
    await soon(unsubscribing)
    assert done == ["closes"]


async def test_close_lets_running_handlers_finish() -> None:
    async with mesh_of(2) as (one, two):
        started, finish, ends = asyncio.Event(), asyncio.Event(), []

        async def handler(_: Event) -> None:
            started.set()
            try:
                await finish.wait()
                ends.append("finished")
            except asyncio.CancelledError:
                ends.append("cancelled")
                raise

        await two.subscribe("t", handler)
        await one.publish("t", 1, min_peers=1, timeout=15)
        await soon(started.wait())
        closing = asyncio.create_task(two.close())
        await asyncio.sleep(0)
        finish.set()
        await soon(closing)
        assert ends == ["finished"]


async def test_close_cancels_handlers_when_its_time_is_over() -> None:
    async with mesh_of(2) as (one, two):
        ends: list[str] = []

        async def handler(event: Event) -> None:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                ends.append(event.topic)
                raise

        await two.subscribe("a", handler)
        await two.subscribe("b", handler, concurrency=2)
        await send(one, two, "a", 1)
        await send(one, two, "b", 1, 2)
        await eventually(lambda: len(other_tasks()) >= 3)
        async with asyncio.timeout(5):
            await two.close(timeout=0.2)
        assert sorted(ends) == ["a", "b", "b"]
