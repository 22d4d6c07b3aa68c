"""Closing once for all who ask for it, and waiting for the handlers under way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from depinmesh._handlers import own_call, own_calls, waits_of_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

# How long a handler may go on after it was cancelled.
_AFTER_CANCEL = 1.0


class Closing:
    """A close that all who call it share: the first call sets the time limit, and nobody's cancellation stops it.

    A handler may ask for it too. As it waits for the close, the close does not wait for it; nor does it for a handler
    that asks for another close, which waits for one that asks for this.
    """

    def __init__(self, work: Callable[[float], Coroutine[Any, Any, None]]) -> None:
        self._work = work
        self._task: asyncio.Task[None] | None = None
        self._excused: set[asyncio.Task[None]] = set()

    @property
    def has_begun(self) -> bool:
        """Whether somebody has asked for it."""
        return self._task is not None

    async def __call__(self, timeout: float) -> None:
        """Close, or wait for the close that is under way."""
        self._excused |= own_calls()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work(timeout))
        with waits_of_loop().noted(own_call.get(), {self}, of_close=True):
            await asyncio.shield(self._task)

    async def finish(self, calls: set[asyncio.Task[None]], timeout: float) -> int:
        """Let handler calls end by themselves, cancel those that take longer; return how many go on even so."""
        loop, waits = asyncio.get_running_loop(), waits_of_loop()
        until = loop.time() + timeout
        with waits.noted(self, calls, of_close=True):
            while left := waits.left(calls, {self}, of_close=True) - self._excused:
                seconds = until - loop.time()
                if seconds <= 0:
                    break
                await waits.change(left, seconds)
        for call in left:
            call.cancel()
        if left:
            await asyncio.wait(left, timeout=_AFTER_CANCEL)
        return sum(not call.done() for call in left)
