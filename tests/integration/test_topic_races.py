"""C11: many tasks that publish on a topic for the first time, subscribe to it and leave it, all at once."""

from __future__ import annotations

import asyncio
import gc
import random
import weakref
from typing import TYPE_CHECKING

import pytest

from depinmesh import AlreadySubscribedError, NotSubscribedError
from tests.support import eventually, other_tasks

if TYPE_CHECKING:
    from depinmesh import Database, Event, Subscription

pytestmark = pytest.mark.timeout(90)

TASKS = 100


class Callers:
    """What tasks do to one topic, and what has to be the outcome: calls take effect in the order in which they end."""

    def __init__(self, db: Database, topic: str, choice: random.Random) -> None:
        self._db, self._topic, self._choice = db, topic, choice
        self.alive: list[Subscription] = []
        self.handled: Subscription | None = None
        self.refused: set[type[Exception]] = set()
        self.heard: list[object] = []

    async def any_call(self) -> None:
        """Make one call of any kind at any time."""
        for _ in range(self._choice.randrange(3)):
            await asyncio.sleep(0)
        calls = (self.publish, self.subscribe, self.handle, self.unsubscribe, self.close)
        await self._choice.choice(calls)()

    async def publish(self) -> None:
        await self._db.publish(self._topic, "first")

    async def subscribe(self) -> None:
        self.alive.append(await self._db.subscribe(self._topic))

    async def handle(self) -> None:
        try:
            self.handled = await self._db.subscribe(self._topic, self._hear)
        except AlreadySubscribedError as error:
            self.refused.add(type(error))
        else:
            self.alive.append(self.handled)

    async def unsubscribe(self) -> None:
        before = len(self.alive)
        self.alive.clear()  # it takes effect at once, and then waits for handlers
        try:
            await self._db.unsubscribe(self._topic)
        except NotSubscribedError as error:
            assert before == 0
            self.refused.add(type(error))

    async def close(self) -> None:
        if self.alive:
            await self.alive.pop(self._choice.randrange(len(self.alive))).close()

    def _hear(self, event: Event) -> None:
        self.heard.append(event.message)


async def race(db: Database, other: Database, topic: str, choice: random.Random) -> Callers:
    """Let tasks use the topic, check what it is in the end, and leave it."""
    callers = Callers(db, topic, choice)
    async with asyncio.TaskGroup() as group:
        for _ in range(TASKS):
            group.create_task(callers.any_call())

    # The node itself, and the other one over the network, agree with what the calls came to.
    assert db.topics() == ([topic] if callers.alive else [])
    known = [db.node.peer_id] if callers.alive else []
    async with db.subscribe(f"{topic}-end"):
        # What comes after all that the calls made it say: until then the other one may know of a state in between.
        await eventually(lambda: other.topic_peers(f"{topic}-end") == [db.node.peer_id])
        await eventually(lambda: other.topic_peers(topic) == known)
    if callers.alive:
        await other.publish(topic, "last")
        for subscription in callers.alive:
            if subscription is callers.handled:
                await eventually(lambda: callers.heard == ["last"])
            else:
                assert (await subscription.get(15)).message == "last"
        await db.unsubscribe(topic)
        await eventually(lambda: other.topic_peers(topic) == [])
    return callers


@pytest.mark.parametrize("rounds", [20, pytest.param(1_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
async def test_c11_a_topic_that_many_tasks_use_at_once_is_in_the_end_what_their_calls_made_it(
    pair: tuple[Database, Database], rounds: int
) -> None:
    db, other = pair
    tasks = other_tasks()
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    choice = random.Random(seed)
    refused: set[type[Exception]] = set()
    handles: weakref.WeakSet[Subscription] = weakref.WeakSet()
    heard = 0
    for number in range(rounds):
        callers = await race(db, other, f"t{number}", choice)
        refused |= callers.refused
        handles |= {*callers.alive}
        heard += len(callers.alive)
        del callers

    assert heard > 0
    assert refused == {AlreadySubscribedError, NotSubscribedError}
    # No handle, task or queue of them is left.
    assert db.topics() == []
    gc.collect()
    assert list(handles) == []
    assert other_tasks() == tasks
    gauges = {metric.name: metric.value for metric in db.node.metrics()}
    assert (gauges["topics"], gauges["queue_events"], gauges["queue_bytes"]) == (0, 0, 0)
