"""Small helpers for tasks: time limits, ends and cancellations, and what must not be lost in them."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from depinmesh.errors import MeshTimeoutError, RegistryError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Iterator

_told_to_end: WeakSet[asyncio.Task[Any]] = WeakSet()


@asynccontextmanager
async def limit(seconds: float | None, what: str) -> AsyncIterator[None]:
    """Raise `MeshTimeoutError` when the block, which does `what`, takes longer than this. None: no limit."""
    try:
        async with asyncio.timeout(seconds) as scope:
            yield
    except TimeoutError:
        # A TimeoutError of the block's own passes as it is.
        if not scope.expired():
            raise
        raise MeshTimeoutError(f"{what} took longer than {seconds:g} s", timeout=seconds) from None


async def to_the_end(task: asyncio.Future[Any]) -> None:
    """Wait until the task is done, also when the waiting one is cancelled; that cancellation is raised then."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled


def is_cancelled() -> bool:
    """Whether the present task is being cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


@contextmanager
def foreign_cancellations_as_errors() -> Iterator[None]:
    """Raise `RegistryError` when not this task was cancelled, but something that a provider waits for in the block.

    Such as a call on a channel that somebody has closed: a `CancelledError` would end the task without a word.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        if is_cancelled():
            raise
        raise RegistryError("what it waited for was cancelled") from error


def cancel_once(task: asyncio.Task[Any]) -> None:
    """Cancel it, unless this was done before: a second time would break into what it does in order to end."""
    if task not in _told_to_end:
        _told_to_end.add(task)
        task.cancel()


async def end_all(tasks: Collection[asyncio.Task[Any]], patience: float) -> None:
    """Cancel these once, and wait until they have ended; after so many seconds again, and wait no longer."""
    if not tasks:
        return
    for task in tasks:
        cancel_once(task)
    _, late = await asyncio.wait(tasks, timeout=patience)
    for task in late:
        task.cancel()


def report_interruption(task: asyncio.Task[Any]) -> bool:
    """Show what ended a task that lets no `Exception` through; False: nothing did.

    KeyboardInterrupt and SystemExit have gone to the loop's caller already. Nothing else tells of other ones.
    """
    error = task.exception()
    if error is not None and not isinstance(error, KeyboardInterrupt | SystemExit):
        message = "a function given to depinmesh raised"
        task.get_loop().call_exception_handler({"message": message, "exception": error, "task": task})
    return error is not None
