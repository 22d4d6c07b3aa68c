"""A program of one's own that a signal ends: `depinmesh.signals`."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys

import pytest

from depinmesh.signals import until_stopped
from tests.commands import WAIT, line_of

PROGRAM = """
import asyncio
from depinmesh import Keypair, connect
from depinmesh.signals import until_stopped

KEY = Keypair.generate()

async def main():
    listen = {"hosts": ["127.0.0.1"], "quic_port": 0, "tcp_port": 0}
    async with connect(private_key=KEY, authorized_wallets=[KEY.wallet], listen=listen) as db:
        print("open", flush=True)
        try:
            await asyncio.Event().wait()
        finally:
            print(db.node.state.name, flush=True)
    print(db.node.state.name, flush=True)

print(asyncio.run(until_stopped(main())))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot send Ctrl-C to one process alone")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_closes_what_the_program_has_opened(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        try:
            line_of(program.stdout, "open")
            program.send_signal(number)
            out, err = program.communicate(timeout=WAIT)
        finally:
            program.kill()
    # The work is cancelled while the node runs, and the node is closed when the process ends.
    assert (program.returncode, out, err) == (0, "RUNNING\nTrue\n", "")


def test_work_that_ends_by_itself_was_not_stopped_and_the_handlers_are_given_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    async def work() -> None:
        assert signal.getsignal(signal.SIGTERM) != before[1]

    assert asyncio.run(until_stopped(work())) is False
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_what_the_work_raises_is_raised() -> None:
    async def work() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        asyncio.run(until_stopped(work()))


async def test_cancelling_it_cancels_the_work() -> None:
    began, cancelled = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    task = asyncio.create_task(until_stopped(work()))
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled.is_set()


async def test_outside_the_main_thread_it_raises_before_the_work_begins() -> None:
    begun: list[bool] = []

    async def work() -> None:
        begun.append(True)

    def elsewhere() -> None:
        asyncio.run(until_stopped(work()))

    with pytest.raises(ValueError, match="main thread"):
        await asyncio.to_thread(elsewhere)
    assert begun == []
