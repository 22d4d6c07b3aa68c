"""A registry with a log of its changes."""

from __future__ import annotations

import logging
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from depinmesh.errors import ConfigError, ConfigProblem, shown, without_secrets
from depinmesh.registry._believed import wallets_of
from depinmesh.registry._parts import Part

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from depinmesh.identity import Wallet
    from depinmesh.registry.snapshot import Snapshot
    from depinmesh.wallets import WalletSource

# So many wallets of one change are named.
_NAMED = 10
_METHODS = ("debug", "info", "warning")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryStats:
    """What a `LoggedRegistry` has counted."""

    reads: int
    """Lists that were read."""
    pushes: int
    """Lists that were pushed."""
    checks: int
    """Wallets that were judged one by one."""
    failures: int
    """Reads and checks that failed."""
    added: int
    """Wallets that joined, over all changes."""
    removed: int
    """Wallets that left, over all changes."""
    wallets: int
    """Wallets on the last list."""


class LoggedRegistry:
    """Passes a registry on as it is; logs each change with its wallets, each failure, and counts both."""

    def __init__(self, source: WalletSource, *, name: str = "registry", logger: logging.Logger | None = None) -> None:
        """Wrap a list, a function or a provider.

        Args:
            source: What is logged.
            name: How the lines name it.
            logger: Where they go: changes as INFO, failures as WARNING; by default to `depinmesh.registry`.

        Raises:
            ConfigError: The source is none, or the logger.
        """
        self._part = Part(source)
        self._by_list = self._part.by_list
        if logger is not None and not all(callable(getattr(logger, name, None)) for name in _METHODS):
            hint = "such as logging.getLogger('fleet')"
            raise ConfigError.of([ConfigProblem("logger", shown(logger), "is no logger", hint)])
        self._name = name
        self._log = logging.getLogger("depinmesh.registry") if logger is None else logger
        self._last: dict[Wallet, None] | None = None
        self._reads = self._pushes = self._checks = self._failures = self._added = self._removed = 0
        if not self._part.lists:
            self.wallets = None  # type: ignore[method-assign, assignment]  # as a provider says that it cannot list

    @property
    def stats(self) -> RegistryStats:
        """The counts as of now."""
        return RegistryStats(
            reads=self._reads,
            pushes=self._pushes,
            checks=self._checks,
            failures=self._failures,
            added=self._added,
            removed=self._removed,
            wallets=len(self._last or ()),
        )

    async def __aenter__(self) -> Self:
        """Have the source entered when it is first asked."""
        await self._part.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave it."""
        await self._part.__aexit__()

    async def wallets(self) -> Snapshot:
        """Return the list of the source; raises what that raises."""
        try:
            snapshot = await self._part.wallets()
        except Exception as error:
            self._failed(error)
            raise
        self._reads += 1
        await self._compare(snapshot)
        return snapshot

    async def check(self, wallet: Wallet) -> bool:
        """Return the verdict of the source; raises what that raises."""
        try:
            verdict = await self._part.check(wallet)
        except Exception as error:
            self._failed(error)
            raise
        self._checks += 1
        self._log.debug("%s: %s is %s", self._name, wallet, "listed" if verdict else "not listed")
        return verdict

    async def changes(self) -> AsyncIterator[Snapshot]:
        """Give what the source pushes."""
        async with aclosing(self._part.changes()) as pushes:
            async for snapshot in pushes:
                self._pushes += 1
                await self._compare(snapshot)
                yield snapshot

    async def bootstrap_nodes(self) -> list[Any]:
        """Return the bootstrap nodes of the source."""
        return await self._part.bootstrap_nodes()

    def _failed(self, error: Exception) -> None:
        self._failures += 1
        self._log.warning("%s: %s: %s", self._name, type(error).__name__, without_secrets(str(error)))

    async def _compare(self, snapshot: Snapshot) -> None:
        before, self._last = self._last or {}, await wallets_of(snapshot)
        added = [wallet for wallet in self._last if wallet not in before]
        removed = [wallet for wallet in before if wallet not in self._last]
        self._added += len(added)
        self._removed += len(removed)
        if added or removed:
            self._log.info(
                "%s: %d wallets from %s, added %s, removed %s",
                self._name,
                len(self._last),
                snapshot.source or "an unnamed source",
                _named(added),
                _named(removed),
            )


def _named(wallets: list[Wallet]) -> str:
    rest = len(wallets) - _NAMED
    return (
        f"{len(wallets)} ({', '.join(wallets[:_NAMED])}{f' and {rest} more' if rest > 0 else ''})" if wallets else "0"
    )
