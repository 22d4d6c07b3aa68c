"""What a provider can do, for those that are made of others."""

from __future__ import annotations

import logging
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from depinmesh._calls import Calls
from depinmesh._pushes import pushes_of
from depinmesh._tasks import foreign_cancellations_as_errors
from depinmesh.errors import RegistryError, without_secrets
from depinmesh.registry._believed import Believed
from depinmesh.registry._life import Life
from depinmesh.registry.snapshot import Snapshot
from depinmesh.registry.static import StaticRegistry
from depinmesh.wallets import check_wallet_source

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from depinmesh.identity import Wallet
    from depinmesh.wallets import WalletSource

_log = logging.getLogger("depinmesh.registry")


class Part:
    """A list, a function or a provider, with the methods of a provider."""

    def __init__(self, source: WalletSource, name: str = "the source") -> None:
        self._calls = Calls()
        self._source: Any = check_wallet_source(source)
        self._users = 0
        self._life: Life | None = None
        """The present one, if it has begun."""
        self._last_life: Life | None = None
        self.believed = Believed(name, fixed=isinstance(self._source, tuple))
        self.checks = _has(self._source, "check")
        self.lists = _has(self._source, "wallets") or not self.checks
        self.pushes = self.lists and _has(self._source, "changes")
        self.has_nodes = _has(self._source, "bootstrap_nodes")
        # Its verdicts cost nothing: they come of a list, also through what only passes them on.
        self.by_list = not self.checks or getattr(self._source, "_by_list", None) is True

    async def __aenter__(self) -> Self:
        """Have the provider entered when it is first asked, and stay open for as long as anybody uses it.

        Not here: one that cannot be entered is one that fails, and whoever asks it knows what to do without an answer.
        """
        self._users += 1
        if self._users == 1:
            self._renew_calls()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave it, with the last of those who use it."""
        self._users = max(0, self._users - 1)
        if self._users:
            return
        life, self._life, calls = self._life, None, self._renew_calls()
        try:
            await self.believed.close()
        finally:  # also when the node waits for that no longer: or the next life would wait for this one
            try:
                if life is not None:
                    await life.end()
            finally:
                await calls.ended()

    def __del__(self) -> None:
        """End the thread of plain functions, which were called without entering it."""
        self._calls.stop()

    async def wallets(self) -> Snapshot:
        """Return the list."""
        if isinstance(self._source, tuple):
            return Snapshot(wallets=self._source, source="list")
        await self._enter()
        function = self._source.wallets if _has(self._source, "wallets") else self._source
        return self._snapshot(await self._call(function))

    async def check(self, wallet: Wallet, wallets: Callable[[], Awaitable[Snapshot]] | None = None) -> bool:
        """Judge one wallet, by the list where there is no other way. It is read by `wallets`, if given."""
        if self.checks:
            await self._enter()
            verdict = await self._call(partial(self._source.check, wallet))
            if not isinstance(verdict, bool):
                raise RegistryError(f"a check answers with True or False, not with {type(verdict).__name__}")
            return verdict
        if isinstance(self._source, StaticRegistry):  # what code sets counts at once
            return wallet in self._source._wallets
        return wallet in await self.believed.recent(wallets or self.wallets)

    async def read(self) -> str | None:
        """Read the list that is believed; return why that failed."""
        return await self.believed.read(self.wallets)

    async def changes(self) -> AsyncGenerator[Snapshot]:
        """Give what is pushed; nothing where nothing is. What fails is begun anew, and keeps no other part from it."""

        async def convert(pushed: Any) -> Snapshot:
            return self._snapshot(pushed)

        def failed(error: Exception, retry_in: float) -> None:
            reason = without_secrets(f"{self.believed.source}: {type(error).__name__}: {error}")
            _log.warning("The pushes of a part of the registry failed, again in %g s: %s", retry_in, reason)

        if self.pushes:
            async with aclosing(pushes_of(self._source, convert, failed, enter=self._enter)) as pushes:
                async for pushed in pushes:
                    yield pushed

    async def bootstrap_nodes(self) -> list[Any]:
        """Return the bootstrap nodes, none where it has none."""
        if not self.has_nodes:
            return []
        await self._enter()
        return list(await self._call(self._source.bootstrap_nodes))

    async def _call(self, function: Callable[[], Any]) -> Any:
        with foreign_cancellations_as_errors():
            return await self._calls.call(function)

    async def _enter(self) -> None:
        """Make sure that the provider is entered; raises what that raises, and the next call tries again."""
        if not self._users or not hasattr(type(self._source), "__aenter__"):
            return  # who asks without having entered this would not leave it either
        if self._life is None or self._life.over:
            self._life = self._last_life = Life(self._source, self._last_life)
        await self._life.entered()

    def _renew_calls(self) -> Calls:
        """End the thread of plain functions, and have the next call begin another one."""
        calls, self._calls = self._calls, Calls()
        calls.stop()
        return calls

    def _snapshot(self, answer: Any) -> Snapshot:
        if isinstance(answer, Snapshot):
            return answer
        if isinstance(answer, str | bytes | bytearray) or not hasattr(answer, "__iter__"):
            raise RegistryError(f"a registry answers with a list of wallets, not with {type(answer).__name__}")
        return Snapshot(wallets=tuple(answer), source=type(self._source).__name__)


def _has(source: Any, method: str) -> bool:
    return callable(getattr(source, method, None))
