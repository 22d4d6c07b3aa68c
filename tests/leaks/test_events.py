"""A million events through three nodes: none lost, none twice, and no memory that stays."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from tests.leaks.meters import allocated, held, resident, untrimmed
from tests.support import eventually, heard, mesh_of

if TYPE_CHECKING:
    from depinmesh import Event

TOPIC = "presence"
A_MESSAGE = "x" * 160
"""An event of some 256 bytes."""
RATE = 900
"""Events a second at most: what is remembered of each for two minutes is a matter of the rate. These 108,000 nearly
fill the tables that hold them, so that the first quarter already makes them double: a table that is more than half
full does so at some time, as what was removed leaves marks behind."""
AT_ONCE = 50
"""Events between two looks at the clock."""
REMEMBERED = 130
"""Seconds until the first events are forgotten everywhere."""
BEHIND = 500
"""The publisher waits when a receiver lags so far."""
GIVEN_OUT, PYTHON = 2**20, 256 * 2**10
"""Bytes that three quarters of a million events may leave allocated, and in what Python holds."""
RESIDENT = 16 * 2**20
"""Bytes by which the most that is resident in these may be above the most in the first quarter: what lies free between
what is in use is the allocator's, and differs from run to run."""


class Seen:
    """Which numbers a node has received."""

    def __init__(self, n: int) -> None:
        self.times = bytearray(n)
        self.count = 0

    def take(self, event: Event) -> None:
        self.times[event.message["n"]] += 1
        self.count += 1


@pytest.mark.timeout(120)
async def test_twenty_thousand_events_arrive_once_each() -> None:
    await run(20_000, measured=False)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
async def test_a_million_events_arrive_once_each_and_leave_nothing() -> None:
    await run(1_000_000, measured=True)


class Pace:
    """Lets no more than so many events a second pass, and makes up for no time that was lost."""

    def __init__(self, rate: float) -> None:
        self._rate, self._due = rate, time.monotonic()

    async def wait(self) -> None:
        """Wait until the next `AT_ONCE` are due."""
        self._due = max(self._due, time.monotonic() - AT_ONCE / self._rate) + AT_ONCE / self._rate
        await asyncio.sleep(max(0.0, self._due - time.monotonic()))


def measure(most: int) -> tuple[int, int, int, int]:
    """Return what is given out, what of it Python holds, the most that was resident and what is."""
    left, python = resident(), tracemalloc.get_traced_memory()[0]
    sizes = (allocated() or 0, python, most, left)
    if python > PYTHON:
        print(*tracemalloc.take_snapshot().statistics("lineno")[:5], sep="\n")
    return sizes


async def run(n: int, *, measured: bool) -> None:
    """Publish n events from one of three nodes, and count them at the others."""
    async with mesh_of(3) as (sender, *receivers):
        seen = [Seen(n) for _ in receivers]
        for receiver, counter in zip(receivers, seen, strict=True):
            await receiver.subscribe(TOPIC, counter.take, queue_size=4 * BEHIND)
            await heard(sender, receiver, TOPIC)
        if measured:
            tracemalloc.start()
        before, rate, sizes = held(), float(RATE), []
        began = time.monotonic()
        for part in (range(n // 4), range(n // 4, n)):
            start, most, pace = time.monotonic(), 0, Pace(rate)
            for number in part:
                if measured and number % AT_ONCE == 0:
                    await pace.wait()
                    most = max(most, untrimmed())
                if measured and number == part.stop - 1:  # the last one makes room for itself: what is old goes
                    rate = len(part) / (time.monotonic() - start)  # the second part fills no more than the first
                    await asyncio.sleep(REMEMBERED)
                await sender.publish(TOPIC, {"n": number, "text": A_MESSAGE})
                while number - min(counter.count for counter in seen) > BEHIND:  # noqa: ASYNC110  # they count by thousands
                    await asyncio.sleep(0.001)
            await eventually(lambda: all(counter.count == part.stop for counter in seen), within=60)  # noqa: B023
            if measured:
                sizes.append(measure(most))
                shown = ", ".join(f"{size / 2**20:.1f}" for size in sizes[-1])
                print(f"{part.stop} events: MiB given out, in Python, most resident, at the end: {shown}", flush=True)
        seconds = time.monotonic() - began
        assert all(set(counter.times) == {1} for counter in seen)
        await eventually(lambda: held().within(before))
        print(f"{n} events in {seconds:.0f} s, to two nodes: each once; {before} before, no more after")
        if measured:
            tracemalloc.stop()
            grown = [after - before for before, after in zip(*sizes, strict=True)]
            assert grown[0] <= GIVEN_OUT
            assert grown[1] <= PYTHON
            assert grown[2] <= RESIDENT
