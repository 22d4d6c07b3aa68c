"""A registry that is asked about each wallet, made to answer with a list: of those that were found good."""

from __future__ import annotations

import asyncio
import contextlib
from itertools import zip_longest
from time import monotonic
from typing import TYPE_CHECKING

from depinmesh.errors import RegistryError
from depinmesh.identity import Wallet

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from depinmesh.options import Gate

# As many as the core lets wait for one read. Plain functions share a thread with all others of the node, which must not
# wait for many of them.
_AT_ONCE, _AT_ONCE_PLAIN = 64, 8
# Far more than a node has connections. Beyond it, those go who were checked the longest ago and are not connected.
_KNOWN = 4096
# Of the time that a read may take, so that what was answered in it counts.
_SHARE = 0.8


class Checks:
    """The wallets that were found good, each until a check says otherwise.

    A check that fails or does not end in time, while others succeed, leaves the wallet as it was: in, or out. When all
    do, the registry has failed; the node's own wallet is asked about in every read, at its end, so that one stranger
    whose check fails is not all of them. In a round those go first who wait and who are connected, by turns, then the
    others; of each those whose last check is the longest ago, so that rounds which are cut short reach everybody.
    """

    def __init__(
        self,
        check: Callable[[Wallet], Awaitable[object]],
        own: Wallet,
        gate: Gate,
        connected: Callable[[], set[str]],
        on_failures: Callable[[Wallet, Exception, int], None],
        *,
        plain: bool,
    ) -> None:
        self._check = check
        self._own = own
        self._gate = gate
        self._connected = connected
        self._on_failures = on_failures
        self._at_once = _AT_ONCE_PLAIN if plain else _AT_ONCE
        self._known: dict[Wallet, float] = {}
        """When each was found good."""
        self._next_round = 0.0
        self._demands = 0

    def demand(self) -> None:
        """Make the next read a round: somebody wants to know of everybody."""
        self._next_round = 0.0
        self._demands += 1

    async def read(self, waiting: Iterable[str]) -> list[str | bytes]:
        """Check those who wait, and, when it is time for that, those who were found good before."""
        began, demands = monotonic(), self._demands
        asked = list(map(Wallet._trusted, waiting))
        if is_round := not asked or began >= self._next_round:
            connected = self._connected()
            by_age = sorted((wallet for wallet in self._known if wallet != self._own), key=self._known.__getitem__)
            inside = [wallet for wallet in by_age if wallet in connected]
            # One of these, one of those: whoever has many knock must not keep others from being put out.
            asked = [wallet for pair in zip_longest(asked, inside) for wallet in pair if wallet is not None] + by_age
        await self._ask(dict.fromkeys([*asked, self._own]))
        if is_round:
            if demands == self._demands:  # or else the next one was demanded meanwhile
                self._next_round = monotonic() + self._gate.refresh_interval
            # Without a check for so long they are no longer known to be good; they are asked about when they knock.
            self._forget(wallet for wallet, at in self._known.items() if at < began - self._gate.max_stale)
        self._forget(sorted(self._known, key=self._known.__getitem__)[: max(0, len(self._known) - _KNOWN)])
        return list(self._known)

    async def _ask(self, wallets: Iterable[Wallet]) -> None:
        """Check them, as far as that comes in the time that there is."""
        left = dict.fromkeys(wallets)
        wanted, queue = len(left), iter(list(left))
        failures: list[tuple[Wallet, Exception]] = []
        limit = self._gate.timeout * _SHARE
        until = monotonic() + limit

        async def work() -> None:
            for wallet in queue:
                if monotonic() >= until:  # a check may make another error of its cancellation
                    return
                try:
                    good = _verdict(await self._check(wallet))
                except Exception as error:  # noqa: BLE001  # of the user's check
                    failures.append((wallet, error))
                    continue
                del left[wallet]
                if good:
                    self._known[wallet] = monotonic()
                else:
                    self._known.pop(wallet, None)

        with contextlib.suppress(TimeoutError):  # of the limit alone: `work` keeps those of the checks
            async with asyncio.timeout(limit), asyncio.TaskGroup() as group:
                for _ in range(min(self._at_once, wanted)):
                    group.create_task(work())
        if not left:
            return
        late = next(iter(left)), RegistryError(f"no answer within {limit:g} s")
        wallet, error = next(iter(failures), late)
        if len(left) == wanted:
            raise error
        self._on_failures(wallet, error, len(left))

    def _forget(self, wallets: Iterable[Wallet]) -> None:
        stay = {self._own, *self._connected()}
        for wallet in list(wallets):
            if wallet not in stay:
                del self._known[wallet]


def _verdict(answer: object) -> bool:
    if not isinstance(answer, bool):
        raise TypeError(f"a check answers with True or False, not with {type(answer).__name__}")
    return answer
