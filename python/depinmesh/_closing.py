"""Closing once for all who ask for it, and waiting for the handlers under way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from depinmesh._handlers import own_calls

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

# How long a handler may go on after it was cancelled.
_AFTER_CANCEL = 1.0


class Closing:
    """A close that all who call it share: the first call sets the time limit, and nobody's cancellation stops it.

    A handler may ask for it too. As it waits for the close, the close does not wait for it.
    """

    def __init__(self, work: Callable[[float], Coroutine[Any, Any, None]]) -> None:
        self._work = work
        self._task: asyncio.Task[None] | None = None
        self._excused: set[asyncio.Task[None]] = set()
        self._excuse_came: asyncio.Future[None] | None = None

    @property
    def has_begun(self) -> bool:
        """Whether somebody has asked for it."""
        return self._task is not None

    async def __call__(self, timeout: float) -> None:
        """Close, or wait for the close that is under way."""
        self._excused |= own_calls()
        if self._excuse_came is not None and not self._excuse_came.done():
            self._excuse_came.set_result(None)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work(timeout))
        await asyncio.shield(self._task)

    async def finish(self, calls: set[asyncio.Task[None]], timeout: float) -> int:
        """Let handler calls end by themselves, cancel those that take longer; return how many go on even so."""
        loop = asyncio.get_running_loop()
        until = loop.time() + timeout
        while left := {call for call in calls if not call.done()} - self._excused:
            seconds = until - loop.time()
            if seconds <= 0:
                break
            self._excuse_came = loop.create_future()
            await asyncio.wait({*left, self._excuse_came}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for call in left:
            call.cancel()
        if left:
            await asyncio.wait(left, timeout=_AFTER_CANCEL)
        return sum(not call.done() for call in left)
