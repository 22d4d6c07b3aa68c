"""What of asyncio serves one event loop alone, for registries that outlive it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


class PerLoop(Generic[T]):
    """Something for each event loop that uses it, such as those of one `asyncio.run` after another."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: dict[asyncio.AbstractEventLoop, T] = {}

    def __call__(self) -> T:
        """Return that of the running loop; it is made when it is first asked for."""
        # What was waited for holds its loop, so weak keys would keep each for ever.
        for loop in [loop for loop in list(self._made) if loop.is_closed()]:
            self._made.pop(loop, None)
        loop = asyncio.get_running_loop()
        if loop not in self._made:
            self._made[loop] = self._make()
        return self._made[loop]

    def take(self) -> T | None:
        """Return that of the running loop, if it was made, and forget it."""
        return self._made.pop(asyncio.get_running_loop(), None)
