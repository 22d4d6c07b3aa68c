"""A registry whose last good list outlives the process."""

from __future__ import annotations

import asyncio
import contextlib
import glob
import json
import logging
import os
import stat
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING, Any, Self

from pydantic_core import from_json

from depinmesh.errors import ConfigError, ConfigProblem, RegistryError
from depinmesh.registry._believed import wallets_of
from depinmesh.registry._latest import Latest, merged
from depinmesh.registry._losses import Confirmation
from depinmesh.registry._parts import Part
from depinmesh.registry.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from depinmesh.identity import Wallet
    from depinmesh.wallets import WalletSource

_log = logging.getLogger("depinmesh.registry")

_FORM = "depinmesh-wallets-1"
_LARGEST = 64 * 1024 * 1024
# An unchanged list is written so often, which is how much older than it was a list can look after a restart.
_WRITE_INTERVAL = 60.0
_CLOCK_SKEW = timedelta(minutes=5)
_UNFINISHED = ".new"
_LEFT_AFTER = 300.0


class CachedRegistry:
    """Keeps the last good list of a registry in a file, and admits by it when a node starts during an outage.

    The list keeps its age: `gate.max_stale` after it was read from its source, nobody new is admitted. The file is used
    only until the source answers for the first time, and is written in one step. Whoever can write to it decides who is
    admitted, so a file that others may write to is refused.
    """

    def __init__(self, source: WalletSource, path: str | os.PathLike[str]) -> None:
        """Wrap a list, a function or a provider that can list.

        Args:
            source: Whose list is kept.
            path: The file; its folder must exist. Each registry needs a file of its own.

        Raises:
            ConfigError: The source cannot list, or the folder does not exist.
        """
        self._part = Part(source)
        self._path = Path(path)
        problems = []
        if not self._part.lists:
            problems.append(ConfigProblem("source", None, "cannot list its wallets, so there is nothing to keep", None))
        if not self._path.absolute().parent.is_dir():
            problems.append(ConfigProblem("path", str(path), "is in a folder that does not exist", "make the folder"))
        if problems:
            raise ConfigError.of(problems)
        self._by_list = self._part.by_list
        self._starting = True
        """Somebody has started: since then neither has the source answered, nor was the kept list offered."""
        self._answers = 0
        self._given_up = False
        self._unusable = ""
        """Why the kept list could not be used, as it was last said."""
        self._kept: dict[Wallet, None] = {}
        self._written = float("-inf")
        self._confirmation = Confirmation()
        self._fallback: Latest[Snapshot] = Latest()
        self._pending: Snapshot | None = None

    async def __aenter__(self) -> Self:
        """Have the source entered when it is first asked. Each node that starts may be offered the kept list."""
        self._starting, self._pending, self._given_up, self._unusable = True, None, False, ""
        await self._part.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave it."""
        await self._part.__aexit__()

    async def wallets(self) -> Snapshot:
        """Return the list of the source, and keep it. Raises what the source raises; the kept list is then pushed.

        It is pushed too when the read before this one was cancelled, as the gate does with one that hangs.
        """
        given_up, self._given_up = self._given_up, False
        if given_up and self._starting:  # told only now: a node that is closed cancels its read as well
            await self._offer()
        try:
            snapshot = await self._part.wallets()
        except asyncio.CancelledError:
            self._given_up = True
            raise
        except Exception:
            if self._starting:
                await self._offer()
            raise
        self._answered()
        await self._keep(snapshot, certain=False)
        return snapshot

    async def check(self, wallet: Wallet) -> bool:
        """Return the verdict of the source; where that only lists, of its list, or of the kept one until it answers."""
        return await self._part.check(wallet, self.wallets)

    async def changes(self) -> AsyncIterator[Snapshot]:
        """Give the kept list when the source does not answer at first, and what the source pushes."""
        offers = self._offers(self._fallback.values(), self._answers)
        # The first read may have failed before anybody listened here.
        if self._pending is not None:
            yield self._pending
        async with contextlib.aclosing(merged(offers, self._pushes())) as snapshots:
            async for snapshot in snapshots:
                yield snapshot

    async def _offers(self, fallback: AsyncIterator[Snapshot], answers: int) -> AsyncIterator[Snapshot]:
        async for snapshot in fallback:
            if self._answers == answers:  # or else it is for a node that started later
                yield snapshot

    async def _pushes(self) -> AsyncIterator[Snapshot]:
        async with contextlib.aclosing(self._part.changes()) as pushes:
            async for snapshot in pushes:
                self._answered()
                await self._keep(snapshot, certain=True)
                yield snapshot

    async def bootstrap_nodes(self) -> list[Any]:
        """Return the bootstrap nodes of the source."""
        return await self._part.bootstrap_nodes()

    def _answered(self) -> None:
        self._starting, self._pending = False, None
        self._answers += 1

    async def _offer(self) -> None:
        self._starting, answers = False, self._answers
        try:
            snapshot = await asyncio.to_thread(self._load)
            if self._answers == answers and self._part.believed.list is None:
                await self._part.believed.take(snapshot)  # for checks, to which nothing is pushed
        except FileNotFoundError:
            return
        except (OSError, RegistryError) as error:
            # Somebody may set the clock, or the mode of the file: the next read that fails looks again.
            self._starting = self._starting or self._answers == answers
            if str(error) != self._unusable:
                self._unusable = str(error)
                _log.error("The kept list is not used: %s", error)
            return
        except BaseException:  # it is cancelled, as the whole read is: the list is still to be offered
            self._starting = self._starting or self._answers == answers
            raise
        if self._answers != answers:
            return  # meanwhile
        self._pending = snapshot
        self._fallback.put(snapshot)
        # Last, as a logger of the program may raise.
        _log.warning("The registry does not answer: the list of %s is used, %.0f s old", snapshot.source, snapshot.age)

    def _load(self) -> Snapshot:
        mode = self._path.stat()
        if os.name == "posix" and mode.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise RegistryError(f"{self._path}: others may write to it: chmod 600 {self._path}")
        if mode.st_size > _LARGEST:
            raise RegistryError(f"{self._path}: has more than {_LARGEST:,} bytes")
        try:
            kept: Any = from_json(self._path.read_bytes())
            taken_at = datetime.fromisoformat(kept["taken_at"])
            wallets = kept["wallets"]
            good = kept["form"] == _FORM and all(isinstance(entry, str) for entry in wallets)
        except (ValueError, KeyError, TypeError) as error:
            raise RegistryError(f"{self._path}: is damaged: {error}") from None
        if not good or not wallets:
            raise RegistryError(f"{self._path}: is no list of wallets of this version")
        if taken_at.tzinfo is None or taken_at > datetime.now(UTC) + _CLOCK_SKEW:
            raise RegistryError(f"{self._path}: is from the future: set the clock")
        return Snapshot(wallets=tuple(wallets), source=str(self._path), taken_at=taken_at)

    async def _keep(self, snapshot: Snapshot, *, certain: bool) -> None:
        wallets = await wallets_of(snapshot)
        if not wallets or not (certain or self._confirmation.believes(self._kept, wallets)):
            return
        if wallets.keys() == self._kept.keys() and monotonic() - self._written < _WRITE_INTERVAL:
            return
        try:
            await asyncio.to_thread(self._write, list(wallets), snapshot.taken_at)
        except OSError as error:
            _log.error("The list cannot be kept in %s: %s", self._path, error.strerror or error)
            return
        self._kept, self._written = wallets, monotonic()

    def _write(self, wallets: list[str], taken_at: datetime) -> None:
        text = json.dumps({"form": _FORM, "taken_at": taken_at.isoformat(), "wallets": wallets}, indent=0)
        self._clear_away()
        folder, prefix = self._path.parent, f".{self._path.name}."
        descriptor, temporary = tempfile.mkstemp(dir=folder, prefix=prefix, suffix=_UNFINISHED)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
                file.flush()
                self._leave_to_its_owner(file.fileno())
                os.fsync(file.fileno())
            Path(temporary).replace(self._path)
        except BaseException:
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
            raise

    def _clear_away(self) -> None:
        """Remove what was left where a process ended within a write: commands do not wait for a slow disk."""
        for left in self._path.parent.glob(f".{glob.escape(self._path.name)}.*{_UNFINISHED}"):
            with contextlib.suppress(OSError):
                if time() - left.stat().st_mtime > _LEFT_AFTER:
                    left.unlink()

    def _leave_to_its_owner(self, descriptor: int) -> None:
        """Let a command that root runs not take the list away from the service, which would not be able to read it."""
        if os.name != "posix" or os.geteuid() != 0:
            return
        try:
            before = self._path.stat()
        except FileNotFoundError:
            before = self._path.absolute().parent.stat()
        os.fchown(descriptor, before.st_uid, before.st_gid)
