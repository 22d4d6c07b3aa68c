"""What is known of the accounts of a rule, from listings and notifications, each with its slot."""

from __future__ import annotations

import asyncio
from heapq import heapify, heappop, heappush
from time import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from solders.pubkey import Pubkey

    from depinmesh.registry._solana_rules import Entry


class _Known(NamedTuple):
    slot: int
    entry: Entry | None


class Ledger:
    """The entries by account. The higher slot wins, so that a late listing undoes no notification.

    Sums are kept, so that a notification costs the same however many accounts there are.
    """

    def __init__(self, minimum: int) -> None:
        self._minimum = minimum
        self._accounts: dict[Pubkey, _Known] = {}
        self._amounts: dict[bytes, int] = {}
        self._listed: dict[bytes, None] = {}
        self._untils: list[tuple[int, bytes, Pubkey]] = []  # a heap; the bytes decide between equal times
        self._slot = 0  # of the last listing

    async def replace(self, slot: int, entries: Mapping[Pubkey, Entry]) -> None:
        """Take a whole listing. What a notification of a later slot has said stays, unless the slots begin anew."""
        # In a thread, as it takes a while with many.
        new = await asyncio.to_thread(self._built, slot, entries)
        for address, known in self._accounts.items() if slot >= self._slot else ():
            if known.slot > slot:
                new.update(known.slot, address, known.entry)
        self._accounts, self._amounts = new._accounts, new._amounts
        self._listed, self._untils = new._listed, new._untils
        self._slot = slot

    def update(self, slot: int, address: Pubkey, entry: Entry | None) -> None:
        """Take a notification; `None`: the account lists nobody now."""
        known = self._accounts.get(address)
        if known is not None:
            if slot < known.slot:
                return
            self._count(known.entry, -1)
        self._accounts[address] = _Known(slot, entry)
        self._count(entry, 1)
        if entry is not None and entry.until is not None:
            heappush(self._untils, (entry.until, bytes(address), address))

    def wallets(self) -> dict[bytes, None]:
        """Return who is listed now."""
        self._expire(time())
        return dict(self._listed)

    def domains(self) -> list[tuple[bytes, str]]:
        """Return where listed wallets have their nodes."""
        listed = self.wallets()
        entries = [known.entry for known in self._accounts.values() if known.entry is not None]
        return [(entry.wallet, entry.domain) for entry in entries if entry.domain and entry.wallet in listed]

    def next_expiry(self) -> float | None:
        """Return when the next entry expires, in Unix time."""
        self._expire(time())
        return self._untils[0][0] if self._untils else None

    def _built(self, slot: int, entries: Mapping[Pubkey, Entry]) -> Ledger:
        new = Ledger(self._minimum)
        for address, entry in entries.items():
            new._accounts[address] = _Known(slot, entry)
            new._count(entry, 1)
            if entry.until is not None:
                new._untils.append((entry.until, bytes(address), address))
        heapify(new._untils)
        return new

    def _count(self, entry: Entry | None, sign: int) -> None:
        if entry is None:
            return
        amount = self._amounts.get(entry.wallet, 0) + sign * entry.amount
        if amount:
            self._amounts[entry.wallet] = amount
        else:
            self._amounts.pop(entry.wallet, None)
        if amount >= self._minimum:
            self._listed[entry.wallet] = None
        else:
            self._listed.pop(entry.wallet, None)

    def _expire(self, now: float) -> None:
        while self._untils and self._untils[0][0] <= now:
            until, _, address = heappop(self._untils)
            known = self._accounts.get(address)
            if known is not None and known.entry is not None and known.entry.until == until:
                self._accounts[address] = _Known(known.slot, None)
                self._count(known.entry, -1)


def amount_of(entries: Iterable[Entry]) -> int:
    """Return what the entries of one wallet amount to now."""
    now = time()
    return sum(entry.amount for entry in entries if entry.until is None or entry.until > now)
