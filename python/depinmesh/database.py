"""A database: one namespace of topics on a node."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from time import monotonic
from typing import TYPE_CHECKING

from depinmesh import _core
from depinmesh._arguments import check_handler, count, overflow_policy, positive, seconds, time_limit
from depinmesh._closing import Closing
from depinmesh._handlers import HandlerRunner, ended
from depinmesh._opening import Subscribing
from depinmesh._tasks import limit
from depinmesh.errors import (
    AlreadySubscribedError,
    BackpressureError,
    ClosedError,
    MeshError,
    NotSubscribedError,
)
from depinmesh.events import Peer
from depinmesh.identity import PeerId
from depinmesh.status import DatabaseStatus
from depinmesh.subscription import Subscription

if TYPE_CHECKING:
    from depinmesh._arguments import Overflow
    from depinmesh._session import Session
    from depinmesh.event import Event
    from depinmesh.node import Node
    from depinmesh.subscription import Handler


_TURN = 0.001
"""Seconds that publishing may take before the other tasks of the loop have their turn."""


class Database:
    """Publishes and subscribes under one name, among the nodes on one list of wallets.

    Made by `connect` and `Node.database`. Its coroutines belong to the event loop that started the node;
    `publish_nowait` may be called from any thread.
    """

    def __init__(self, node: Node, session: Session, id: int, name: str, *, owns_node: bool) -> None:  # noqa: A002
        self._node = node
        self._core = session.core
        self._pump = session.pump
        self._detach = session.detach
        self._id = id
        self._name = name
        self._owns_node = owns_node
        self._subscriptions: dict[str, list[Subscription]] = {}
        self._calls: set[asyncio.Task[None]] = set()  # of handlers, also of subscriptions that have ended
        self._is_closed = False
        self._closing = Closing(self._close)
        self._turn = monotonic()  # when the others last had theirs

    @property
    def name(self) -> str:
        """The name of the database."""
        return self._name

    @property
    def node(self) -> Node:
        """The node that carries it."""
        return self._node

    @property
    def is_ready(self) -> bool:
        """Whether a peer of this database's list is connected."""
        return not self._is_closed and self._core.is_ready(self._id)

    async def publish(self, topic: str, message: object, *, min_peers: int = 0, timeout: float | None = None) -> Event:
        """Send a message to all who subscribe to the topic, and return the event that was sent.

        It returns when the event stands in the queue to the network, and waits only while that is full, or for the
        other tasks of the loop, once in a millisecond. Delivery is best effort, as gossip is. A publish that is
        cancelled has sent the message whole or not at all.

        Args:
            topic: Name of the topic, 1 to 512 bytes of UTF-8 without control characters.
            message: What JSON can say: None, bool, int, finite float, str, list, tuple, dict with str keys.
            min_peers: Wait first until so many listed peers subscribe to the topic.
            timeout: Seconds that all waiting may take; then `MeshTimeoutError`, and nothing was sent.

        Raises:
            ConfigError: `timeout` is no number of seconds, or `min_peers` is no number of peers.
            TopicError: The name cannot be used.
            EncodeError: The message is not JSON; its `path` says where.
            MessageTooLargeError: The event would be larger than the wire or the configuration allows.
        """
        self._pump.check()
        time_limit(timeout)
        count("min_peers", min_peers)
        # Without this whoever publishes in a loop, and is slower than the network, lets nothing else run.
        # Before anything is sent, so that who is cancelled here has sent nothing.
        if monotonic() - self._turn >= _TURN:
            await asyncio.sleep(0)
            self._turn = monotonic()
        if min_peers == 0:
            try:
                return self.publish_nowait(topic, message)
            except BackpressureError:
                pass
        else:
            self._check()
            # What can never be sent is refused before any waiting.
            self._core.check_size(self._id, topic, len(_core.encode_json(message)))
        async with limit(timeout, f"publishing on {topic!r}"):
            if min_peers > 0:
                await self._wait_for_peers(topic, min_peers)
            else:
                await self._wait_for_room(topic)
            while True:
                try:
                    return self.publish_nowait(topic, message)
                except BackpressureError:
                    await self._wait_for_room(topic)

    def publish_nowait(self, topic: str, message: object) -> Event:
        """Do as `publish`, but raise `BackpressureError` instead of waiting. May be called from any thread."""
        if self._is_closed:
            self._check()
        return self._core.publish(self._id, topic, message)

    def subscribe(
        self,
        topic: str,
        handler: Handler | None = None,
        *,
        concurrency: int = 1,
        queue_size: int | None = None,
        queue_bytes: int | None = None,
        overflow: Overflow | None = None,
    ) -> Subscribing[Subscription]:
        """Receive the events that others publish on a topic, by iteration or by a handler.

            async with db.subscribe("rooms") as events:
                async for event in events: ...

            await db.subscribe("rooms", handler)

        The arguments are checked at the call; it begins when it is awaited or entered. A topic can have any number
        of subscriptions, each with a queue of its own, but one handler. A node does not get its own events.

        Args:
            topic: Name of the topic, 1 to 512 bytes of UTF-8 without control characters.
            handler: A plain or an async function of one event, called on the event loop in the order of arrival. What
                it raises is logged and counted, and the next event comes.
            concurrency: How many calls of the handler may run at the same time; above 1 the order is lost.
            queue_size: How many events may wait; by default `pubsub.queue_size` of the configuration.
            queue_bytes: How many bytes of events may wait; by default `pubsub.queue_bytes`. An event that is larger
                is dropped, and counted.
            overflow: Which events a full queue drops; by default `pubsub.overflow`.

        Raises:
            TopicError: The name cannot be used, or this node has the most topics that others take of it: 20,000, and
                a million bytes of names (docs/wire.md section 4).
            AlreadySubscribedError: The topic has a handler.
        """
        self._pump.check()
        self._check()
        # Nothing but the core knows which names are usable; this asks it without any effect.
        self._core.has_topic_peers(self._id, topic, 0)
        check_handler(handler, concurrency)
        if handler is not None:
            self._check_no_handler(topic)
        options = self._node._config.pubsub
        queue = (
            positive("queue_size", options.queue_size if queue_size is None else queue_size),
            positive("queue_bytes", options.queue_bytes if queue_bytes is None else queue_bytes),
            overflow_policy(options.overflow if overflow is None else overflow),
        )
        return Subscribing(
            functools.partial(self._subscribe, topic, handler, concurrency, queue), f"Database.subscribe({topic!r})"
        )

    async def unsubscribe(self, topic: str) -> None:
        """End all subscriptions of the topic, and wait for running handlers unless called from one.

        Raises:
            NotSubscribedError: There is none.
        """
        self._pump.check()
        self._check()
        subscriptions = self._subscriptions.get(topic)
        if not subscriptions:
            raise NotSubscribedError(f"there is no subscription of {topic!r}", topic=topic)
        running: set[asyncio.Task[None]] = set()
        for subscription in list(subscriptions):
            subscription._stop()
            running |= subscription._running_calls()
        await ended(running)

    def topics(self) -> list[str]:
        """Return the topics that are subscribed here."""
        return sorted(self._subscriptions)

    def topic_peers(self, topic: str) -> list[PeerId]:
        """Return the connected peers that subscribe to the topic."""
        self._check()
        return [PeerId._trusted(text) for text in self._core.topic_peers(self._id, topic)]

    async def wait_for_peers(self, topic: str, n: int = 1, timeout: float | None = None) -> None:
        """Wait until `n` peers or more subscribe to the topic; after `timeout` seconds `MeshTimeoutError`.

        Raises:
            ConfigError: `n` is no number of peers, or `timeout` no number of seconds.
        """
        self._pump.check()
        count("n", n)
        time_limit(timeout)
        async with limit(timeout, f"waiting for {n} peers on {topic!r}"):
            await self._wait_for_peers(topic, n)

    def peers(self) -> list[Peer]:
        """Return the connected peers that are on this database's list."""
        self._check()
        return [Peer._from_row(row) for row in self._core.peers(self._id)]

    async def wait_ready(self, timeout: float | None = None) -> None:
        """Wait until a peer of this database's list is connected; after `timeout` seconds `MeshTimeoutError`."""
        self._pump.check()
        self._check()
        time_limit(timeout)
        if not self._core.is_ready(self._id):
            async with limit(timeout, f"waiting for a peer of the database {self._name!r}"):
                await self._pump.call(self._core.wait_ready, self._id)

    async def close(self, *, timeout: float = 10.0) -> None:
        """End all subscriptions, and close the node too when `connect` made it. Again it does nothing.

        It raises nothing but `ConfigError`, where `timeout` is no number of seconds. Events that were published are
        sent. Handlers that run may finish until `timeout` seconds have passed, then they are cancelled; a handler that
        calls this is not waited for. Events not yet taken are dropped, and counted.
        """
        timeout = seconds("timeout", timeout)
        if self._owns_node:
            await self._node.close(timeout=timeout)
            return
        if not self._is_closed:
            self._pump.check()
            self._end()
        elif not self._closing.has_begun:
            return  # with the node
        await self._closing(timeout)

    def __repr__(self) -> str:
        """Show name and state."""
        return f"<Database {self._name!r}{' closed' if self._is_closed else ''}>"

    def _status(self) -> DatabaseStatus:
        return DatabaseStatus(
            name=self._name,
            is_ready=self.is_ready,
            peers=len(self._core.peers(self._id)),
            topics=tuple(self.topics()),
        )

    async def _close(self, timeout: float) -> None:
        # Its peers may be put out with it: what was published goes out before.
        with contextlib.suppress(MeshError):
            await self._pump.call(self._core.wait_sent, self._id)
        await self._detach(self._id)
        self._node._report_left(await self._closing.finish(self._calls, timeout))
        self._node._forget(self)

    def _end(self, failure: MeshError | None = None) -> None:
        """Refuse calls from now on, and end the subscriptions."""
        self._is_closed = True
        for subscriptions in list(self._subscriptions.values()):
            for subscription in list(subscriptions):
                subscription._stop(failure)

    def _check(self) -> None:
        self._node._running()
        if self._is_closed:
            raise ClosedError(f"the database {self._name!r} is closed")

    def _check_no_handler(self, topic: str) -> None:
        if any(subscription._runner is not None for subscription in self._subscriptions.get(topic, ())):
            raise AlreadySubscribedError(f"there is a handler of {topic!r}", topic=topic)

    async def _subscribe(
        self, topic: str, handler: Handler | None, concurrency: int, queue: tuple[int, int, Overflow]
    ) -> Subscription:
        self._pump.check()
        self._check()
        if handler is not None:
            self._check_no_handler(topic)
        subscription = Subscription(topic, self._core.subscribe(self._id, topic, *queue), self._pump, self._forget)
        self._subscriptions.setdefault(topic, []).append(subscription)
        if handler is not None:
            on_error = functools.partial(self._node._handler_errors.report, self._name)
            runner = HandlerRunner(subscription, handler, concurrency, self._calls, on_error)
            subscription._handle_with(runner)
        return subscription

    def _forget(self, subscription: Subscription) -> None:
        subscriptions = self._subscriptions[subscription.topic]
        subscriptions.remove(subscription)
        if not subscriptions:
            del self._subscriptions[subscription.topic]

    async def _wait_for_room(self, topic: str) -> None:
        await self._pump.call(self._core.wait_writable, self._id, topic)

    async def _wait_for_peers(self, topic: str, n: int) -> None:
        self._check()
        if not self._core.has_topic_peers(self._id, topic, n):
            await self._pump.call(self._core.wait_for_peers, self._id, topic, n)
