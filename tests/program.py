"""A program outside of this process that is driven by JSON lines: what it said, and what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import defaultdict
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self, TypeAlias

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator, Callable, Mapping

Line: TypeAlias = dict[str, Any]

LONGEST_LINE = 16 * 1024 * 1024
PATIENCE = 30.0


class Program:
    """A running program and everything it has said so far."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._changed = asyncio.Event()
        self._ended = False
        self._by_event: dict[str, list[Line]] = defaultdict(list)
        self.lines: list[Line] = []

    @classmethod
    @asynccontextmanager
    async def run(cls, *command: object, env: Mapping[str, str] | None = None) -> AsyncIterator[Self]:
        """Start it; it ends with the block, whatever happens in it."""
        pipe = asyncio.subprocess.PIPE
        words = [str(word) for word in command]
        process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, limit=LONGEST_LINE, env=env)
        program = cls(process)
        reading = asyncio.create_task(program._read())
        try:
            yield program
        finally:
            program.kill()
            await process.wait()
            await reading

    def kill(self) -> None:
        """End it without a word to anybody."""
        with contextlib.suppress(ProcessLookupError):  # it may have ended by itself
            self.process.kill()

    def said(self, event: str, **fields: Any) -> list[Line]:
        """Return its lines about an event, so far, that have these fields."""
        lines = self._by_event[event]
        return [line for line in lines if fields.items() <= line.items()] if fields else lines

    async def wait(self, event: str, *, n: int = 1, within: float = PATIENCE, **fields: Any) -> Line:
        """Wait until it has said this n times; return the last of them."""
        await self.wait_for(lambda: len(self.said(event, **fields)) >= n, within, f"{event!r} {fields}")
        return self.said(event, **fields)[n - 1]

    async def wait_for(self, condition: Callable[[], bool], within: float = PATIENCE, what: str = "such line") -> None:
        """Wait until what it has said so far meets the condition."""
        try:
            async with asyncio.timeout(within):
                while not condition():
                    assert not self._ended, f"the program ended without {what}: {self.lines[-3:]}"
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"no {what} within {within:g} s: {self.lines[-5:]}") from None

    def tell(self, command: str, **fields: Any) -> None:
        """Give it a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"cmd": command, **fields}).encode() + b"\n")

    async def ask(self, command: str, answer: str, *, within: float = PATIENCE, **fields: Any) -> Line:
        """Give it a command and wait for the line that answers it."""
        before = len(self.said(answer))
        self.tell(command, **fields)
        return await self.wait(answer, n=before + 1, within=within)

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for raw in self.process.stdout:
            line = json.loads(raw)
            self.lines.append(line)
            self._by_event[line["event"]].append(line)
            self._changed.set()
        self._ended = True
        self._changed.set()
