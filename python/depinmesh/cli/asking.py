"""Asking the registries and bootstrap lists of a configuration without a node."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

from depinmesh import IdentityError, RegistryError, Wallet
from depinmesh._calls import Calls
from depinmesh._pushes import pushes_of
from depinmesh._tasks import limit
from depinmesh.errors import without_secrets
from depinmesh.wallets import normalise_wallets_async


@dataclass(frozen=True)
class Listing:
    """What a registry answered."""

    wallets: frozenset[Wallet]
    invalid: tuple[str, ...]
    """Entries that are no wallets; a node drops them too."""

    @classmethod
    async def of(cls, answer: Any) -> Self:
        """Sort out an answer: a list, or a snapshot of one."""
        good, bad = set(), []
        for entry in await normalise_wallets_async(getattr(answer, "wallets", answer)):
            try:
                good.add(Wallet(entry))
            except IdentityError:
                bad.append(str(entry))
        return cls(frozenset(good), tuple(bad))


class Asking:
    """A source that is open to be asked."""

    def __init__(self, source: Any, calls: Calls, timeout: float) -> None:
        self.source = source
        self._calls = calls
        self._timeout = timeout

    @property
    def can_list(self) -> bool:
        """Whether it has a list; else it judges each wallet by itself."""
        return isinstance(self.source, tuple) or _has(self.source, "wallets") or not _has(self.source, "check")

    async def wallets(self) -> Listing:
        """Return the list; `RegistryError` when there is none to be had."""
        if isinstance(self.source, tuple):
            return await Listing.of(self.source)
        if not self.can_list:
            raise RegistryError(
                "this registry has no list, it judges each wallet: ask it by `depinmesh registry check`"
            )
        return await Listing.of(await self._ask(_method(self.source, "wallets"), "the registry"))

    async def is_listed(self, wallet: Wallet) -> bool:
        """Say whether the wallet is listed, as a registry that has no list does."""
        if not self.can_list:
            return await self._ask(partial(self.source.check, wallet), "the registry") is True
        return wallet in (await self.wallets()).wallets

    async def bootstrap_nodes(self) -> list[Any]:
        """Return the entries as they are given."""
        if isinstance(self.source, tuple):
            return list(self.source)
        entries = await self._ask(_method(self.source, "bootstrap_nodes"), "the bootstrap list")
        if isinstance(entries, str) or not isinstance(entries, Iterable):
            raise RegistryError(f"the bootstrap list is not a list, but {type(entries).__name__}")
        return list(entries)

    def changes(self, failed: Callable[[Exception, float], None], pause: float) -> AsyncGenerator[Listing]:
        """Give the list each time that the source pushes it, if it does; what fails is begun anew after the pause."""
        return pushes_of(self.source, Listing.of, failed, pause=pause)

    async def _ask(self, function: Any, what: str) -> Any:
        try:
            async with limit(self._timeout, f"asking {what}"):
                return await self._calls.call(function)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # whatever the user's function raises
            raise _failed(f"{what} failed", error) from error


@contextlib.asynccontextmanager
async def asking(source: Any, timeout: float) -> AsyncIterator[Asking]:
    """Open a list, a function or a provider to be asked, each time within so many seconds."""
    calls = Calls()
    try:
        async with contextlib.AsyncExitStack() as stack:
            if hasattr(type(source), "__aenter__"):
                try:
                    await stack.enter_async_context(source)
                except Exception as error:  # of the provider
                    raise _failed("the registry does not open", error) from error
            yield Asking(source, calls, timeout)
    finally:
        calls.stop()
        await calls.ended()


def _failed(what: str, error: Exception) -> BaseException:
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        return asyncio.CancelledError()  # it has made this of its cancellation
    return RegistryError(without_secrets(f"{what}: {type(error).__name__}: {error}"))


def _has(source: Any, method: str) -> bool:
    return callable(getattr(source, method, None))


def _method(source: Any, method: str) -> Any:
    return getattr(source, method) if _has(source, method) else source
