"""The network goes on while Python does not: no thread of the core waits for the interpreter."""

from __future__ import annotations

import asyncio
import ctypes
import threading
import time

import pytest

from tests.security.attack import address_of, counted, envelope, full, intruder, victim
from tests.support import eventually

TOPIC = "rooms"
HELD = 10
"""Seconds: more than the eight after which a peer that does not answer is given up."""
BACKLOG = 200
"""Events that the attacker is told of before: as many as the pipe to it has room for."""
DRAINED = 3.0
"""Threefold of what users may count on."""


@pytest.mark.timeout(90)
async def test_a_call_that_holds_the_interpreter_costs_no_peer_and_no_event() -> None:
    sleep = ctypes.PyDLL(None).sleep  # which keeps the lock, unlike CDLL
    async with intruder() as (guest, key), victim(key.wallet) as db, db.subscribe(TOPIC) as events:
        await guest.dial(address_of(db.node, "quic"), hold_ms=0)
        await guest.wait("peer-subscribed", topic=full(db, TOPIC))
        (connected_at,) = [peer.connected_at for peer in db.peers()]
        for number in range(BACKLOG):
            guest.tell("publish", topic=full(db, TOPIC), data=envelope("", number), times=1)
        began = time.monotonic()
        sleep(HELD)
        assert time.monotonic() - began >= HELD * 0.99

        began = time.monotonic()
        got = [(await events.get(15)).message for _ in range(BACKLOG)]
        drained = time.monotonic() - began
        print(f"held for {HELD} s, then {BACKLOG} events taken in {drained * 1000:.0f} ms")
        assert got == list(range(BACKLOG))
        assert drained <= DRAINED
        assert [peer.connected_at for peer in db.peers()] == [connected_at]
        assert counted(db.node, "connections_total") == 1
        assert guest.said("closed") == []


@pytest.mark.timeout(150)
@pytest.mark.parametrize("seconds", [10, pytest.param(60, marks=pytest.mark.slow)])
async def test_threads_that_compute_all_the_time_cost_no_peer_and_no_event(seconds: int) -> None:
    done = threading.Event()

    def compute() -> None:
        while not done.is_set():
            sum(range(10_000))

    threads = [threading.Thread(target=compute, daemon=True) for _ in range(2)]
    async with intruder() as (guest, key), victim(key.wallet) as db, db.subscribe(TOPIC) as events:
        await guest.dial(address_of(db.node, "quic"), hold_ms=0)
        await guest.wait("peer-subscribed", topic=full(db, TOPIC))
        for thread in threads:
            thread.start()
        try:
            end, number, took = time.monotonic() + seconds, 0, list[float]()
            while (began := time.monotonic()) < end:
                guest.tell("publish", topic=full(db, TOPIC), data=envelope("", number), times=1)
                assert (await events.get(15)).message == number
                took.append(time.monotonic() - began)
                number += 1
                await asyncio.sleep(0.01)
        finally:
            done.set()
            for thread in threads:
                thread.join()
        took.sort()
        times = f"p50 {took[number // 2] * 1000:.0f} ms, p99 {took[number * 99 // 100] * 1000:.0f} ms"
        print(f"{number} events in {seconds} s beside two busy threads, from the command to the event {times}")
        assert number > seconds
        assert counted(db.node, "connections_total") == 1
        await eventually(lambda: len(db.peers()) == 1)
        assert guest.said("closed") == []
