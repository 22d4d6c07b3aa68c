"""What of asyncio serves one event loop alone, for registries that outlive it."""

from __future__ import annotations

import asyncio


class LoopLock:
    """A lock for each event loop that uses it, such as those of one `asyncio.run` after another."""

    def __init__(self) -> None:
        self._locks: dict[asyncio.AbstractEventLoop, asyncio.Lock] = {}

    def __call__(self) -> asyncio.Lock:
        """Return that of the running loop."""
        # A lock that was waited for holds its loop, so weak keys would keep each for ever.
        for loop in [loop for loop in list(self._locks) if loop.is_closed()]:
            self._locks.pop(loop, None)
        return self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())
