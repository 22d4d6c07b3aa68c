"""The life of providers: entered before they are first asked, left when the last who uses them is gone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any

from depinmesh._tasks import foreign_cancellations_as_errors
from depinmesh.errors import RegistryError

if TYPE_CHECKING:
    import contextvars

    from depinmesh.logs.adapters import Adapter

# How long a provider may take to end before it is cancelled.
_GOODBYE = 2.0


class Lives:
    """Providers that are open. Each lives in one task of its own, as what it opens may have to be closed there."""

    def __init__(self, context: contextvars.Context, log: Adapter) -> None:
        self._context = context
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._open: dict[int, _Life] = {}

    async def enter(self, provider: object) -> None:
        """Make sure that it is open. What its `__aenter__` raises is raised here; the next call tries again."""
        if not hasattr(type(provider), "__aenter__"):
            return
        while (life := self._open.get(id(provider))) is not None and life.leaving.is_set() and life.task is not None:
            await asyncio.wait([life.task])  # it cannot be entered again sooner
        if life is None:
            life = self._open[id(provider)] = _Life(self._loop.create_future(), asyncio.Event())
            life.task = self._loop.create_task(self._live(provider, life), context=self._context.copy())
        await asyncio.shield(life.entered)

    async def leave(self, provider: object) -> None:
        """Close it, if it is open."""
        if (life := self._open.get(id(provider))) is not None:
            await _end(life)

    async def close(self) -> None:
        """Close all."""
        await asyncio.gather(*map(_end, list(self._open.values())))

    def abandon(self) -> None:
        """Cancel all, from any thread."""
        for life in list(self._open.values()):
            if life.task is not None:
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    self._loop.call_soon_threadsafe(life.task.cancel)

    async def _live(self, provider: Any, life: _Life) -> None:
        try:
            with foreign_cancellations_as_errors():
                async with provider:
                    if not life.entered.done():
                        life.entered.set_result(None)
                    await life.leaving.wait()
        except Exception as error:  # noqa: BLE001  # of the provider: told to who waits, or logged
            if life.entered.done():
                self._log.log(logging.WARNING, "A registry failed while it was closed", {}, error)
            else:
                _fail(life.entered, error)
        finally:
            if not life.entered.done():
                _fail(life.entered, RegistryError("it was left before it was entered"))
            del self._open[id(provider)]


class _Life:
    def __init__(self, entered: asyncio.Future[None], leaving: asyncio.Event) -> None:
        self.entered = entered
        self.leaving = leaving
        self.task: asyncio.Task[None] | None = None


def _fail(entered: asyncio.Future[None], error: Exception) -> None:
    entered.set_exception(error)
    entered.exception()  # whether or not anybody still waits


async def _end(life: _Life) -> None:
    life.leaving.set()
    if life.task is not None:
        if not life.entered.done():
            life.task.cancel()
        await asyncio.wait([life.task], timeout=_GOODBYE)
        if life.task.cancel():
            await asyncio.wait([life.task], timeout=_GOODBYE)
