"""Lines of stdin, without holding up the event loop, whatever stdin is: a file, a pipe or a terminal."""

import asyncio
import codecs
import contextlib
import os
import threading
from collections.abc import AsyncIterator

from depinmesh.errors import MeshError

_AHEAD = 64  # lines that are read before they are asked for
_CHUNK = 65_536


async def lines(descriptor: int) -> AsyncIterator[str]:
    """Yield the lines, without their ends.

    A thread reads them, as only some kinds of stdin can be awaited. It is a daemon, as nothing can wake a thread that
    waits for a terminal; and it reads the descriptor itself, as the lock of a stream would be in the way of the exit.

    Raises:
        MeshError: It cannot be read, or not to its end. What came of the last line is left out.
    """
    reader = _Reader(descriptor)
    threading.Thread(target=reader.run, name="depinmesh-stdin", daemon=True).start()
    try:
        while (line := await reader.queue.get()) is not None:
            if isinstance(line, OSError):
                raise MeshError(f"stdin cannot be read: {line.strerror or line}") from line
            reader.room.release()
            yield line
    finally:
        reader.stopped = True
        reader.room.release()


class _Reader:
    def __init__(self, descriptor: int) -> None:
        self.queue: asyncio.Queue[str | OSError | None] = asyncio.Queue()
        self.room = threading.Semaphore(_AHEAD)
        self.stopped = False
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()

    def run(self) -> None:
        try:
            self._read()
        except OSError as error:
            self._hand_over(error)
        else:
            self._hand_over(None)

    def _read(self) -> None:
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        rest = ""
        while not self.stopped and (chunk := os.read(self._descriptor, _CHUNK)):
            *whole, rest = (rest + decode(chunk)).split("\n")
            for line in whole:
                self._hand_over(line.rstrip("\r"))
        if rest:
            self._hand_over(rest)

    def _hand_over(self, line: str | OSError | None) -> None:
        if isinstance(line, str):
            self.room.acquire()
        with contextlib.suppress(RuntimeError):  # the loop is closed, nobody waits any more
            if not self.stopped:
                self._loop.call_soon_threadsafe(self.queue.put_nowait, line)
