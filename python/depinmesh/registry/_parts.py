"""What a provider can do, for those that are made of others."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Self

from depinmesh._calls import Calls
from depinmesh.errors import IdentityError, RegistryError
from depinmesh.identity import Wallet
from depinmesh.registry.snapshot import Snapshot
from depinmesh.wallets import check_wallet_source

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from depinmesh.wallets import WalletSource

_CHUNK = 256  # entries between two turns of the loop: some milliseconds


class Part:
    """A list, a function or a provider, with the methods of a provider."""

    def __init__(self, source: WalletSource) -> None:
        self._calls = Calls()
        self._source: Any = check_wallet_source(source)
        self._stack = AsyncExitStack()
        self.checks = _has(self._source, "check")
        self.lists = _has(self._source, "wallets") or not self.checks
        self.pushes = self.lists and _has(self._source, "changes")
        self.has_nodes = _has(self._source, "bootstrap_nodes")

    async def __aenter__(self) -> Self:
        """Enter the provider."""
        self._calls.stop()
        self._calls = Calls()
        if hasattr(type(self._source), "__aenter__"):
            await self._stack.enter_async_context(self._source)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave it."""
        await self._stack.aclose()
        self._calls.stop()
        await self._calls.ended()

    def __del__(self) -> None:
        """End the thread of plain functions, which were called without entering it."""
        self._calls.stop()

    async def wallets(self) -> Snapshot:
        """Return the list."""
        if isinstance(self._source, tuple):
            return Snapshot(wallets=self._source, source="list")
        function = self._source.wallets if _has(self._source, "wallets") else self._source
        return self._snapshot(await self._calls.call(function))

    async def check(self, wallet: Wallet) -> bool:
        """Judge one wallet, by the list where there is no other way."""
        if self.checks:
            verdict = await self._calls.call(partial(self._source.check, wallet))
            if not isinstance(verdict, bool):
                raise RegistryError(f"a check answers with True or False, not with {type(verdict).__name__}")
            return verdict
        return wallet in await wallets_of(await self.wallets())

    async def changes(self) -> AsyncIterator[Snapshot]:
        """Give what is pushed; nothing where nothing is."""
        if self.pushes:
            async for pushed in self._source.changes():
                yield self._snapshot(pushed)

    async def bootstrap_nodes(self) -> list[Any]:
        """Return the bootstrap nodes, none where it has none."""
        return list(await self._calls.call(self._source.bootstrap_nodes)) if self.has_nodes else []

    def _snapshot(self, answer: Any) -> Snapshot:
        if isinstance(answer, Snapshot):
            return answer
        if isinstance(answer, str | bytes | bytearray) or not hasattr(answer, "__iter__"):
            raise RegistryError(f"a registry answers with a list of wallets, not with {type(answer).__name__}")
        return Snapshot(wallets=tuple(answer), source=type(self._source).__name__)


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


def _has(source: Any, method: str) -> bool:
    return callable(getattr(source, method, None))
