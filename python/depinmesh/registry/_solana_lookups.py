"""Checks of single wallets, many in one call."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from depinmesh.identity import Wallet

_BATCH = 50  # with two accounts each, the hundred that one call may ask for
_GATHER = 0.005  # seconds in which checks come together


class Lookups:
    """Answers those who ask at about the same time, in one event loop, by one look-up."""

    def __init__(self, look_up: Callable[[list[Wallet]], Awaitable[dict[Wallet, bool]]]) -> None:
        self.users = 0
        """Who have entered the registry in this loop."""
        self._look_up = look_up
        self._waiting: dict[Wallet, asyncio.Future[bool]] = {}
        self._worker: asyncio.Task[None] | None = None

    async def check(self, wallet: Wallet) -> bool:
        """Say whether the wallet is listed; raises what the look-up raises."""
        answer = self._waiting.get(wallet)
        if answer is None:
            answer = self._waiting[wallet] = asyncio.get_running_loop().create_future()
            answer.add_done_callback(_heard)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await asyncio.shield(answer)

    async def close(self) -> None:
        """Stop."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.cancel()
            await asyncio.wait({worker})
        for answer in self._waiting.values():
            answer.cancel()
        self._waiting.clear()

    async def _work(self) -> None:
        while self._waiting:
            await asyncio.sleep(_GATHER)
            batch = {wallet: self._waiting.pop(wallet) for wallet in list(self._waiting)[:_BATCH]}
            try:
                verdicts = await self._look_up(list(batch))
            except asyncio.CancelledError:
                for answer in batch.values():
                    answer.cancel()
                raise
            except Exception as error:  # noqa: BLE001  # raised where the answers are awaited
                for answer in batch.values():
                    answer.set_exception(error)
            else:
                for wallet, answer in batch.items():
                    answer.set_result(verdicts[wallet])


def _heard(answer: asyncio.Future[bool]) -> None:
    """Whoever asked may have gone."""
    if not answer.cancelled():
        answer.exception()
