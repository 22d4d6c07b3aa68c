"""A provider that several use at once: entered for the first of them, left after the last."""

from __future__ import annotations

import asyncio
from typing import Any

from depinmesh._tasks import foreign_cancellations_as_errors
from depinmesh.errors import RegistryError


class Life:
    """One life of a provider, in a task of its own: what it opens may have to be closed in the same one."""

    def __init__(self, provider: Any, before: Life | None) -> None:
        """Begin to enter it, once its life before has ended."""
        self._entered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._leaving = asyncio.Event()
        self._task = asyncio.create_task(self._live(provider, before))
        # What entering it raises is no news to asyncio, also when nobody waits for it any more.
        self._task.add_done_callback(lambda task: task.cancelled() or task.exception())

    @property
    def over(self) -> bool:
        """Whether it has ended, or came to nothing."""
        return self._task.done()

    async def entered(self) -> None:
        """Wait until it is entered; raises what that raises. Who waits no longer does not stop it."""
        await asyncio.wait({self._task, self._entered}, return_when=asyncio.FIRST_COMPLETED)
        if not self._entered.done():
            if self._task.cancelled():  # which is not the cancellation of who waits
                raise RegistryError("it was left before it was entered")
            await self._task

    async def end(self) -> None:
        """Leave it; raises what that raises."""
        if self._entered.done():
            self._leaving.set()
            await self._task
        else:  # who waited for it was told, or is gone
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _live(self, provider: Any, before: Life | None) -> None:
        if before is not None and not before._task.done():
            await asyncio.wait({before._task})
        with foreign_cancellations_as_errors():
            async with provider:
                self._entered.set_result(None)
                await self._leaving.wait()
