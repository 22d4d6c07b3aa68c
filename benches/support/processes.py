"""Processes of a bench: started on a core of their own, heard line by line, and ended with it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import TracebackType

LONGEST = 120.0  # seconds


class Child:
    """A process that answers in lines of JSON. It is killed at the end of the block, or when it takes too long."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        core: int | None = None,
        spec: dict[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        longest: float = LONGEST,
    ) -> None:
        pipe = subprocess.PIPE
        with _on(core):
            # Not a session of its own: Linux schedules sessions as groups (autogroup, sched(7)), and behind two busy
            # ones a third that hardly runs is kept waiting for tens of milliseconds.
            self._process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, text=True, env=environment, process_group=0
            )
        self.pid = self._process.pid
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("both are pipes")
        self._out = self._process.stdout
        self._timer = threading.Timer(longest, self.end)
        self._timer.daemon = True
        self._timer.start()
        if spec is not None:
            self.tell(spec)

    def tell(self, line: dict[str, Any]) -> None:
        """Write a line to it."""
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps(line) + "\n")
            self._process.stdin.flush()

    def line(self, event: str) -> dict[str, Any]:
        """Return the next line about this; others before it are passed over."""
        for text in self._out:
            line: dict[str, Any] = json.loads(text)
            if line["event"] == event:
                return line
            if line["event"] == "failed":
                raise RuntimeError(f"{self._process.args!r}: {line['error']}")
        raise RuntimeError(f"{self._process.args!r} ended with {self._process.wait()} before it said {event!r}")

    def end(self) -> None:
        """End it now, and what it has started, such as a broker."""
        with contextlib.suppress(ProcessLookupError):  # all have ended
            os.killpg(self.pid, signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is None and self._process.stdin is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(3)
        self.end()
        self._process.communicate()
        self._timer.cancel()


@contextlib.contextmanager
def _on(core: int | None) -> Iterator[None]:
    """Let what is started here stay on one core: a child begins with the cores of its parent."""
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    allowed = sorted(before)
    os.sched_setaffinity(0, {allowed[core % len(allowed)]})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def heed_termination() -> None:
    """Make SIGTERM an exit, so that what was started is ended too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def python(*arguments: str) -> list[str]:
    """Return the command that runs this interpreter."""
    return [sys.executable, *arguments]
