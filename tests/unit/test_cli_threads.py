"""The threads of the commands for what blocks."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from depinmesh.cli.app import _in_loop
from depinmesh.cli.threads import _MOST, DaemonThreads


def test_an_event_loop_calls_in_them() -> None:
    def fail() -> None:
        raise LookupError

    async def main() -> tuple[bool, int]:
        with pytest.raises(LookupError):
            await asyncio.to_thread(fail)
        return await asyncio.to_thread(lambda: threading.current_thread().daemon), await asyncio.to_thread(len, "abc")

    assert _in_loop(main()) == (True, 3)


def test_calls_beyond_so_many_wait_their_turn() -> None:
    threads, go = DaemonThreads(), threading.Event()
    begun: list[int] = []

    def hang(number: int) -> bool:
        begun.append(number)
        return go.wait(20)

    futures = [threads.submit(hang, number) for number in range(_MOST + 8)]
    try:
        until = time.monotonic() + 10
        while len(begun) < _MOST and time.monotonic() < until:
            time.sleep(0.01)
        time.sleep(0.05)
        assert sorted(begun) == list(range(_MOST))
        assert futures[-1].cancel()
    finally:
        go.set()
    assert all(future.result(10) for future in futures[:-1])
    threads.shutdown()
    assert sorted(begun) == list(range(_MOST + 7))


def test_the_end_waits_for_what_ends_but_not_for_what_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    threads, go = DaemonThreads(), threading.Event()
    monkeypatch.setattr("depinmesh.cli.threads._PATIENCE", 20.0)
    short = threads.submit(time.sleep, 0.05)
    threads.shutdown()
    assert short.done()
    monkeypatch.setattr("depinmesh.cli.threads._PATIENCE", 0.05)
    hanging = threads.submit(go.wait, 20)
    begun = time.monotonic()
    threads.shutdown()
    assert time.monotonic() - begun < 10
    assert not hanging.done()
    go.set()
    assert hanging.result(10)
