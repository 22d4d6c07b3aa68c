"""A million events through three nodes: none lost, none twice, and no memory that stays."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from tests.leaks.meters import allocated, held, resident
from tests.support import eventually, heard, mesh_of

if TYPE_CHECKING:
    from depinmesh import Event

TOPIC = "presence"
A_MESSAGE = "x" * 160
"""An event of some 256 bytes."""
RATE = 1_500
"""Events a second at most: what is remembered of each for two minutes is a matter of the rate."""
REMEMBERED = 130
"""Seconds until the first events are forgotten everywhere."""
BEHIND = 500
"""The publisher waits when a receiver lags so far."""
RESIDENT, PYTHON = 8 * 2**20, 256 * 2**10
"""Bytes that three quarters of a million events may leave in the process, and in what Python holds."""


class Seen:
    """Which numbers a node has received."""

    def __init__(self, n: int) -> None:
        self.times = bytearray(n)
        self.count = 0

    def take(self, event: Event) -> None:
        self.times[event.message["n"]] += 1
        self.count += 1


async def test_twenty_thousand_events_arrive_once_each() -> None:
    await run(20_000, measured=False)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
async def test_a_million_events_arrive_once_each_and_leave_nothing() -> None:
    await run(1_000_000, measured=True)


async def run(n: int, *, measured: bool) -> None:
    """Publish n events from one of three nodes, and count them at the others."""
    async with mesh_of(3) as (sender, *receivers):
        seen = [Seen(n) for _ in receivers]
        for receiver, counter in zip(receivers, seen, strict=True):
            await receiver.subscribe(TOPIC, counter.take, queue_size=4 * BEHIND)
            await heard(sender, receiver, TOPIC)
        if measured:
            tracemalloc.start()
        before, sizes = held(), []
        began = time.monotonic()
        for part in (range(n // 4), range(n // 4, n)):
            start = time.monotonic() - part.start / RATE
            for number in part:
                if measured and number == part.stop - 1:  # the last one makes room for itself: what is old goes
                    await asyncio.sleep(REMEMBERED)
                await sender.publish(TOPIC, {"n": number, "text": A_MESSAGE})
                while number - min(counter.count for counter in seen) > BEHIND:  # noqa: ASYNC110  # they count by thousands
                    await asyncio.sleep(0.001)
                if measured:
                    await asyncio.sleep(max(0.0, start + number / RATE - time.monotonic()))
            await eventually(lambda: all(counter.count == part.stop for counter in seen), within=60)  # noqa: B023
            if measured:
                sizes.append((resident(), allocated() or 0, tracemalloc.get_traced_memory()[0]))
        seconds = time.monotonic() - began
        assert all(set(counter.times) == {1} for counter in seen)
        await eventually(lambda: held().within(before))
        print(f"{n} events in {seconds:.0f} s, to two nodes: each once; {before} before, no more after")
        if measured:
            tracemalloc.stop()
            grown = [after - before for before, after in zip(*sizes, strict=True)]
            kib = [f"{size / 1024:.0f} KiB" for size in grown]
            print(f"grown after a quarter of them: {kib[0]} resident, {kib[1]} given out, {kib[2]} in Python")
            assert max(grown[:2]) <= RESIDENT
            assert grown[2] <= PYTHON
