"""The last good list of a source that is one of several, or that is asked about single wallets."""

from __future__ import annotations

import asyncio
import logging
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING

from depinmesh.errors import IdentityError, RegistryError, without_secrets
from depinmesh.identity import Wallet
from depinmesh.registry._losses import Confirmation

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from depinmesh.registry.snapshot import Snapshot

_log = logging.getLogger("depinmesh.registry")

_CHUNK = 256  # entries between two turns of the loop: some milliseconds

# One read answers all checks that come while it runs, and so many seconds after it.
_FRESH = 1.0
# A read that takes longer leaves the checks to the last good list, while the gate still waits for them.
_PATIENCE = 4.0
# A read that hangs is given up, so that another one can begin.
_LIMIT = 30.0
# As `gate.max_stale` is by default: a check does not tell the gate how old the list is.
_OLDEST = 900.0


class Believed:
    """The last good list of a source, which is believed as the gate believes a registry, and stays while that fails."""

    def __init__(self, name: str, *, fixed: bool) -> None:
        """Know no list yet. The name stands in errors until a list has another one; what is fixed is read once."""
        self.list: dict[Wallet, None] | None = None
        self.taken_at: datetime | None = None
        self.source = name
        self._fixed = fixed
        self._confirmation = Confirmation()
        self._failed = self._given_up = False
        self._reading: asyncio.Task[None] | None = None
        self._reason: str | None = None
        self._began = self._ended = self._taken = float("-inf")

    async def read(self, wallets: Callable[[], Awaitable[Snapshot]]) -> str | None:
        """Read it; return why that failed."""
        if self._given_up:  # told only now: a node that is closed cancels its read as well
            self._fails(f"{self.source}: no answer")
        try:
            snapshot = await wallets()
            listed = await wallets_of(snapshot)
        except asyncio.CancelledError:
            self._given_up = True
            raise
        except Exception as error:  # noqa: BLE001  # of the source: the last good list stays
            return self._fails(without_secrets(f"{self.source}: {type(error).__name__}: {error}"))
        self._failed = self._given_up = False
        if self.list is None or self._confirmation.believes(self.list, listed):
            self._take(snapshot, listed)
        return None

    async def take(self, pushed: Snapshot) -> None:
        """Believe what was pushed."""
        self._take(pushed, await wallets_of(pushed))

    async def recent(self, wallets: Callable[[], Awaitable[Snapshot]]) -> dict[Wallet, None]:
        """Return the list for checks, as it was read a moment ago, or last while the source fails or hangs.

        Raises:
            RegistryError: It has never answered, or too long ago.
        """
        if self._fixed and self.list is not None:
            return self.list
        if self._reading is None or (self._reading.done() and monotonic() - self._ended > _FRESH):
            self._began = monotonic()
            self._reading = asyncio.create_task(self._read_for_all(wallets))
        left = None if self.list is None else max(0.0, self._began + _PATIENCE - monotonic())
        await asyncio.wait({self._reading}, timeout=left)  # which does not end with one of those who wait
        if self.list is None or monotonic() - self._taken > _OLDEST:
            raise RegistryError(self._reason or f"{self.source}: no list that is recent")
        return self.list

    async def close(self) -> None:
        """End the read for checks."""
        reading, self._reading = self._reading, None
        if reading is not None and not reading.done():
            reading.cancel()
            await asyncio.wait({reading})
        self._given_up = False

    async def _read_for_all(self, wallets: Callable[[], Awaitable[Snapshot]]) -> None:
        try:
            async with asyncio.timeout(_LIMIT):
                self._reason = await self.read(wallets)
        except TimeoutError:
            self._reason = f"{self.source}: no answer within {_LIMIT:g} s"
        self._ended = monotonic()

    def _fails(self, reason: str) -> str:
        if not self._failed and self.list is not None:
            _log.warning("A part of the registry fails, its last good list stays: %s", reason)
        self._failed = True
        return reason

    def _take(self, snapshot: Snapshot, listed: dict[Wallet, None]) -> None:
        self.list, self._taken = listed, monotonic() - snapshot.age
        self.taken_at = snapshot.taken_at
        self.source = snapshot.source or self.source


async def wallets_of(snapshot: Snapshot) -> dict[Wallet, None]:
    """Return what a list holds, without what is no wallet, and without holding the loop for long."""
    found: dict[Wallet, None] = {}
    entries = iter(tuple(snapshot.wallets))
    while chunk := tuple(islice(entries, _CHUNK)):
        for entry in chunk:
            try:
                found[entry if isinstance(entry, Wallet) else Wallet(entry)] = None
            except IdentityError:
                continue
        await asyncio.sleep(0)
    return found
