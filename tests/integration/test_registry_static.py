"""`StaticRegistry`: a list that code holds, and changes from any thread."""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from depinmesh import IdentityError, Keypair
from depinmesh.registry import Snapshot, StaticRegistry
from tests.registries import guarded, inside, visitor
from tests.support import eventually

if TYPE_CHECKING:
    from depinmesh import Wallet


def keys(n: int) -> list[Keypair]:
    return [Keypair.generate() for _ in range(n)]


def wallets_of(*some: Keypair) -> list[Wallet]:
    return [key.wallet for key in some]


async def test_a_static_list_changes_at_once_whatever_it_loses() -> None:
    host_key, *friends = keys(6)
    registry = StaticRegistry(wallets_of(host_key, *friends))
    async with guarded(registry, host_key) as host, visitor(host, friends[0]):
        await eventually(lambda: inside(host, friends[0]))
        began = time.monotonic()
        registry.replace([host_key.wallet])
        await eventually(lambda: inside(host))
        print(f"put out {time.monotonic() - began:.3f} s after the change")
        assert time.monotonic() - began < 3 * 0.25
        await asyncio.to_thread(registry.add, friends[0].wallet)
        await eventually(lambda: inside(host, friends[0]))
        registry.remove(friends[0].wallet)
        await eventually(lambda: inside(host))
    with pytest.raises(IdentityError):
        registry.add("not a wallet")
    assert list((await registry.wallets()).wallets) == [host_key.wallet]


async def test_a_static_list_loses_no_change_that_threads_make_at_the_same_time() -> None:
    wallets = wallets_of(*keys(400))
    registry = StaticRegistry()
    pushed: list[Snapshot] = []  # the last one

    async def listen() -> None:
        async for snapshot in registry.changes():
            pushed[:] = [snapshot]

    def work(number: int) -> None:
        start.wait()
        for wallet in wallets[number::4]:
            registry.remove(wallet)

    listening = asyncio.create_task(listen())
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(20):
            pushed.clear()
            start = threading.Barrier(4)
            registry.replace(wallets)
            await asyncio.gather(*(asyncio.to_thread(work, number) for number in range(4)))
            assert list((await registry.wallets()).wallets) == []
            await eventually(lambda: pushed and not pushed[0].wallets)
    finally:
        sys.setswitchinterval(interval)
        listening.cancel()


async def test_one_static_list_serves_several_nodes() -> None:
    one, two, friend = keys(3)
    registry = StaticRegistry(wallets_of(one, two))
    async with guarded(registry, one) as first, guarded(registry, two) as second:
        await eventually(lambda: first.node.gate.listed and second.node.gate.listed)
        registry.add(friend.wallet)
        await eventually(lambda: all(db.node.gate.is_authorized(friend.wallet) for db in (first, second)))
