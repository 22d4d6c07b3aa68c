"""How a process of the demonstration talks with the one that plays it: JSON lines, commands in, reports out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_CHUNK = 65_536


class Lines:
    """The commands on stdin, and reports to stdout."""

    def __init__(self) -> None:
        self._commands: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue(maxsize=0)
        loop = asyncio.get_running_loop()
        # A thread, as not every loop can watch a pipe.
        threading.Thread(target=_read, args=(loop, self._commands), name="commands", daemon=True).start()

    async def command(self) -> dict[str, Any] | None:
        """Return the next command; None when there will be none, whatever happened to the one who gives them."""
        return await self._commands.get()

    @staticmethod
    def report(kind: str, **fields: Any) -> None:
        """Write one report."""
        print(json.dumps({"report": kind, **fields}), flush=True)


def _read(loop: asyncio.AbstractEventLoop, commands: asyncio.Queue[dict[str, Any] | None]) -> None:
    rest = b""
    with contextlib.suppress(RuntimeError):  # the loop has ended first
        # Not sys.stdin, whose lock this thread would still hold when the interpreter ends.
        while chunk := os.read(0, _CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                loop.call_soon_threadsafe(commands.put_nowait, json.loads(line))
        loop.call_soon_threadsafe(commands.put_nowait, None)


def run(role: Callable[[Lines], Coroutine[Any, Any, None]]) -> int:
    """Play a role, and report what ends it before its time."""

    async def play() -> None:
        await role(Lines())

    try:
        asyncio.run(play())
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001  # the one who plays shows it
        with contextlib.suppress(OSError):
            Lines.report("failed", reason=f"{type(error).__name__}: {error}")
            return 1
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0
