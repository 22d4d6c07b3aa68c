"""What is done again and again leaves nothing behind."""

from __future__ import annotations

import pytest

from depinmesh import connect
from tests.leaks.meters import held, resident, slope
from tests.support import alone, eventually, mesh_of

A_CYCLE = 2_048
"""Bytes that one start and stop may leave, in the long run."""
slow = pytest.mark.slow


@pytest.mark.timeout(900)
@pytest.mark.parametrize("cycles", [20, pytest.param(200, marks=slow), pytest.param(1_000, marks=slow)])
async def test_nodes_that_start_and_stop_leave_nothing(cycles: int) -> None:
    sizes = []
    for cycle in range(cycles + 10):
        async with connect(**alone()):
            pass
        if cycle == 9:  # what is kept for the next one is there by now
            before = held()
        if cycle >= 9 + cycles // 4 and cycle % max(1, cycles // 20) == 0:
            sizes.append((cycle, resident()))
    await eventually(lambda: held() == before)
    grown = slope(sizes)
    print(f"{cycles} starts and stops: {before} before and after, {grown:.0f} bytes more for each")
    if cycles >= 1_000:  # fewer say little about memory
        assert grown <= A_CYCLE


@pytest.mark.timeout(600)
@pytest.mark.parametrize("times", [500, pytest.param(10_000, marks=slow)])
async def test_topics_that_are_subscribed_and_left_leave_nothing(times: int) -> None:
    sizes = []
    async with mesh_of(2) as (one, other):
        for number in range(times):
            async with one.subscribe(f"t{number % 50}"):
                pass
            if number == times // 4:
                before = held()
            if number >= times // 4 and number % (times // 20) == 0:
                sizes.append((number, resident()))
        await eventually(lambda: held() == before)
        assert one.topics() == []
        async with one.subscribe("last"):
            await eventually(lambda: other.topic_peers("last") == [one.node.peer_id])
    print(f"{times} subscriptions: {before} before and after, {slope(sizes):.0f} bytes more for each")
