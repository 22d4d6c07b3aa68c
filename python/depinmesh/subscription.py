"""A subscription: the events of one topic, taken by iteration, by `get`, or by a handler."""

from __future__ import annotations

import asyncio
import copy
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeAlias

from depinmesh import _handlers
from depinmesh._arguments import time_limit
from depinmesh._tasks import limit
from depinmesh._turns import Turns
from depinmesh.errors import ClosedError, SubscriptionError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from depinmesh import _core
    from depinmesh._handlers import HandlerRunner
    from depinmesh._pump import Pump
    from depinmesh.errors import MeshError
    from depinmesh.event import Event

Handler: TypeAlias = "Callable[[Event], Awaitable[object] | object]"
"""What `subscribe` takes: a plain or an async function of one event. What it returns is not used."""


@dataclass(frozen=True, slots=True)
class SubscriptionStats:
    """Counters of one subscription: what was received is `delivered + dropped + pending`."""

    delivered: int
    """Events that the iteration, `get` or the handler has taken."""
    dropped: int
    """Events lost because the queue was full, or dropped at the close."""
    pending: int
    """Events that wait to be taken."""
    pending_bytes: int
    """Size of those that wait in the core."""


class Subscription:
    """The events of one topic, in the order of their arrival.

        async with db.subscribe("rooms") as events:
            async for event in events:
                print(event.wallet, event.message)

    It outlives loss and return of the network, and ends with `close`, `Database.unsubscribe`, or the close of the
    database; iteration then ends, and `get` raises `ClosedError`. Several tasks may take from one subscription: each
    event goes to one of them. Cancelling a wait loses no event.
    """

    def __init__(
        self, topic: str, core: _core.Subscription, pump: Pump, forget: Callable[[Subscription], None]
    ) -> None:
        self._topic = topic
        self._core = core
        self._pump = pump
        self._forget = forget
        self._batch: deque[Event] = deque()
        self._turns = Turns()
        self._waiters: set[asyncio.Future[None]] = set()
        self._runner: HandlerRunner | None = None
        self._dropped = 0
        self._is_closed = False
        self._failure: MeshError | None = None
        pump.watch(core.id, self._on_ready)

    @property
    def topic(self) -> str:
        """The name of the topic, without the database."""
        return self._topic

    @property
    def stats(self) -> SubscriptionStats:
        """The counters as they are now."""
        delivered, dropped, pending, pending_bytes = self._core.stats()
        # What stands in the batch has left the core, but nobody has it yet.
        here = len(self._batch)
        return SubscriptionStats(
            delivered=delivered - here - self._dropped,
            dropped=dropped + self._dropped,
            pending=pending + here,
            pending_bytes=pending_bytes,
        )

    def __aiter__(self) -> Self:
        """Return itself."""
        self._check_free()
        return self

    async def __anext__(self) -> Event:
        """Wait for the next event."""
        if not self._batch and not await self._fill():
            raise StopAsyncIteration
        return self._batch.popleft()

    async def get(self, timeout: float | None = None) -> Event:
        """Wait for the next event.

        Args:
            timeout: Seconds to wait at most; then `MeshTimeoutError`. 0 takes only what is there.

        Raises:
            ClosedError: The subscription has ended.
            ConfigError: `timeout` is no number of seconds.
        """
        self._check_free()
        time_limit(timeout)
        if not self._batch:
            try:
                async with limit(timeout, f"waiting for an event on {self._topic!r}"):
                    more = await self._fill()
            except TimeoutError:
                # It may have come while the loop had its turn.
                if not self._batch:
                    raise
            else:
                if not more:
                    raise ClosedError(f"the subscription of {self._topic!r} is closed")
        return self._batch.popleft()

    async def close(self) -> None:
        """End the subscription, and wait for its running handler unless called from it.

        Events that nobody has taken are dropped, and counted as such. Closing again does nothing but wait.
        """
        self._pump.check()
        self._stop()
        await _handlers.ended(self._running_calls())

    def __repr__(self) -> str:
        """Show topic and state."""
        return f"<Subscription {self._topic!r}{' closed' if self._is_closed else ''}>"

    async def _fill(self, *, wait: bool = True) -> bool:
        """Get events into the batch; False: the subscription has ended, or `wait` is off and there are none.

        What has been taken stands in the batch before this waits for anything, so that a cancelled wait loses nothing.
        """
        while not self._batch:
            if self._is_closed:
                # Why it ended is said to who waits; a handler's calls just end.
                return self._end_of_events() if wait else False
            self._pump.check()
            taken = self._core.take(self._turns.batch)
            if taken:
                self._batch.extend(taken)
                if self._turns.is_over():
                    await asyncio.sleep(0)
                    self._turns.begin()
            elif not wait:
                return False
            else:
                # Also at its end, which is not ours: whether the core has failed is about to be known.
                await self._ready()
                self._turns.begin()
        return True

    def _check_free(self) -> None:
        if self._runner is not None:
            raise SubscriptionError(f"its handler takes the events of {self._topic!r}", topic=self._topic)

    def _end_of_events(self) -> bool:
        if self._failure is not None:
            raise copy.copy(self._failure)  # each gets a traceback of its own
        return False

    async def _ready(self) -> None:
        """Wait until the core says that a subscription found empty has events again, or has ended."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def _on_ready(self) -> None:
        # All of them: one of those woken may just have been cancelled.
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
        if self._runner is not None:
            self._turns.begin()
            self._runner.start()

    def _handle_with(self, runner: HandlerRunner) -> None:
        """Let a handler take the events from now on."""
        self._runner = runner
        runner.start()

    def _running_calls(self) -> set[asyncio.Task[None]]:
        return set() if self._runner is None else self._runner.calls

    def _stop(self, failure: MeshError | None = None) -> None:
        """End it without waiting for the handler."""
        if self._is_closed:
            return
        self._is_closed = True
        self._failure = failure
        self._pump.unwatch(self._core.id)
        self._core.close()
        if failure is None or self._runner is not None:
            self._dropped += len(self._batch)
            self._batch.clear()
        # Otherwise the core has failed: what had arrived before can still be taken.
        self._forget(self)
        if self._runner is not None:
            self._runner.stop()
        self._on_ready()
