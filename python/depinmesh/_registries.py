"""The registries of a running node: read, checked wallet by wallet, and heard when they push."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from depinmesh._checks import Checks
from depinmesh._lives import Lives
from depinmesh._pushes import pushes_of
from depinmesh._tasks import end_all, foreign_cancellations_as_errors, is_cancelled, report_interruption
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

# How long a provider may take to end its pushes, and the reads that are under way.
_GOODBYE = 2.0


@dataclass(eq=False, slots=True)
class _Asked:
    """A provider or function, as one database, or the bootstrap list, uses it."""

    source: Any
    checks: Checks | None = None
    # No call begins before the one before it has returned, which may take its time when it is cancelled. Checks of
    # single wallets run side by side anyway.
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)
    """What runs in it: its pushes, and the reads under way. It is left when they have ended."""
    is_ending: bool = False


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
        self._databases: dict[int, _Asked] = {}
        self._bootstrap = _Asked(config.bootstrap_nodes)

    def attach(self, name: str, source: object) -> int:
        """Add a database whose registry is asked by requests of the core, and heard when it pushes."""
        by_check = not has(source, "wallets") and has(source, "check")
        database = self._core.attach(name, None, by_check=by_check)
        asked = self._databases[database] = _Asked(source)
        if by_check:
            asked.checks = Checks(
                partial(self._check, source),
                self._config.private_key.wallet,
                self._config.gate,
                partial(_connected, self._core),
                self._on_failed_checks,
                plain=not inspect.iscoroutinefunction(method_of(source, "check")),
            )
        elif has(source, "wallets") and has(source, "changes"):
            push = self._loop.create_task(self._push(database, source), context=self._context.copy())
            asked.tasks.add(push)
            push.add_done_callback(asked.tasks.discard)
            push.add_done_callback(_report)
        return database

    async def detach(self, database: int) -> None:
        """Take the database away, and close its registry unless something else uses it."""
        with contextlib.suppress(MeshError):
            self._core.detach(database)
        if (asked := self._databases.get(database)) is None:
            return
        asked.is_ending = True
        await end_all(asked.tasks, _GOODBYE)
        del self._databases[database]
        if all(asked.source is not other.source for other in self._all()):  # nor is another one just being ended
            await self._lives.leave(asked.source)

    async def close(self) -> None:
        """End the pushes and reads, and close the providers."""
        await end_all({task for asked in self._all() for task in asked.tasks}, _GOODBYE)
        await self._lives.close()

    def abandon(self) -> None:
        """End all of it from a finaliser, in whatever thread that runs."""
        for asked in self._all():
            for task in list(asked.tasks):
                with contextlib.suppress(RuntimeError):  # the loop is closed
                    self._loop.call_soon_threadsafe(task.cancel)
        self._lives.abandon()

    def demand(self) -> None:
        """Have the next read of each database ask about everybody, also where wallets are checked one by one."""
        for asked in self._databases.values():
            if asked.checks is not None:
                asked.checks.demand()

    async def wallets(self, database: int, waiting: list[str]) -> tuple[list[str | bytes], float]:
        """Return the list of a database and its age, or those of its registry's wallets that are known to be good."""
        asked = self._databases[database]
        with self._under_way(asked, "The registry function failed"):
            await self._lives.enter(asked.source)
            if asked.checks is not None:
                return await asked.checks.read(waiting), 0.0
            async with asked.reading:
                return await normalise_answer(await self._calls.call(method_of(asked.source, "wallets")))

    async def bootstrap_nodes(self) -> Any:
        """Return the bootstrap list as of now."""
        asked = self._bootstrap
        with self._under_way(asked, "The bootstrap function failed"):
            await self._lives.enter(asked.source)
            async with asked.reading:
                return await self._calls.call(method_of(asked.source, "bootstrap_nodes"))

    async def _check(self, source: Any, wallet: Wallet) -> object:
        with foreign_cancellations_as_errors():
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

    def _all(self) -> list[_Asked]:
        return [self._bootstrap, *self._databases.values()]

    @contextlib.contextmanager
    def _under_way(self, asked: _Asked, message: str) -> Iterator[None]:
        """Note the read of the present task, and log why it fails, unless nobody waits for it any more."""
        task = asyncio.current_task()
        if asked.is_ending or task is None:
            raise ClosedError("the database is closed")
        asked.tasks.add(task)
        try:
            with foreign_cancellations_as_errors():
                yield
        except Exception as error:
            if not is_cancelled():
                self._log.log(logging.WARNING, message, {}, error)
            raise
        finally:
            asked.tasks.discard(task)


def _report(push: asyncio.Task[None]) -> None:
    if not push.cancelled():
        report_interruption(push)


def has(source: Any, method: str) -> bool:
    """Whether a provider has this method. A function may have an attribute of that name which is no method."""
    return callable(getattr(source, method, None))


def method_of(source: Any, method: str) -> Any:
    """Return the method of a provider; a function is itself what is called."""
    return getattr(source, method) if has(source, method) else source


def _connected(core: _core.Node) -> set[str]:
    return {wallet for _, wallet, *_ in core.peers(None)}
