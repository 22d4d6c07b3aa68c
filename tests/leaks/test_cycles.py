"""What is done again and again leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from depinmesh import PeerDisconnected, connect
from tests.leaks.meters import held, resident, slope
from tests.support import alone, eventually, mesh_of

A_CYCLE = 2_048
"""Bytes that one start and stop may leave, in the long run."""
A_RUN = 2 * 2**20
"""Bytes that ten thousand connections, or a hundred thousand subscriptions, may add after a quarter of them."""
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
    await eventually(lambda: held().within(before))
    grown = slope(sizes)
    print(f"{cycles} starts and stops: {before} before, no more after, {grown:.0f} bytes more for each")
    if cycles >= 1_000:  # fewer say little about memory
        assert grown <= A_CYCLE


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(("times", "names"), [(500, 50), pytest.param(100_000, 1_000, marks=slow)])
async def test_topics_that_are_subscribed_and_left_leave_nothing(times: int, names: int) -> None:
    sizes = []
    async with mesh_of(2) as (one, other):
        for number in range(times):
            async with one.subscribe(f"t{number % names}"):
                pass
            if number == times // 4:
                before = held()
            if number >= times // 4 and number % (times // 40) == 0:
                sizes.append((number, resident()))
        await eventually(lambda: held().within(before))
        assert one.topics() == []
        async with one.subscribe("last"):
            await eventually(lambda: other.topic_peers("last") == [one.node.peer_id])
    grown = slope(sizes)
    print(f"{times} subscriptions: {before} before, no more after, {grown:.1f} bytes more for each")
    if times >= 100_000:  # fewer say little about memory
        assert grown * times * 0.75 <= A_RUN


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("times", [50, pytest.param(10_000, marks=slow)])
async def test_connections_that_come_and_go_leave_nothing(times: int) -> None:
    sizes = []
    async with mesh_of(2) as (one, other):
        (address, *_) = (entry for entry in other.node.addresses if "/quic-v1/" in entry)
        lost = other.node.events(PeerDisconnected)
        for number in range(times):
            await one.node.hang_up(other.node.peer_id)
            with contextlib.suppress(TimeoutError):  # a dial of the other that was under way may take its place at once
                await asyncio.wait_for(anext(lost), 2)
            await one.node.dial(address)  # they lack peers: the other may dial at the same moment
            await eventually(lambda: len(one.peers()) == len(other.peers()) == 1)
            if number == times // 4:
                before = held()
            if number >= times // 4 and number % max(1, times // 40) == 0:
                sizes.append((number, resident()))
        assert one.node.status().counters["connections_total"] > times // 2
        await eventually(lambda: held().within(before))
        async with one.subscribe("last"):
            await eventually(lambda: other.topic_peers("last") == [one.node.peer_id])
    grown = slope(sizes)
    print(f"{times} connections: {before} before, no more after, {grown:.0f} bytes more for each")
    if times >= 10_000:
        assert grown * times * 0.75 <= A_RUN
