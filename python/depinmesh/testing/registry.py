"""A registry that does as a test tells it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, cast

from depinmesh.identity import Wallet

if TYPE_CHECKING:
    from collections.abc import Iterable

    from depinmesh.identity import WalletLike


class MockRegistry:
    """A registry function to give as `authorized_wallets`, of one node or of many.

        registry = MockRegistry([ada.wallet])
        async with connect(private_key=ada, authorized_wallets=registry) as db:
            registry.add(bob.wallet)
            await db.node.gate.refresh()

    Nodes see a change when they next read the registry: at `node.gate.refresh()`, every `gate.refresh_interval`, or
    when a wallet that they do not know knocks. As with any registry, an answer that is empty, or keeps fewer than half
    of four or more wallets, has to be read twice before it counts; nodes do that by themselves, two seconds later.

    Its methods are plain and may be called from any thread.
    """

    def __init__(self, wallets: Iterable[WalletLike] = ()) -> None:
        self._lock = threading.Lock()
        self._wallets = list(wallets)
        self._calls = 0
        self._error: BaseException | None = None
        self._seconds = 0.0
        self._hangs = False
        self._hanging: set[asyncio.Future[None]] = set()

    @property
    def wallets(self) -> list[WalletLike]:
        """What it answers, as it was given."""
        with self._lock:
            return list(self._wallets)

    @property
    def calls(self) -> int:
        """How often it was asked."""
        return self._calls

    def add(self, *wallets: WalletLike) -> None:
        """List these wallets too; one that is listed stays so once, as text, bytes or whatever it was given."""
        with self._lock:
            listed = [_identity(wallet) for wallet in self._wallets]
            for wallet in wallets:
                if (identity := _identity(wallet)) not in listed:
                    listed.append(identity)
                    self._wallets.append(wallet)

    def remove(self, *wallets: WalletLike) -> None:
        """List these wallets no longer, however they were given; one that is not listed does not matter."""
        unwanted = [_identity(wallet) for wallet in wallets]
        with self._lock:
            self._wallets = [wallet for wallet in self._wallets if _identity(wallet) not in unwanted]

    def set(self, wallets: Iterable[WalletLike]) -> None:
        """Answer with exactly these entries, whatever they are: duplicates and rubbish too."""
        entries = list(wallets)
        with self._lock:
            self._wallets = entries

    def fail(self, error: BaseException) -> None:
        """Raise this in every call from now on."""
        self._error = error

    def delay(self, seconds: float) -> None:
        """Take so long for every call from now on."""
        self._seconds = seconds

    def hang(self) -> None:
        """Never answer from now on, until `recover`."""
        with self._lock:
            self._hangs = True

    def recover(self) -> None:
        """Answer at once again; calls that hang answer, too."""
        with self._lock:
            self._error, self._seconds, self._hangs = None, 0.0, False
            hanging, self._hanging = self._hanging, set()
        for call in hanging:
            call.get_loop().call_soon_threadsafe(_release, call)

    async def __call__(self) -> list[WalletLike]:
        """Answer, or do what it was told to do instead."""
        call = asyncio.get_running_loop().create_future()
        with self._lock:
            self._calls += 1
            hangs = self._hangs
            if hangs:
                self._hanging.add(call)
        if hangs:
            try:
                await call
            finally:
                with self._lock:
                    self._hanging.discard(call)
        if self._seconds:
            await asyncio.sleep(self._seconds)
        if self._error is not None:
            raise self._error.with_traceback(None)  # or it would grow with each failure
        return self.wallets


def _identity(entry: object) -> object:
    """Return the wallet that an entry stands for, or the entry itself."""
    try:
        return Wallet(cast("WalletLike", entry))
    except Exception:  # noqa: BLE001  # of a foreign object's __bytes__, too
        return entry


def _release(call: asyncio.Future[None]) -> None:
    if not call.done():
        call.set_result(None)
