"""How a process of the demonstration talks with the one that plays it: JSON lines, commands in, reports out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from depinmesh.cli.stdin import lines

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class Lines:
    """The commands on stdin, and reports to stdout."""

    def __init__(self) -> None:
        self._lines = lines(0)

    async def command(self) -> dict[str, Any] | None:
        """Return the next command; None when there will be none, whatever happened to the one who gives them."""
        line = await anext(self._lines, None)
        command: dict[str, Any] | None = None if line is None else json.loads(line)
        return command

    @staticmethod
    def report(kind: str, **fields: Any) -> None:
        """Write one report."""
        print(json.dumps({"report": kind, **fields}), flush=True)


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
