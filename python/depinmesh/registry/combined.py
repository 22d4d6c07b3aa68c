"""Registries made of registries: who is on any list, or on all of them."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self

from depinmesh.errors import ConfigError, ConfigProblem, RegistryError, without_secrets
from depinmesh.registry._latest import Latest, merged
from depinmesh.registry._losses import Confirmation
from depinmesh.registry._parts import Part, wallets_of
from depinmesh.registry.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from depinmesh.identity import Wallet
    from depinmesh.wallets import WalletSource

_log = logging.getLogger("depinmesh.registry")


def any_of(*sources: WalletSource) -> CombinedRegistry:
    """Return a registry of the wallets that are on at least one of these lists. `ConfigError`: a source is none."""
    return CombinedRegistry(sources, every=False)


def all_of(*sources: WalletSource) -> CombinedRegistry:
    """Return a registry of the wallets that are on every one of these lists. `ConfigError`: a source is none."""
    return CombinedRegistry(sources, every=True)


class CombinedRegistry:
    """What `any_of` and `all_of` return.

    Each source counts with its last good list while it fails or hangs, so that what the others remove is still removed;
    the age of the whole is that of the oldest. Each is believed as the gate believes a registry: a read that loses more
    than half of its wallets counts when a second one is equal. Where one source cannot list, wallets are checked one by
    one.
    """

    def __init__(self, sources: tuple[WalletSource, ...], *, every: bool) -> None:
        self._every = every
        self._members = [_Member(source, index) for index, source in enumerate(sources)]
        if not self._members:
            raise ConfigError.of([ConfigProblem("sources", None, "there is none", None)])
        self._stack = AsyncExitStack()
        self._given_up: Latest[Snapshot] = Latest()
        if not all(member.part.lists for member in self._members):
            self.wallets = None  # type: ignore[method-assign, assignment]  # as a provider says that it cannot list

    async def __aenter__(self) -> Self:
        """Enter all sources."""
        async with AsyncExitStack() as stack:
            for member in self._members:
                await stack.enter_async_context(member.part)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave them."""
        await self._stack.aclose()

    async def wallets(self) -> Snapshot:
        """Read all sources. `RegistryError`: all failed, or one that has never answered."""
        try:
            errors = [error for error in await asyncio.gather(*(member.read() for member in self._members)) if error]
        except asyncio.CancelledError:
            # The gate waits no longer for a part that hangs: what the others have answered takes effect as a push does.
            if all(member.list is not None for member in self._members):
                self._given_up.put(self._combined())
            raise
        missing = any(member.list is None for member in self._members)
        if errors and (missing or len(errors) == len(self._members)):
            raise RegistryError("; ".join(errors))
        return self._combined()

    async def check(self, wallet: Wallet) -> bool:
        """Judge one wallet."""
        verdicts = await asyncio.gather(*(member.part.check(wallet) for member in self._members))
        return all(verdicts) if self._every else any(verdicts)

    async def changes(self) -> AsyncIterator[Snapshot]:
        """Give the combined list after a push of a source, once all are known, and after a read that was cancelled."""
        async for snapshot in merged(self._given_up.values(), *(self._pushes(member) for member in self._members)):
            yield snapshot

    async def _pushes(self, member: _Member) -> AsyncIterator[Snapshot]:
        async for pushed in member.part.changes():
            await member.take(pushed)
            if all(other.list is not None for other in self._members):
                yield self._combined()

    async def bootstrap_nodes(self) -> list[Any]:
        """Return the bootstrap nodes of all sources; those of one that fails are left out."""
        answers = await asyncio.gather(
            *(member.part.bootstrap_nodes() for member in self._members), return_exceptions=True
        )
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        if len(errors) == len(answers):
            raise errors[0]
        return [node for answer in answers if isinstance(answer, list) for node in answer]

    def _combined(self) -> Snapshot:
        lists = [member.list for member in self._members if member.list is not None]
        if self._every:
            wallets = {wallet: None for wallet in lists[0] if all(wallet in other for other in lists[1:])}
        else:
            wallets = {wallet: None for one in lists for wallet in one}
        taken = [member.taken_at for member in self._members if member.taken_at is not None]
        source = ("all of " if self._every else "any of ") + ", ".join(member.source for member in self._members)
        return Snapshot(wallets=tuple(wallets), source=source, taken_at=min(taken))


class _Member:
    """One source, and its last good list."""

    def __init__(self, source: WalletSource, index: int) -> None:
        self.part = Part(source)
        self.list: dict[Wallet, None] | None = None
        self.taken_at: datetime | None = None
        self.source = f"source {index + 1}"
        self._confirmation = Confirmation()
        self._failed = self._given_up = False

    async def read(self) -> str | None:
        """Read it; return why that failed."""
        if self._given_up:  # told only now: a node that is closed cancels its read as well
            self._fails(f"{self.source}: no answer")
        try:
            snapshot = await self.part.wallets()
            wallets = await wallets_of(snapshot)
        except asyncio.CancelledError:
            self._given_up = True
            raise
        except Exception as error:  # noqa: BLE001  # of the source: the last good list stays
            return self._fails(without_secrets(f"{self.source}: {type(error).__name__}: {error}"))
        self._failed = self._given_up = False
        if self.list is None or self._confirmation.believes(self.list, wallets):
            await self.take(snapshot, wallets)
        return None

    def _fails(self, reason: str) -> str:
        if not self._failed and self.list is not None:
            _log.warning("A part of the registry fails, its last good list stays: %s", reason)
        self._failed = True
        return reason

    async def take(self, snapshot: Snapshot, wallets: dict[Wallet, None] | None = None) -> None:
        """Believe it."""
        self.list = await wallets_of(snapshot) if wallets is None else wallets
        self.taken_at = snapshot.taken_at
        self.source = snapshot.source or self.source
