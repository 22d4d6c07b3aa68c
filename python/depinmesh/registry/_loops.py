"""What of asyncio serves one event loop alone, for registries that outlive it."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary


class LoopLock:
    """A lock for each event loop that uses it, such as those of one `asyncio.run` after another."""

    def __init__(self) -> None:
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    def __call__(self) -> asyncio.Lock:
        """Return that of the running loop."""
        return self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock())
