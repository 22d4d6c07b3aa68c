"""Calling functions of the user."""

from __future__ import annotations

import asyncio
import contextvars
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from depinmesh._calls import Calls
from tests.support import WAIT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

THREAD = "depinmesh-calls"


@pytest.fixture
async def calls() -> AsyncIterator[Calls]:
    calls = Calls()
    yield calls
    calls.stop()
    await calls.ended()
    assert THREAD not in [thread.name for thread in threading.enumerate()]


async def test_a_coroutine_function_runs_on_the_loop(calls: Calls) -> None:
    async def function() -> str:
        return threading.current_thread().name

    assert await calls.call(function) == threading.current_thread().name


async def test_an_object_with_an_async_call_runs_on_the_loop(calls: Calls) -> None:
    class Function:
        async def __call__(self) -> str:
            return threading.current_thread().name

    assert await calls.call(Function()) == threading.current_thread().name


async def test_plain_functions_share_one_thread(calls: Calls) -> None:
    names = await asyncio.gather(*(calls.call(lambda: threading.current_thread()) for _ in range(5)))  # noqa: PLW0108
    assert len(set(names)) == 1
    assert names[0].name == THREAD


async def test_a_plain_function_that_returns_an_awaitable_is_awaited_on_the_loop(calls: Calls) -> None:
    async def function() -> str:
        return threading.current_thread().name

    assert await calls.call(lambda: function()) == threading.current_thread().name  # noqa: PLW0108


async def test_a_thread_that_cannot_be_started_is_tried_again_by_the_next_call(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", full)
        with pytest.raises(RuntimeError, match="can't start"):
            await calls.call(lambda: 1)
    async with asyncio.timeout(WAIT):
        assert await calls.call(lambda: 1) == 1


def test_calls_of_several_loops_are_each_answered_in_their_own() -> None:
    calls, loops = Calls(), 2
    together = threading.Barrier(loops, timeout=WAIT)

    async def in_one_loop() -> int:
        together.wait()
        async with asyncio.timeout(WAIT):
            answers: list[int] = [await calls.call(lambda: 1) for _ in range(100)]
            return sum(answers)

    async def end() -> None:
        calls.stop()
        await calls.ended()

    with ThreadPoolExecutor(loops) as threads:
        for _ in range(2):  # also after the loops of before have ended
            runs = [threads.submit(lambda: asyncio.run(in_one_loop())) for _ in range(loops)]
            assert [run.result() for run in runs] == [100] * loops
    asyncio.run(end())
    assert THREAD not in [thread.name for thread in threading.enumerate()]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="missing: os.fork")
def test_plain_functions_are_called_in_a_forked_process_too() -> None:
    script = """
import asyncio, os
from depinmesh._calls import Calls

calls = Calls()

async def call():
    async with asyncio.timeout(10):
        return await calls.call(os.getpid)

assert asyncio.run(call()) == os.getpid()
if child := os.fork():
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
assert asyncio.run(call()) == os.getpid()
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


async def test_a_plain_function_sees_the_context_of_its_caller(calls: Calls) -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    variable.set("set")
    assert await calls.call(lambda: variable.get()) == "set"  # noqa: PLW0108


@pytest.mark.parametrize("error", [ValueError("wrong"), SystemError("odd"), GeneratorExit()])
async def test_what_a_plain_function_raises_is_raised(calls: Calls, error: BaseException) -> None:
    def function() -> None:
        raise error

    with pytest.raises(type(error)):
        await calls.call(function)


async def test_stop_iteration_does_not_end_the_caller(calls: Calls) -> None:
    def function() -> None:
        raise StopIteration

    with pytest.raises(RuntimeError, match="StopIteration"):
        await calls.call(function)


async def test_no_call_begins_before_an_abandoned_one_has_returned(calls: Calls) -> None:
    entered, leave, order = threading.Event(), threading.Event(), []

    def hangs() -> None:
        entered.set()
        leave.wait(10)
        order.append("first")

    first = asyncio.create_task(calls.call(hangs))
    await asyncio.to_thread(entered.wait, 10)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    skipped = asyncio.create_task(calls.call(lambda: order.append("never")))
    await asyncio.sleep(0)
    skipped.cancel()
    second = asyncio.create_task(calls.call(lambda: order.append("second")))
    await asyncio.sleep(0.01)
    assert order == []
    leave.set()
    await second
    assert order == ["first", "second"]


async def test_the_end_does_not_wait_for_a_function_that_hangs() -> None:
    calls, leave = Calls(), threading.Event()
    hanging = asyncio.create_task(calls.call(lambda: leave.wait(10)))
    await asyncio.sleep(0.01)
    calls.stop()
    async with asyncio.timeout(3):
        await calls.ended()
    leave.set()
    assert await hanging
