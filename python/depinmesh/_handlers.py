"""Calling the user's handlers: in order, or several at once."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import logging
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from depinmesh._tasks import report_interruption
from depinmesh.status import Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from collections.abc import Set as AbstractSet

    from depinmesh.event import Event
    from depinmesh.logs import Adapter
    from depinmesh.subscription import Handler, Subscription

_AFTER_CANCEL = 0.1


@dataclass(slots=True, eq=False)
class _Call:
    """A call of a handler for one event. Its task may go on to the next event when it is over."""

    task: asyncio.Task[Any] | None
    is_over: bool = False


# The handler call that the present code belongs to. Tasks that a handler starts inherit it: they, too, may close what
# the call belongs to, and must not wait for it. When it is over, they belong to none.
own_call: contextvars.ContextVar[_Call | None] = contextvars.ContextVar("depinmesh_handler", default=None)


def own_calls() -> set[asyncio.Task[Any]]:
    """Return the task of the handler call that this code belongs to, if it belongs to one."""
    return _tasks_of(own_call.get())


def _tasks_of(call: _Call | None) -> set[asyncio.Task[Any]]:
    """Return the task of a call that is not over."""
    return {call.task} if call and call.task and not call.is_over else set()


@dataclass(slots=True, eq=False)
class _Wait:
    """A call waits for others or for a close, or a close waits for calls. In `whom` a call is its task."""

    who: object
    whom: AbstractSet[object]
    of_close: bool

    def waiting(self) -> set[object]:
        if isinstance(self.who, _Call):
            return {*_tasks_of(self.who)}
        return set() if self.who is None else {self.who}


class Waits:
    """Who waits for whose end, in one loop: nobody waits for those who wait for it, or they would for each other."""

    def __init__(self) -> None:
        self._waits: set[_Wait] = set()
        self._wakes: set[asyncio.Future[None]] = set()

    @contextmanager
    def noted(self, who: object, whom: AbstractSet[object], *, of_close: bool) -> Iterator[None]:
        """Note for the time of the block that a call, or a close, waits for these; all others look again."""
        wait = _Wait(who, whom, of_close)
        self._waits.add(wait)
        for wake in self._wakes:
            if not wake.done():
                wake.set_result(None)
        try:
            yield
        finally:
            self._waits.discard(wait)

    def left(
        self, calls: set[asyncio.Task[None]], ends: AbstractSet[object], *, of_close: bool
    ) -> set[asyncio.Task[None]]:
        """Return the calls that go on, without those that wait for one of these ends, be it through others.

        Args:
            calls: Those that are waited for.
            ends: Tasks of calls, or closes.
            of_close: Count only waits that have to do with a close. All others give way before a close does.
        """
        waits = [wait for wait in self._waits if wait.of_close or not of_close]
        behind: set[object] = set(ends)
        while more := {who for wait in waits if not behind.isdisjoint(wait.whom) for who in wait.waiting()} - behind:
            behind |= more
        return {call for call in calls if not call.done() and call not in behind}

    async def change(self, calls: AbstractSet[asyncio.Task[None]], seconds: float | None = None) -> None:
        """Wait until one of these calls has ended, or somebody else begins to wait, or the time is over."""
        wake = asyncio.get_running_loop().create_future()
        self._wakes.add(wake)
        try:
            await asyncio.wait({*calls, wake}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._wakes.discard(wake)


_waits: WeakKeyDictionary[asyncio.AbstractEventLoop, Waits] = WeakKeyDictionary()


def waits_of_loop() -> Waits:
    """Return those of the running loop."""
    return _waits.setdefault(asyncio.get_running_loop(), Waits())


async def ended(calls: set[asyncio.Task[None]]) -> None:
    """Wait until these handler calls have ended; not for the one that asks, nor for those that wait for its end."""
    waits, own = waits_of_loop(), own_call.get()
    with waits.noted(own, calls, of_close=False):
        while left := waits.left(calls, _tasks_of(own), of_close=False):
            await waits.change(left)


class HandlerErrors:
    """What handlers raised: logged, and counted by database and topic."""

    def __init__(self, log: Adapter) -> None:
        self._log = log
        self._counts: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()  # a scraper asks from a thread of its own

    def report(self, database: str, event: Event, error: BaseException) -> None:
        """Take what a handler raised for the event."""
        key = (database, event.topic)
        with self._lock:
            self._counts[key] = self._counts.get(key, 0) + 1
        fields = {"database": database, "topic": event.topic, "event_id": event.id, "peer_id": event.from_peer}
        self._log.log(logging.ERROR, "A handler raised", fields, error)

    def metrics(self) -> list[Metric]:
        """Return the counters."""
        with self._lock:
            counts = list(self._counts.items())
        return [
            Metric("handler_errors_total", "counter", count, {"database": database, "topic": topic})
            for (database, topic), count in counts
        ]


class HandlerRunner:
    """Calls a handler for the events of a subscription, at most `concurrency` calls at once.

    There are tasks only while there are events: an idle subscription costs none, and a node that nobody refers to any
    more leaves none behind.
    """

    def __init__(
        self,
        subscription: Subscription,
        handler: Handler,
        concurrency: int,
        all_calls: set[asyncio.Task[None]],
        on_error: Callable[[Event, BaseException], None],
    ) -> None:
        self._subscription = subscription
        self._handler = handler
        self._all_calls = all_calls
        self._on_error = on_error
        self._slots = asyncio.Semaphore(concurrency) if concurrency > 1 else None
        self._loop = asyncio.get_running_loop()
        # Calls in sequence share it: what a handler sets, it finds again at the next event.
        self._context = contextvars.copy_context()
        self._worker: asyncio.Task[None] | None = None
        self._is_stopped = False
        self.calls: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Take what is there, unless that is being done."""
        if self._is_stopped or (self._worker is not None and not self._worker.done()):
            return
        if self._slots is None:
            self._worker = self._call_task(self._in_sequence(), self._context)
        else:
            self._worker = self._task(self._at_once(self._slots), self._context)

    def stop(self) -> None:
        """Begin no further call."""
        self._is_stopped = True
        if self._slots is not None and self._worker is not None:
            # It only hands out events; the calls are tasks of their own.
            self._worker.cancel()

    def _task(self, coroutine: Coroutine[Any, Any, None], context: contextvars.Context) -> asyncio.Task[None]:
        task = self._loop.create_task(coroutine, context=context)
        task.add_done_callback(self._ended)
        return task

    def _call_task(self, coroutine: Coroutine[Any, Any, None], context: contextvars.Context) -> asyncio.Task[None]:
        task = self._task(coroutine, context)
        self.calls.add(task)
        self._all_calls.add(task)
        return task

    async def _in_sequence(self) -> None:
        batch = self._subscription._batch
        while await self._more():
            await self._call(batch.popleft())

    async def _at_once(self, slots: asyncio.Semaphore) -> None:
        batch = self._subscription._batch
        while await self._more():
            await slots.acquire()
            call = self._call_task(self._call(batch.popleft()), self._context.copy())
            call.add_done_callback(lambda _: slots.release())

    async def _more(self) -> bool:
        if self._is_stopped:
            return False
        return bool(self._subscription._batch) or await self._subscription._fill(wait=False)

    async def _call(self, event: Event) -> None:
        call = _Call(asyncio.current_task())
        own_call.set(call)
        try:
            result = self._handler(event)
            if result is not None and inspect.isawaitable(result):
                await result
        except asyncio.CancelledError as error:
            if call.task is not None and call.task.cancelling():
                raise
            # Not this call was cancelled, but something that the handler waited for.
            self._on_error(event, error)
        except Exception as error:  # noqa: BLE001  # the next event comes whatever the handler raised
            self._on_error(event, error)
        finally:
            call.is_over = True

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.calls.discard(task)
        self._all_calls.discard(task)
        if task.cancelled():
            # Not by us, as long as it is not stopped. Whoever cancels tasks of others is about to end the loop, and a
            # new one must not be in the way. Should the loop go on, so do the events.
            if not self._is_stopped:
                self._loop.call_later(_AFTER_CANCEL, self.start)
        elif report_interruption(task):
            self.start()
