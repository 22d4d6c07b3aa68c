"""Registries made of registries: who is on any list, or on all of them."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack, aclosing
from typing import TYPE_CHECKING, Any, Self

from depinmesh.errors import ConfigError, ConfigProblem, RegistryError, without_secrets
from depinmesh.registry._latest import Latest, merged
from depinmesh.registry._parts import Part
from depinmesh.registry.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

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
    than half of its wallets counts when a second one is equal.

    Where one source cannot list, wallets are checked one by one, against the lists first; what they decide is not asked
    for. A list is then read at most once a second, and the last good one counts for a quarter of an hour.
    """

    def __init__(self, sources: tuple[WalletSource, ...], *, every: bool) -> None:
        self._every = every
        self._parts = [Part(source, f"source {number}") for number, source in enumerate(sources, 1)]
        if not self._parts:
            raise ConfigError.of([ConfigProblem("sources", None, "there is none", None)])
        self._by_list = all(part.by_list for part in self._parts)
        self._given_up: Latest[Snapshot] = Latest()
        if not all(part.lists for part in self._parts):
            self.wallets = None  # type: ignore[method-assign, assignment]  # as a provider says that it cannot list

    async def __aenter__(self) -> Self:
        """Have each source entered when it is first asked: one that cannot be entered is a part that fails."""
        for part in self._parts:
            await part.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave them."""
        async with AsyncExitStack() as stack:
            for part in self._parts:
                stack.push_async_exit(part)

    async def wallets(self) -> Snapshot:
        """Read all sources. `RegistryError`: all failed, or one that has never answered."""
        try:
            errors = [error for error in await asyncio.gather(*(part.read() for part in self._parts)) if error]
        except asyncio.CancelledError:
            # The gate waits no longer for a part that hangs: what the others have answered takes effect as a push does.
            if self._all_known():
                self._given_up.put(self._combined())
            raise
        if errors and (not self._all_known() or len(errors) == len(self._parts)):
            raise RegistryError("; ".join(errors))
        return self._combined()

    async def check(self, wallet: Wallet) -> bool:
        """Judge one wallet. `any_of` is decided by one that has it, `all_of` by one that has not; else errors count."""
        errors: list[Exception] = []
        for by_list in (True, False):  # lists cost nothing, and may save the question
            checks = [asyncio.ensure_future(part.check(wallet)) for part in self._parts if part.by_list is by_list]
            try:
                for answer in asyncio.as_completed(checks):  # one that hangs keeps nobody from deciding
                    try:
                        if await answer is not self._every:
                            return not self._every
                    except Exception as error:  # noqa: BLE001  # counts only where nobody decides
                        errors.append(error)
            finally:
                for check in checks:
                    check.cancel()
                await asyncio.gather(*checks, return_exceptions=True)
        if errors:
            raise errors[0]
        return self._every

    async def changes(self) -> AsyncIterator[Snapshot]:
        """Give the combined list after a push of a source, once all are known, and after a read that was cancelled."""
        async with aclosing(merged(self._given_up.values(), *map(self._pushes, self._parts))) as snapshots:
            async for snapshot in snapshots:
                yield snapshot

    async def _pushes(self, part: Part) -> AsyncIterator[Snapshot]:
        async with aclosing(part.changes()) as pushes:
            async for pushed in pushes:
                await part.believed.take(pushed)
                if self._all_known():
                    yield self._combined()

    async def bootstrap_nodes(self) -> list[Any]:
        """Return the bootstrap nodes of all sources. Raises what one raises, unless another one names any."""
        answers = await asyncio.gather(*(part.bootstrap_nodes() for part in self._parts), return_exceptions=True)
        nodes = [node for answer in answers if isinstance(answer, list) for node in answer]
        errors = [answer for answer in answers if isinstance(answer, BaseException)]
        if errors and not nodes:
            raise errors[0]  # the node goes on with those that it was named before
        for error in errors:
            reason = without_secrets(f"{type(error).__name__}: {error}")
            _log.warning("A part of the registry gives no bootstrap nodes: %s", reason)
        return nodes

    def _all_known(self) -> bool:
        return all(part.believed.list is not None for part in self._parts)

    def _combined(self) -> Snapshot:
        known = [part.believed for part in self._parts]
        lists = [one.list for one in known if one.list is not None]
        if self._every:
            wallets = {wallet: None for wallet in lists[0] if all(wallet in other for other in lists[1:])}
        else:
            wallets = {wallet: None for one in lists for wallet in one}
        taken = [one.taken_at for one in known if one.taken_at is not None]
        source = ("all of " if self._every else "any of ") + ", ".join(one.source for one in known)
        return Snapshot(wallets=tuple(wallets), source=source, taken_at=min(taken))
