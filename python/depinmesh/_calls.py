"""Running the user's registry and bootstrap functions: coroutine functions on the loop, plain ones in one thread."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import os
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

_Job: TypeAlias = "tuple[Callable[[], Any], contextvars.Context, asyncio.Future[Any]]"

_END = 0.25
_LOOK = 0.001


class Calls:
    """Calls functions of the user, whether plain or async.

    All plain ones share one thread, so that none starts before the one before it has returned, also when nobody waits
    for that one any more. It is a thread of ours and not of an executor, because a function that never returns must
    hold up neither the loop nor the end of the process. It serves every event loop.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._process = os.getpid()

    async def call(self, function: Callable[[], Any]) -> Any:
        """Call it in the present context and return what it gives; a plain one that is cancelled goes on, unheard."""
        if inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__):
            return await function()
        result = await self._in_thread(function)
        return await result if inspect.isawaitable(result) else result

    def stop(self) -> None:
        """End the thread as soon as its function returns. Safe in a finaliser."""
        self._jobs.put(None)

    async def ended(self) -> None:
        """Wait a moment for its end; not for a function that takes long, as nobody wants its answer any more."""
        loop, thread = asyncio.get_running_loop(), self._thread
        until = loop.time() + _END
        while thread is not None and thread.is_alive() and loop.time() < until:  # noqa: ASYNC110  # no loop is its own
            await asyncio.sleep(_LOOK)  # one that waits for work ends within microseconds

    async def _in_thread(self, function: Callable[[], Any]) -> Any:
        if self._process != os.getpid():  # a fork leaves threads behind, and locks as they were
            self._begin()
        with self._lock:
            if self._thread is None:
                thread = threading.Thread(target=_work, args=(self._jobs,), name="depinmesh-calls", daemon=True)
                thread.start()  # may fail, where there are too many: then the next call tries again
                self._thread = thread
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._jobs.put((function, contextvars.copy_context(), answer))
        return await answer


def _work(jobs: SimpleQueue[_Job | None]) -> None:
    while (job := jobs.get()) is not None:
        _run(*job)
        # What the function belongs to must not live as long as the thread waits.
        del job


def _run(function: Callable[[], Any], context: contextvars.Context, answer: asyncio.Future[Any]) -> None:
    if answer.cancelled():
        return
    try:
        result = context.run(function)
    except BaseException as error:  # noqa: BLE001  # it is raised where the answer is awaited
        _tell(answer, _fail, error)
    else:
        _tell(answer, _resolve, result)


def _tell(answer: asyncio.Future[Any], how: Callable[[asyncio.Future[Any], Any], None], value: object) -> None:
    # RuntimeError: the loop was closed meanwhile, nobody waits any more.
    with contextlib.suppress(RuntimeError):
        answer.get_loop().call_soon_threadsafe(how, answer, value)


def _resolve(answer: asyncio.Future[Any], result: Any) -> None:
    if not answer.done():
        answer.set_result(result)


def _fail(answer: asyncio.Future[Any], error: BaseException) -> None:
    if answer.done():
        return
    if isinstance(error, StopIteration):
        # A future does not take one: it would end the coroutine that awaits it.
        failure = RuntimeError("the function raised StopIteration")
        failure.__cause__ = error
        error = failure
    answer.set_exception(error)
