"""The registries of a running node: read, checked wallet by wallet, and heard when they push."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections import defaultdict
from functools import partial
from typing import TYPE_CHECKING, Any

from depinmesh._checks import Checks
from depinmesh._lives import Lives
from depinmesh._pushes import pushes_of
from depinmesh.errors import ClosedError, MeshError
from depinmesh.wallets import normalise_answer

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Iterator

    from depinmesh import _core
    from depinmesh._calls import Calls
    from depinmesh.config import Config
    from depinmesh.identity import Wallet
    from depinmesh.logs.adapters import Adapter

# How long a provider may take to end its pushes.
_GOODBYE = 2.0


class Registries:
    """What the databases of a node, and its bootstrap list, were given as providers and functions.

    Its tasks hold neither the session nor the node, so that a node that nobody refers to any more is collected.
    """

    def __init__(
        self, config: Config, core: _core.Node, calls: Calls, context: contextvars.Context, log: Adapter
    ) -> None:
        self._config = config
        self._core = core
        self._calls = calls
        self._context = context
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._lives = Lives(context, log)
        self._sources: dict[int, Any] = {}
        self._checks: dict[int, Checks] = {}
        self._pushes: dict[int, asyncio.Task[None]] = {}
        # No call begins before the one before it has returned, which may take its time when it is cancelled. Checks of
        # single wallets run side by side anyway.
        self._reading: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._naming = asyncio.Lock()

    def attach(self, name: str, source: object) -> int:
        """Add a database whose registry is asked by requests of the core, and heard when it pushes."""
        by_check = not has(source, "wallets") and has(source, "check")
        database = self._core.attach(name, None, by_check=by_check)
        self._sources[database] = source
        if by_check:
            self._checks[database] = Checks(
                partial(self._check, source),
                self._config.private_key.wallet,
                self._config.gate,
                partial(_connected, self._core),
                self._on_failed_checks,
                plain=not inspect.iscoroutinefunction(method_of(source, "check")),
            )
        elif has(source, "wallets") and has(source, "changes"):
            push = self._push(database, source)
            self._pushes[database] = self._loop.create_task(push, context=self._context.copy())
        return database

    async def detach(self, database: int) -> None:
        """Take the database away, and close its registry unless something else uses it."""
        with contextlib.suppress(MeshError):
            self._core.detach(database)
        source = self._sources.pop(database, None)
        self._checks.pop(database, None)
        self._reading.pop(database, None)
        if (push := self._pushes.pop(database, None)) is not None:
            push.cancel()
            await asyncio.wait([push], timeout=_GOODBYE)
        if source is not self._config.bootstrap_nodes and all(source is not other for other in self._sources.values()):
            await self._lives.leave(source)

    async def close(self) -> None:
        """End the pushes and close the providers."""
        for push in self._pushes.values():
            push.cancel()
        if self._pushes:
            await asyncio.wait(self._pushes.values(), timeout=_GOODBYE)
        await self._lives.close()

    def abandon(self) -> None:
        """End all of it from a finaliser, in whatever thread that runs."""
        for push in self._pushes.values():
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(push.cancel)
        self._lives.abandon()

    def demand(self) -> None:
        """Have the next read of each database ask about everybody, also where wallets are checked one by one."""
        for checks in self._checks.values():
            checks.demand()

    async def wallets(self, database: int, waiting: list[str]) -> tuple[list[str | bytes], float]:
        """Return the list of a database and its age, or those of its registry's wallets that are known to be good."""
        source = self._sources[database]
        with self._logged("The registry function failed"):
            await self._lives.enter(source)
            if (checks := self._checks.get(database)) is not None:
                return await checks.read(waiting), 0.0
            async with self._reading[database]:
                return await normalise_answer(await self._calls.call(method_of(source, "wallets")))

    async def bootstrap_nodes(self) -> Any:
        """Return the bootstrap list as of now."""
        source = self._config.bootstrap_nodes
        with self._logged("The bootstrap function failed"):
            await self._lives.enter(source)
            async with self._naming:
                return await self._calls.call(method_of(source, "bootstrap_nodes"))

    async def _check(self, source: Any, wallet: Wallet) -> object:
        return await self._calls.call(partial(source.check, wallet))

    async def _push(self, database: int, source: Any) -> None:
        """Hand on what the registry pushes; reads go on as they do anyway."""

        def failed(error: Exception, retry_in: float) -> None:
            self._log.log(logging.WARNING, "The pushes of a registry failed", {"retry_in": retry_in}, error)

        enter = partial(self._lives.enter, source)
        with contextlib.suppress(ClosedError):  # the core has ended
            async with contextlib.aclosing(pushes_of(source, normalise_answer, failed, enter=enter)) as pushes:
                async for wallets, age in pushes:
                    self._core.set_wallets(database, wallets, age)

    def _on_failed_checks(self, wallet: Wallet, error: Exception, count: int) -> None:
        fields = {"wallets": count, "one_of_them": wallet}
        self._log.log(logging.WARNING, "Wallets could not be checked, and stay as they were", fields, error)

    @contextlib.contextmanager
    def _logged(self, message: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._log.log(logging.WARNING, message, {}, error)
            raise


def has(source: Any, method: str) -> bool:
    """Whether a provider has this method. A function may have an attribute of that name which is no method."""
    return callable(getattr(source, method, None))


def method_of(source: Any, method: str) -> Any:
    """Return the method of a provider; a function is itself what is called."""
    return getattr(source, method) if has(source, method) else source


def _connected(core: _core.Node) -> set[str]:
    return {wallet for _, wallet, *_ in core.peers(None)}
