"""A registry that is asked about each wallet, made to answer with a list: of those that were found good."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from depinmesh.identity import Wallet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

_AT_ONCE = 8
# Far more than a node has connections. Beyond it, those go first who are not connected.
_KNOWN = 4096


class Checks:
    """The wallets that were found good, each until a check says otherwise.

    A check that fails while others succeed leaves the wallet as it was: in, or out. When all fail, the registry does.
    """

    def __init__(
        self,
        check: Callable[[Wallet], Awaitable[object]],
        own: Wallet,
        refresh_interval: float,
        connected: Callable[[], set[str]],
        on_failure: Callable[[Wallet, Exception], None],
    ) -> None:
        self._check = check
        self._own = own
        self._refresh_interval = refresh_interval
        self._connected = connected
        self._on_failure = on_failure
        self._known: dict[Wallet, None] = {}
        self._next_round = 0.0

    async def read(self, waiting: Iterable[str]) -> list[str | bytes]:
        """Check those who wait, and, when it is time for that, all who were found good before."""
        asked = dict.fromkeys(Wallet._trusted(text) for text in waiting)
        is_round = not asked or monotonic() >= self._next_round
        if is_round:
            asked = {self._own: None, **self._known, **asked}
        verdicts = await self._verdicts(list(asked))
        if is_round:
            self._next_round = monotonic() + self._refresh_interval
        for wallet, good in verdicts.items():
            if good:
                self._known[wallet] = None
            else:
                self._known.pop(wallet, None)
        self._forget()
        return list(self._known)

    async def _verdicts(self, wallets: list[Wallet]) -> dict[Wallet, bool]:
        limit = asyncio.Semaphore(_AT_ONCE)

        async def verdict(wallet: Wallet) -> bool:
            async with limit:
                good = await self._check(wallet)
            if not isinstance(good, bool):
                raise TypeError(f"a check answers with True or False, not with {type(good).__name__}")
            return good

        answers = await asyncio.gather(*map(verdict, wallets), return_exceptions=True)
        verdicts: dict[Wallet, bool] = {}
        failures: dict[Wallet, Exception] = {}
        for wallet, answer in zip(wallets, answers, strict=True):
            if isinstance(answer, bool):
                verdicts[wallet] = answer
            elif isinstance(answer, Exception):
                failures[wallet] = answer
            else:
                raise answer
        if failures and not verdicts:
            raise next(iter(failures.values()))
        for wallet, failure in failures.items():
            self._on_failure(wallet, failure)
        return verdicts

    def _forget(self) -> None:
        if (surplus := len(self._known) - _KNOWN) > 0:
            connected = self._connected()
            for wallet in sorted(self._known, key=connected.__contains__)[:surplus]:
                del self._known[wallet]
