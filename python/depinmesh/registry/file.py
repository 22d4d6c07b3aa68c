"""A list in a file that people edit."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from pathlib import Path
from time import sleep, time_ns
from typing import TYPE_CHECKING, NamedTuple

from depinmesh.errors import RegistryError
from depinmesh.registry._document import Document, read_document
from depinmesh.registry._loops import PerLoop
from depinmesh.registry._losses import Confirmation, loses_too_much
from depinmesh.registry.snapshot import Snapshot

if TYPE_CHECKING:
    import os
    from collections.abc import AsyncIterator

    from depinmesh.bootstrap import BootstrapNode
    from depinmesh.identity import Wallet

_log = logging.getLogger("depinmesh.registry")

_LARGEST = 16 * 1024 * 1024
# A file that was written so recently may be half written: it is looked at once more.
_SETTLED_NS = 200_000_000
_LOOKS = 10


class _Mark(NamedTuple):
    """By which a change is noticed; replaced files differ in the inode."""

    inode: int
    size: int
    modified_ns: int


class FileRegistry:
    """The wallets of a file, read again whenever it changes.

    The form follows the name: `.json` and `.yaml` hold a list of wallets, or a mapping with `wallets` and
    `bootstrap_nodes`; any other file holds a wallet a line, with `#` before remarks. A file with any mistake in it is
    refused as a whole: the last good list stays, and the log says file and line. A change takes effect within about a
    second; one that drops more than half of the wallets only when the gate has read it twice, so that a half-written
    file puts nobody out. Best replace the file in one step, by renaming another one over it.
    """

    def __init__(self, path: str | os.PathLike[str], *, poll_interval: float = 0.5) -> None:
        """Keep the name; the file is read by the node.

        Args:
            path: The file.
            poll_interval: Seconds between two looks at whether it has changed.

        Raises:
            ValueError: The interval is not above 0.
        """
        if not poll_interval > 0:
            raise ValueError("poll_interval must be a number of seconds above 0")
        self._path = Path(path)
        self._poll_interval = poll_interval
        self._mark: _Mark | None = None
        self._document: Document | None = None
        self._refused: _Mark | None = None
        self._believed: tuple[Wallet, ...] = ()
        self._confirmation = Confirmation()
        self._lock = PerLoop(asyncio.Lock)

    async def wallets(self) -> Snapshot:
        """Return what the file lists now.

        Raises:
            RegistryError: It cannot be read, or has a mistake; the message begins with file and line.
        """
        document = await self._current()
        if self._confirmation.believes(self._believed, document.wallets):
            self._believed = document.wallets
        return self._snapshot(document)

    async def bootstrap_nodes(self) -> tuple[BootstrapNode | str, ...]:
        """Return the bootstrap nodes that the file lists now; raises as `wallets`."""
        return (await self._current()).nodes

    async def changes(self) -> AsyncIterator[Snapshot]:
        """Give the list after each good edit."""
        last = self._document
        while True:
            await asyncio.sleep(self._poll_interval)
            try:
                document = await self._current()
            except RegistryError as error:
                self._report(error)
                continue
            if document is last:
                continue
            last = document
            # Held against the last list that was believed: a file that grows again after it was emptied is still short.
            if not loses_too_much(self._believed, document.wallets):
                self._believed = document.wallets
                yield self._snapshot(document)

    async def _current(self) -> Document:
        async with self._lock():
            return await asyncio.to_thread(self._read)

    def _read(self) -> Document:
        try:
            mark = self._settled()
            if mark == self._mark and self._document is not None:
                return self._document
            if mark.size > _LARGEST:
                raise RegistryError(f"{self._path}: has {mark.size:,} bytes, more than {_LARGEST:,}")
            text = self._path.read_bytes().decode()
        except OSError as error:
            raise RegistryError(f"{self._path}: {error.strerror or error}") from None
        except UnicodeDecodeError as error:
            raise RegistryError(f"{self._path}: is not UTF-8 text at byte {error.start}") from None
        document = read_document(text, str(self._path), self._path.suffix)
        self._mark, self._document = mark, document
        return document

    def _settled(self) -> _Mark:
        """Wait until nobody writes to the file any more, two seconds at most."""
        for _ in range(_LOOKS):
            stat = self._path.stat()
            mark = _Mark(stat.st_ino, stat.st_size, stat.st_mtime_ns)
            if mark == self._mark or not 0 <= time_ns() - stat.st_mtime_ns < _SETTLED_NS:
                return mark
            sleep(_SETTLED_NS / 1e9)
        raise RegistryError(f"{self._path}: is being written to")

    def _report(self, error: RegistryError) -> None:
        """Say once for each edit what is wrong with it."""
        try:
            stat = self._path.stat()
            mark = _Mark(stat.st_ino, stat.st_size, stat.st_mtime_ns)
        except OSError:
            mark = _Mark(0, 0, 0)
        if mark != self._refused:
            self._refused = mark
            _log.error("The edit is not used, the last good list stays: %s", error)

    def _snapshot(self, document: Document) -> Snapshot:
        return Snapshot(wallets=document.wallets, source=str(self._path), taken_at=datetime.now(UTC))
