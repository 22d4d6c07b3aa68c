"""Handing the newest value to everybody who waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from typing import TYPE_CHECKING, Generic, TypeVar

from depinmesh._tasks import foreign_cancellations_as_errors

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

T = TypeVar("T")


class Latest(Generic[T]):
    """One value at a time: who reads slowly misses those between, so nothing piles up."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._readers: weakref.WeakSet[_Reader[T]] = weakref.WeakSet()  # each goes with its iteration

    def put(self, value: T) -> None:
        """Hand it to all who read now. May be called from any thread."""
        with self._lock:
            for reader in self._readers:
                reader.values = [value]
                reader.look()

    def end(self, error: BaseException | None = None) -> None:
        """End the reading of all who read now, or let it raise the error."""
        with self._lock:
            for reader in self._readers:
                reader.ended, reader.error = True, error
                reader.look()

    def values(self) -> AsyncIterator[T]:
        """Give what is put from this call on, the newest each time."""
        reader: _Reader[T] = _Reader()
        with self._lock:
            self._readers.add(reader)
        return self._read(reader)

    async def _read(self, reader: _Reader[T]) -> AsyncIterator[T]:
        while not reader.ended or reader.values:
            await reader.wake.wait()
            reader.wake.clear()
            with self._lock:
                values, reader.values = reader.values, []
            for value in values:
                yield value
        if reader.error is not None:
            raise reader.error


async def merged(*streams: AsyncIterator[T]) -> AsyncGenerator[T]:
    """Give the newest of what the streams give. It ends when all have, and raises what one raises."""
    latest: Latest[T] = Latest()

    async def follow(stream: AsyncIterator[T]) -> None:
        with foreign_cancellations_as_errors():
            async for value in stream:
                latest.put(value)

    async def follow_all() -> None:
        followers = [asyncio.ensure_future(follow(stream)) for stream in streams]
        try:
            await asyncio.gather(*followers)
        except BaseException as error:  # noqa: BLE001  # whatever it is, it is raised where the values are read
            latest.end(error)
        else:
            latest.end()
        finally:
            for follower in followers:
                follower.cancel()
            await asyncio.gather(*followers, return_exceptions=True)

    values = latest.values()
    following = asyncio.ensure_future(follow_all())
    try:
        async for value in values:
            yield value
    finally:
        following.cancel()
        await asyncio.wait({following})


class _Reader(Generic[T]):
    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.wake = asyncio.Event()
        self.values: list[T] = []
        self.ended = False
        self.error: BaseException | None = None

    def look(self) -> None:
        """Wake the reader, in whatever thread this runs."""
        with contextlib.suppress(RuntimeError):  # its loop is closed
            self.loop.call_soon_threadsafe(self.wake.set)
