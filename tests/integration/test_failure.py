"""A core that panics: what a program sees, and that it can go on."""

from __future__ import annotations

import asyncio
import time

import pytest

from depinmesh import ClosedError, CoreError, NodeState, PeerDisconnected, WalletRevoked
from depinmesh.testing import crash, network
from tests.support import eventually, nothing_left, soon, state_of

# A line of the panic goes to stderr, which is not under test.


async def test_a_panic_fails_the_node_within_a_second_and_every_await_with_it() -> None:
    async with nothing_left(), network(2) as (db, other):
        node = db.node
        subscription = await db.subscribe("t")
        iterated = await db.subscribe("u")
        waits = [
            asyncio.create_task(wait)
            for wait in (
                subscription.get(),
                anext(iterated),
                anext(node.events(WalletRevoked)),
                db.wait_for_peers("t", 5),
                db.publish("t", 1, min_peers=5),
                node.dial("/ip4/127.0.0.1/udp/9/quic-v1"),
            )
        ]
        await asyncio.sleep(0.01)  # each is under way; which of them is not would raise the same
        began = time.monotonic()
        crash(db)
        for wait in waits:
            with pytest.raises(CoreError, match="crashed on request"):
                await soon(wait)
        assert state_of(node) is NodeState.FAILED
        assert time.monotonic() - began < 3  # one second is promised
        for call in (lambda: db.publish("t", 1), node.gate.refresh, subscription.get, node.wait_ready):
            with pytest.raises(CoreError):
                await soon(call())
        with pytest.raises(CoreError):
            crash(node)
        await eventually(lambda: other.peers() == [])
        await soon(db.close())
        assert state_of(node) is NodeState.CLOSED
        with pytest.raises(ClosedError):
            crash(node)


async def test_after_a_panic_a_new_node_runs_in_the_same_process() -> None:
    async with network(2) as (db, _):
        crash(db.node)
        await eventually(lambda: db.node.state is NodeState.FAILED)
        async with network(2) as (one, two), two.subscribe("t") as events:
            await one.publish("t", "on", min_peers=1, timeout=15)
            assert (await events.get(15)).message == "on"


async def test_a_panic_of_one_node_leaves_the_others_of_the_process_alone() -> None:
    async with network(3) as (one, two, three), three.subscribe("t") as events:
        with two.node.events(PeerDisconnected) as lost:
            crash(one)
            assert (await soon(anext(lost))).peer_id == one.node.peer_id
        await two.publish("t", "still here", min_peers=1, timeout=15)
        assert (await events.get(15)).message == "still here"
        assert state_of(two.node) is NodeState.RUNNING
