"""The API in any order on real nodes, beside a model of what has to come of it."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from depinmesh import AlreadySubscribedError, ClosedError, Keypair, NotSubscribedError, connect
from depinmesh.registry import StaticRegistry
from tests.support import WAIT, eventually, fields_of, mute, other_tasks

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from datetime import datetime

    from depinmesh import Database, Event, Subscription

NODES = st.integers(0, 2)
"""Which of those that there are."""
TOPICS = st.sampled_from(["a", "b"])
numbers = count()


class Reader:
    """A subscription, by a handler or to be iterated over, and what it has had."""

    def __init__(self, *, handled: bool) -> None:
        self.handled = handled
        self.seen: list[int] = []
        self.subscription: Subscription | None = None

    def handler(self, event: Event) -> None:
        self.seen.append(event.message)

    async def read_up_to(self, message: int) -> None:
        """Wait for a message; gossip may bring earlier ones of the topic before it, to who came late."""
        assert self.subscription is not None
        if self.handled:
            await eventually(lambda: message in self.seen)
        while message not in self.seen:
            self.seen.append((await self.subscription.get(WAIT)).message)


class Member:
    """An open node."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.readers: dict[str, list[Reader]] = {"a": [], "b": []}


class AnyOrder(RuleBasedStateMachine):
    """Three wallets on one list; each has a node, or has none at the time."""

    delivered = 0
    """Of all runs: without any the model was not put to the test."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.keys = [Keypair.generate() for _ in range(3)]
        self.registry = StaticRegistry(key.wallet for key in self.keys)
        self.listed = {0, 1, 2}
        self.open: dict[int, Member] = {}
        self.closed: list[Database] = []
        self.published: dict[str, dict[int, int]] = {"a": {}, "b": {}}

    @initialize()
    def start_all(self) -> None:
        for node in range(3):
            self.start()
            self.subscribe(node, "a", handled=False)

    def teardown(self) -> None:
        self.runner.run(self._publish_all())  # whatever was done before
        while self.open:
            self.close(0)
        self.runner.run(self._nothing_left())
        self.runner.close()

    @precondition(lambda self: len(self.open) < 3)
    @rule()
    def start(self) -> None:
        node = min({0, 1, 2} - set(self.open))
        self.open[node] = Member(self.runner.run(self._connect(self.keys[node])))

    @precondition(lambda self: len(self.open) > 1)
    @rule(node=NODES)
    def close(self, node: int) -> None:
        member = self.open.pop(self._one_of_the_open(node))
        self.runner.run(member.db.close())
        self.closed.append(member.db)
        self.runner.run(self._parted(member.db))

    @precondition(lambda self: self.closed)
    @rule(topic=TOPICS)
    def use_a_closed_one(self, topic: str) -> None:
        db = self.closed[-1]
        for call in (db.publish(topic, 1), db.unsubscribe(topic), db.wait_ready(), _subscribe(db, topic)):
            with pytest.raises(ClosedError):
                self.runner.run(call)
        self.runner.run(db.close())

    @rule(node=NODES, topic=TOPICS, handled=st.booleans())
    def subscribe(self, node: int, topic: str, handled: bool) -> None:
        member = self.open[self._one_of_the_open(node)]
        readers = member.readers[topic]
        reader = Reader(handled=handled)
        taken = handled and any(other.handled for other in readers)
        subscribing = _subscribe(member.db, topic, reader.handler if handled else None)
        if taken:
            with pytest.raises(AlreadySubscribedError):
                self.runner.run(subscribing)
        else:
            reader.subscription = self.runner.run(subscribing)
            readers.append(reader)

    @rule(node=NODES, topic=TOPICS)
    def leave(self, node: int, topic: str) -> None:
        """One subscription ends."""
        member = self.open[self._one_of_the_open(node)]
        if member.readers[topic]:
            subscription = member.readers[topic].pop().subscription
            assert subscription is not None
            self.runner.run(subscription.close())

    @rule(node=NODES, topic=TOPICS)
    def unsubscribe(self, node: int, topic: str) -> None:
        """All of a topic end."""
        member = self.open[self._one_of_the_open(node)]
        if member.readers[topic]:
            self.runner.run(member.db.unsubscribe(topic))
            member.readers[topic].clear()
        else:
            with pytest.raises(NotSubscribedError):
                self.runner.run(member.db.unsubscribe(topic))

    @precondition(lambda self: len(self.listed) == 3)
    @rule(node=NODES)
    def revoke(self, node: int) -> None:
        self.listed.remove(node)
        self.registry.remove(self.keys[node].wallet)
        if node in self.open:
            self.runner.run(self._parted(self.open[node].db))

    @precondition(lambda self: len(self.listed) < 3)
    @rule()
    def list_again(self) -> None:
        self.listed = {0, 1, 2}
        self.registry.add(*(key.wallet for key in self.keys))

    @rule(node=NODES, topic=TOPICS)
    def publish(self, node: int, topic: str) -> None:
        self.runner.run(self._publish(self._one_of_the_open(node), topic))

    @rule(
        node=NODES,
        topic=TOPICS,
        turns=st.integers(0, 5),
        what=st.sampled_from(["get", "publish", "peers", "subscribe", "ready", "connect", "dial", "hang up"]),
    )
    def cancel(self, node: int, topic: str, turns: int, what: str) -> None:
        """A call that is given up after some turns of the loop has happened as a whole, or not at all."""
        one = self._one_of_the_open(node)
        member = self.open[one]
        calls: dict[str, Any] = {
            "get": lambda: _get_of_its_own(member.db, topic),
            "publish": lambda: member.db.publish(topic, -1, min_peers=99),
            "peers": lambda: member.db.wait_for_peers(topic, 99),
            "subscribe": lambda: _enter_and_leave(member.db, topic),
            "ready": member.db.node.wait_ready,
            "connect": self._connect_and_close,
            "dial": lambda: _dial_who_is_silent(member.db),
        }
        if what == "hang up":
            self.runner.run(self._hang_up_another(one, turns))
        else:
            self.runner.run(_cancelled(calls[what](), turns))

    @invariant()
    def the_topics_are_those_subscribed(self) -> None:
        for member in self.open.values():
            assert sorted(member.db.topics()) == [topic for topic, readers in member.readers.items() if readers]

    def _one_of_the_open(self, number: int) -> int:
        return sorted(self.open)[number % len(self.open)]

    async def _connect(self, key: Keypair) -> Database:
        known = [entry for member in self.open.values() for entry in member.db.node.bootstrap_entries()]
        return await connect(**{**fields_of(key, [], bootstrap_nodes=known), "authorized_wallets": self.registry})

    async def _connect_and_close(self) -> None:
        db = await self._connect(Keypair.generate())
        await db.close()

    async def _hang_up_another(self, node: int, turns: int) -> None:
        """Give up a hang-up, which is not taken back once it has begun: the other one comes back by itself."""
        one = self.open[node].db
        others = [other for other in sorted(self.open) if other != node and {node, other} <= self.listed]
        if not others:
            await _cancelled(one.node.hang_up(Keypair.generate().wallet), turns)
            return
        two = self.open[others[0]].db

        def since() -> list[datetime | None]:
            return [_connected_at(one, two), _connected_at(two, one)]

        await eventually(lambda: None not in since())
        before = since()
        await _cancelled(one.node.hang_up(two.node.wallet), turns)
        if turns:  # else it was given up before its first step

            def met_again() -> bool:
                return all(now not in (None, old) for now, old in zip(since(), before, strict=True))

            await eventually(met_again)  # both know: what is sent before that is sent to nobody

    async def _publish(self, node: int, topic: str) -> None:
        author = self.open[node]
        others = {
            other: member
            for other, member in self.open.items()
            if other != node and {node, other} <= self.listed and member.readers[topic]
        }
        expected = {self.keys[other].peer_id for other in others}
        await eventually(lambda: set(author.db.topic_peers(topic)) == expected)
        message = next(numbers)
        self.published[topic][message] = node
        event = await author.db.publish(topic, message)
        assert (event.wallet, event.message) == (self.keys[node].wallet, message)
        for other, member in self.open.items():
            for reader in member.readers[topic]:
                if other in others:
                    await reader.read_up_to(message)
                    AnyOrder.delivered += 1
                # At most once, of this topic, never one's own.
                assert len(set(reader.seen)) == len(reader.seen)
                assert all(self.published[topic][seen] != other for seen in reader.seen)

    async def _parted(self, db: Database) -> None:
        """Wait until a node and the others know that they are apart: what is sent before that is sent to nobody."""
        peer = db.node.peer_id
        others = [member.db.node for member in self.open.values() if member.db is not db]
        await eventually(lambda: peer not in [known.peer_id for other in others for known in other.peers()])
        if db not in self.closed:
            await eventually(lambda: not db.node.peers())

    async def _publish_all(self) -> None:
        for topic in self.published:
            for node in self.open:
                await self._publish(node, topic)

    async def _nothing_left(self) -> None:
        await eventually(lambda: not other_tasks())


async def _subscribe(db: Database, topic: str, handler: Any = None) -> Subscription:
    return await db.subscribe(topic, handler)


async def _get_of_its_own(db: Database, topic: str) -> None:
    async with db.subscribe(topic) as events:
        await events.get()


async def _enter_and_leave(db: Database, topic: str) -> None:
    async with db.subscribe(topic):
        pass


async def _dial_who_is_silent(db: Database) -> None:
    async with mute() as port:
        await db.node.dial(f"/ip4/127.0.0.1/tcp/{port}")


def _connected_at(db: Database, other: Database) -> datetime | None:
    return next((peer.connected_at for peer in db.peers() if peer.peer_id == other.node.peer_id), None)


async def _cancelled(call: Coroutine[Any, Any, Any], turns: int) -> None:
    task = asyncio.ensure_future(call)
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=WAIT)
    assert task.done()
    if not task.cancelled():
        task.result()


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(
    ("examples", "steps"), [(15, 25), pytest.param(200, 50, marks=pytest.mark.slow)], ids=["short", "long"]
)
def test_in_any_order_the_nodes_do_what_the_model_says(examples: int, steps: int) -> None:
    AnyOrder.delivered = 0
    run_state_machine_as_test(
        AnyOrder,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            # Networks have a time of their own: the same steps again are not the same run.
            phases=[Phase.generate],
            database=None,
        ),
    )
    print(f"{AnyOrder.delivered} deliveries")
    assert AnyOrder.delivered > 0
