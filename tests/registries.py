"""A registry that tests can change, fail and hold up while nodes read it."""

from __future__ import annotations

import asyncio
import os
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair, connect
from tests.support import LISTEN, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from depinmesh import Connecting, Database, Wallet


class Registry:
    """A coroutine function with a memory: what it lists, how it fails, when it was called."""

    def __init__(self, entries: Iterable[Any] = ()) -> None:
        self.entries: list[Any] = list(entries)
        self.answer: Callable[[], Any] | None = None
        """In place of the entries: what it returns, or raises, is the answer."""
        self.gate = asyncio.Event()
        """Cleared, every read waits; what it then answers is what was listed when it began."""
        self.gate.set()
        self.starts: list[float] = []
        self.ends: list[float] = []

    async def __call__(self) -> Any:
        """Read it."""
        self.starts.append(monotonic())
        entries, answer = list(self.entries), self.answer
        try:
            await self.gate.wait()
            return entries if answer is None else answer()
        finally:
            self.ends.append(monotonic())

    def fail(self, text: str = "the chain is down") -> None:
        """Raise from now on."""

        def answer() -> Any:
            raise OSError(text)

        self.answer = answer

    async def read(self, times: int = 1) -> None:
        """Wait until reads that start from now on have ended."""
        wanted = len(self.starts) + times
        await eventually(lambda: len(self.ends) >= wanted)


class Checker:
    """A provider that cannot list, and judges one wallet at a time."""

    def __init__(self, *good: Keypair) -> None:
        self.good = {key.wallet for key in good}
        self.hangs: set[Wallet] = set()
        """Whose checks never end."""
        self.error: Exception | None = None
        self.calls: list[Wallet] = []

    async def check(self, wallet: Wallet) -> bool:
        """Judge it."""
        self.calls.append(wallet)
        if wallet in self.hangs:
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error
        return wallet in self.good


async def cut_off() -> None:
    """Wait for something that somebody else has cancelled, as a call on a channel that was closed."""
    call: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    call.cancel()
    await call


def guarded(registry: Any, key: Keypair | None = None, *, dht: bool = True, **gate: Any) -> Connecting[Database]:
    """Connect a node whose gate reads the registry; by default only the start and misses make it do so."""
    fields: dict[str, Any] = {
        "private_key": key or Keypair.generate(),
        "authorized_wallets": registry,
        "listen": LISTEN,
        "discovery": {"dht": dht},
        "gate": {"refresh_interval": 60.0, "min_interval": 0.05, "max_stale": 900.0, **gate},
    }
    return connect(**fields)


def visitor(host: Database, key: Keypair, **more: Any) -> Connecting[Database]:
    """Connect a node that lists the host and dials it, again and again, until it is let in."""
    fields: dict[str, Any] = {
        "private_key": key,
        "authorized_wallets": [key.wallet, host.node.wallet],
        "bootstrap_nodes": host.node.bootstrap_entries(),
        "listen": LISTEN,
        **more,
    }
    return connect(**fields)


def inside(host: Database, *keys: Keypair) -> bool:
    """Say whether these, and nobody else, are connected to the host."""
    return {peer.wallet for peer in host.peers()} == {key.wallet for key in keys}


def random_wallets(n: int) -> list[str]:
    """Return wallets whose secrets nobody knows: every second number is a point of the curve."""
    pubkey: Any = pytest.importorskip("solders.pubkey").Pubkey
    wallets: list[str] = []
    while len(wallets) < n:
        drawn = pubkey(os.urandom(32))
        if drawn.is_on_curve():
            wallets.append(str(drawn))
    return wallets
