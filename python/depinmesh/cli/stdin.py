"""Lines of stdin, without holding up the event loop, whatever stdin is: a file, a pipe or a terminal."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import TextIO

_AHEAD = 64  # lines that are read before they are asked for


async def lines(stream: TextIO) -> AsyncIterator[str]:
    """Yield the lines, without their ends.

    A thread reads them, as only some kinds of stdin can be awaited. It is a daemon: nothing can wake a thread that
    waits for a terminal, and it must not keep the process.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str | None] = asyncio.Queue()
    room = threading.Semaphore(_AHEAD)
    stopped = False

    def read() -> None:
        for line in stream:
            room.acquire()
            if stopped:
                return
            loop.call_soon_threadsafe(queue.put_nowait, line.rstrip("\r\n"))
        if not stopped:
            loop.call_soon_threadsafe(queue.put_nowait, None)

    threading.Thread(target=read, name="depinmesh-stdin", daemon=True).start()
    try:
        while (line := await queue.get()) is not None:
            room.release()
            yield line
    finally:
        stopped = True
        room.release()
