"""The processes of the demonstration, as the one that plays it holds them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from asyncio.subprocess import PIPE
from collections import deque
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from asyncio.subprocess import Process

_END = 10.0  # it takes one second, on a machine that has one
_FORCED_END = 1.0
_KEPT_LINES = 20


class DemoError(Exception):
    """The demonstration cannot go on; the sentence says why."""


class Child:
    """One process: commands go in, reports come out. Leaving the block ends it, in every case."""

    def __init__(self, name: str, module: str) -> None:
        self.name = name
        self._module = module
        self._complaints: deque[str] = deque(maxlen=_KEPT_LINES)

    async def __aenter__(self) -> Self:
        """Start it."""
        # -P: a folder that happens to be here must not be taken for our package.
        self._process: Process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", self._module, stdin=PIPE, stdout=PIPE, stderr=PIPE
        )
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        """End it: by the end of its commands, else by force."""
        try:
            await self.ended(_FORCED_END)
        finally:
            if self._process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
                await self._process.wait()
            await self._listening

    async def ended(self, timeout: float = _END) -> int | None:
        """Let it end, and return its exit code; None when it does not."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(timeout):
                return await self._process.wait()
        except TimeoutError:
            return None

    def tell(self, **command: Any) -> None:
        """Send one command."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")

    async def hear(self, kind: str) -> dict[str, Any]:
        """Return the next report, which must be of this kind."""
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line:
            code = await self._process.wait()
            await self._listening
            raise DemoError(f"the process of {self.name} has ended with code {code}: {self._last_words()}")
        report: dict[str, Any] = json.loads(line)
        if report["report"] == "failed":
            raise DemoError(f"{self.name} failed: {report['reason']}")
        if report["report"] != kind:
            raise DemoError(f"{self.name} said {report['report']!r} where it was asked for {kind!r}")
        return report

    async def _listen(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self._complaints.append(line.decode(errors="replace").rstrip())

    def _last_words(self) -> str:
        return self._complaints[-1] if self._complaints else "it said nothing"
