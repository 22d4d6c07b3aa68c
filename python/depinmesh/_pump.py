"""The link between a node's core and its event loop: wakes, completions, and requests for the user's functions.

Everything from the core comes through one mailbox. The core wakes the loop once, through a descriptor; from then on the
pump owns the progress, as no further wake comes before it has found the mailbox empty.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import os
import threading
import weakref
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeAlias

from depinmesh._requests import Requests
from depinmesh.errors import ForkedProcessError, WrongLoopError, from_core

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Awaitable, Callable

    from depinmesh import _core
    from depinmesh.errors import MeshError

_Value: TypeAlias = str | None

# The loop's other tasks get their turn after so many batches of so many items, or after so many seconds.
_BATCH = 256
_BATCHES = 8
_TURN = 0.001
# How soon a waker thread notices that it is no longer needed.
_THREAD_CHECK = 0.1

_CLOSED: _core.Failure = ("Closed", "the node is closed", {})
_SILENT_END: _core.Failure = ("Core", "the core has ended without a word", {})


def needs_thread(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the loop cannot watch a descriptor, as the one of Windows cannot."""
    return type(loop).add_reader is asyncio.AbstractEventLoop.add_reader


class Pump:
    """Moves what the core has for Python onto the loop that started the node.

    Neither the loop nor the waker thread holds a pump: a node that nobody refers to any more is collected.
    """

    def __init__(
        self,
        core: _core.Node,
        *,
        context: contextvars.Context,
        on_wallets: Callable[[int, list[str]], Awaitable[tuple[list[str | bytes], float]]],
        on_bootstrap: Callable[[], Awaitable[list[list[str]]]],
        on_event: Callable[[str, dict[str, Any]], None],
        on_stopped: Callable[[MeshError | None], None],
    ) -> None:
        self._core = core
        self._on_wallets = on_wallets
        self._on_bootstrap = on_bootstrap
        self._on_event = on_event
        self._on_stopped = on_stopped
        self._loop = asyncio.get_running_loop()
        self._pid = os.getpid()
        self._wake_fd = core.wake_fd()
        self._operations = itertools.count(1)
        self._pending: dict[int, asyncio.Future[_Value]] = {}
        self._requests = Requests(context, core.answer_failed)
        self._watchers: dict[int, Callable[[], None]] = {}
        self._items: deque[_core.Item] = deque()
        self._turn_is_due = False
        self._started = False
        self._has_ended = False
        self._stopped = False
        self._ended: asyncio.Future[None] = self._loop.create_future()

    def start(self) -> None:
        """Begin to listen for wakes."""
        self._started = True
        if self._wake_fd >= 0:
            self._loop.add_reader(self._wake_fd, _on_readable, weakref.ref(self))
        else:
            threading.Thread(
                target=_wait_for_wakes,
                args=(self._core, self._loop, weakref.ref(self)),
                name="depinmesh-waker",
                daemon=True,
            ).start()
        # Whoever has looked and found nothing is woken; nobody has looked yet.
        self._turn()

    def check(self) -> None:
        """Raise unless the caller runs in the loop, and the process, that started the node."""
        try:
            if asyncio.get_running_loop() is self._loop:
                return
        except RuntimeError:
            pass
        if os.getpid() != self._pid:
            raise ForkedProcessError("a node cannot be used in a forked child of its process")
        raise WrongLoopError("this node belongs to the event loop that started it")

    @property
    def forked(self) -> bool:
        """Whether this is a child of the process that made the node: then the loop's descriptors are the parent's."""
        return os.getpid() != self._pid

    async def call(self, method: Callable[..., None], /, *args: Any) -> _Value:
        """Run an operation of the core, `method(op, *args)`, and return its value; cancelling cancels it there too."""
        self.check()
        if self._stopped:
            raise from_core(*_CLOSED)
        op = next(self._operations)
        future: asyncio.Future[_Value] = self._loop.create_future()
        self._pending[op] = future
        try:
            method(op, *args)
            return await future
        finally:
            if self._pending.pop(op, None) is not None and future.cancelled():
                self._core.cancel(op)

    def watch(self, subscription: int, callback: Callable[[], None]) -> None:
        """Call this whenever the subscription, found empty before, has something again."""
        self._watchers[subscription] = callback

    def unwatch(self, subscription: int) -> None:
        """Forget the callback of `watch`."""
        self._watchers.pop(subscription, None)

    def end_operations(self, failure: _core.Failure = _CLOSED) -> None:
        """Let every operation that is awaited fail."""
        pending, self._pending = self._pending, {}
        for future in pending.values():
            if not future.done():
                future.set_exception(from_core(*failure))

    async def ended(self) -> None:
        """Wait until the core has said its last word."""
        await asyncio.shield(self._ended)

    def stop(self) -> None:
        """Listen no longer, and end everything that waits. Again: nothing."""
        if self._stopped:
            return
        self._stopped = True
        if self._started and self._wake_fd >= 0:
            self._loop.remove_reader(self._wake_fd)
        self._items.clear()
        self._watchers.clear()
        self.end_operations()
        self._requests.cancel_all()
        if not self._ended.done():
            self._ended.set_result(None)

    def abandon(self) -> None:
        """Stop for a finaliser, which may run in any thread and at any moment."""
        if self._stopped or self.forked:
            return
        self._stopped = True
        self._core.abort()
        if self._started and self._wake_fd >= 0:
            # The core goes along: its descriptor must not be closed, and used again by others, while it is watched.
            with contextlib.suppress(RuntimeError):  # the loop was closed just now
                self._loop.call_soon_threadsafe(_unwatch, self._loop, self._wake_fd, self._core)

    def on_wake(self) -> None:
        """Handle what has come; for the reader and the waker thread."""
        # A forked child has a copy of the loop, which may run on to its end there, and watches the parent's descriptor.
        if self._stopped or self.forked:
            return
        if self._wake_fd >= 0:
            self._core.clear_wake()
        self._turn()

    @property
    def is_stopped(self) -> bool:
        """Whether wakes are no longer wanted."""
        return self._stopped

    def _turn(self) -> None:
        self._turn_is_due = False
        if self._stopped or self.forked:
            return
        more = True
        try:
            more = self._drain()
        finally:
            # Also when the handling of one item raised: the rest is still ours to handle.
            if more and not self._turn_is_due:
                self._turn_is_due = True
                self._loop.call_soon(self._turn)

    def _drain(self) -> bool:
        """Handle items for one turn; False when the mailbox is empty or at its end."""
        until = monotonic() + _TURN
        for _ in range(_BATCHES):
            if not self._items:
                taken = self._core.drain(_BATCH)
                if taken is None:
                    if not self._has_ended:
                        self._on_end(_SILENT_END)
                    self.stop()
                    return False
                if not taken:
                    return False
                self._items.extend(taken)
            while self._items:
                self._dispatch(self._items.popleft())
            if monotonic() >= until:
                break
        return True

    def _dispatch(self, item: _core.Item) -> None:
        if item[0] == "ready":
            self._watchers.get(item[1], _nobody)()
        elif item[0] == "done":
            if (future := self._awaited(item[1])) is not None:
                future.set_result(item[2])
        elif item[0] == "failed":
            if (future := self._awaited(item[1])) is not None:
                future.set_exception(from_core(*item[2]))
        elif item[0] == "event":
            self._on_event(item[1], item[2])
        elif item[0] == "wallets":
            question = functools.partial(self._on_wallets, item[2], item[3])
            self._requests.ask(item[1], question, self._answer_wallets)
        elif item[0] == "bootstrap":
            self._requests.ask(item[1], self._on_bootstrap, self._core.answer_bootstrap)
        elif item[0] == "cancel":
            self._requests.cancel(item[1])
        else:
            self._on_end(item[1])

    def _answer_wallets(self, request: int, answer: tuple[list[str | bytes], float]) -> bool:
        return self._core.answer_wallets(request, *answer)

    def _awaited(self, op: int) -> asyncio.Future[_Value] | None:
        future = self._pending.get(op)
        return None if future is None or future.done() else future

    def _on_end(self, failure: _core.Failure | None) -> None:
        self._has_ended = True
        self._on_stopped(None if failure is None else from_core(*failure))
        self.end_operations(failure or _CLOSED)


def _nobody() -> None:
    """Do nothing: the subscription was closed meanwhile."""


def _on_readable(pump: weakref.ref[Pump]) -> None:
    if (alive := pump()) is not None:
        alive.on_wake()


def _unwatch(loop: asyncio.AbstractEventLoop, descriptor: int, _core_to_keep: _core.Node) -> None:
    loop.remove_reader(descriptor)


def _wait_for_wakes(core: _core.Node, loop: asyncio.AbstractEventLoop, pump: weakref.ref[Pump]) -> None:
    while (alive := pump()) is not None and not alive.is_stopped:
        del alive  # while it waits, the thread must not keep the node
        if core.wait_wake(_THREAD_CHECK):
            try:
                loop.call_soon_threadsafe(_on_readable, pump)
            except RuntimeError:  # the loop is closed
                return
