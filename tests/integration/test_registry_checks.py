"""Registries that cannot list: asked wallet by wallet, however slow, through a real gate."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair, PeerRefused, RegistryFailed, WalletRevoked
from tests.registries import Checker, guarded, inside, visitor
from tests.support import eventually, soon

if TYPE_CHECKING:
    from depinmesh import Wallet


def keys(n: int) -> list[Keypair]:
    return [Keypair.generate() for _ in range(n)]


async def test_a_registry_without_a_list_is_asked_about_each_newcomer() -> None:
    host_key, friend, stranger = keys(3)
    registry = Checker(host_key, friend)
    async with guarded(registry, host_key, negative_ttl=60.0) as host:
        refusals = host.node.events(PeerRefused)
        async with visitor(host, friend), visitor(host, stranger):
            await eventually(lambda: inside(host, friend))
            refusal = await soon(anext(refusals))
            assert (refusal.wallet, refusal.reason) == (stranger.wallet, "not-listed")
            await soon(anext(refusals))  # it knocks again, and nobody is asked
            assert registry.calls.count(stranger.wallet) == 1
            assert host.node.gate.listed
            assert set(host.node.gate.wallets) == {host_key.wallet, friend.wallet}


async def test_a_plain_check_serves_as_well() -> None:
    host_key, friend = keys(2)

    class Plain:
        def check(self, wallet: Wallet) -> bool:
            return wallet in (host_key.wallet, friend.wallet)

    async with guarded(Plain(), host_key) as host, visitor(host, friend):
        await eventually(lambda: inside(host, friend))


async def test_whoever_is_inside_is_checked_again_at_each_refresh() -> None:
    host_key, *friends = keys(6)
    registry = Checker(host_key, *friends)
    async with guarded(registry, host_key, refresh_interval=0.5) as host:
        visits = [await visitor(host, friend) for friend in friends]
        await eventually(lambda: inside(host, *friends))
        revocations = host.node.events(WalletRevoked)
        registry.good = {host_key.wallet, friends[0].wallet}  # far fewer than half, and each is certain
        began = time.monotonic()
        await eventually(lambda: inside(host, friends[0]))
        print(f"put out {time.monotonic() - began:.2f} s after the registry changed, refresh every 0.5 s")
        assert time.monotonic() - began < 0.5 + 3 * 1.0
        assert {(await soon(anext(revocations))).wallet for _ in range(4)} == {key.wallet for key in friends[1:]}
        for one in visits:
            await one.close()


async def test_checks_that_fail_let_nobody_in_and_put_nobody_out() -> None:
    host_key, friend, latecomer = keys(3)
    registry = Checker(host_key, friend, latecomer)
    async with guarded(registry, host_key, refresh_interval=0.4, negative_ttl=0.0) as host, visitor(host, friend):
        await eventually(lambda: inside(host, friend))
        registry.error = OSError("the chain is down")
        failures = host.node.events(RegistryFailed)
        assert "the chain is down" in (await soon(anext(failures))).error
        refusals = host.node.events(PeerRefused)
        async with visitor(host, latecomer):
            assert (await soon(anext(refusals))).reason == "registry-failed"
            assert inside(host, friend)
            registry.error = None
            await eventually(lambda: inside(host, friend, latecomer))


async def test_an_author_who_is_no_neighbour_is_checked_too() -> None:
    a, b, c = keys(3)
    registry = Checker(a, b, c)
    everyone = [key.wallet for key in (a, b, c)]
    # b in the middle: a and c only hear each other through it, and never meet.
    async with (
        guarded(everyone, b, dht=False) as middle,
        guarded(registry, a, dht=False) as left,
        guarded(everyone, c, dht=False) as right,
    ):
        for outer in (left, right):
            await outer.node.dial(middle.node.bootstrap_entries()[0])
        async with left.subscribe("t") as events, middle.subscribe("t"):
            await right.wait_for_peers("t", 1, timeout=10)

            async def talk() -> None:
                while True:
                    await right.publish("t", 1)
                    await asyncio.sleep(0.2)

            talking = asyncio.create_task(talk())
            assert (await soon(events.get())).wallet == c.wallet
            talking.cancel()
        assert left.node.status().counters["dropped_total"] > 0  # what came before the answer


async def test_checks_too_slow_for_one_read_still_let_newcomers_in_and_put_the_removed_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    host_key, latecomer, *friends = keys(6)

    class Slow:
        def __init__(self) -> None:
            self.good = {key.wallet for key in (host_key, latecomer, *friends)}
            self.pause = 0.0
            self.slow_calls = 0
            self.error: Exception | None = None

        def check(self, wallet: Wallet) -> bool:
            self.slow_calls += self.pause > 0
            time.sleep(self.pause)
            if self.error is not None:
                raise self.error
            return wallet in self.good

    registry = Slow()
    gate: dict[str, Any] = {"timeout": 1.0, "refresh_interval": 0.3, "negative_ttl": 0.0}
    async with AsyncExitStack() as stack:
        host = await stack.enter_async_context(guarded(registry, host_key, **gate))
        for friend in friends:
            await stack.enter_async_context(visitor(host, friend))
        await eventually(lambda: inside(host, *friends))
        with host.node.events(RegistryFailed) as failures:
            registry.pause = 0.25  # five of them: 1.25 s
            await eventually(lambda: registry.slow_calls > 5)
            await stack.enter_async_context(visitor(host, latecomer))
            await eventually(lambda: inside(host, latecomer, *friends))
            registry.good -= {friends[0].wallet, friends[3].wallet}
            await eventually(lambda: inside(host, latecomer, *friends[1:3]))
            assert "Wallets could not be checked, and stay as they were" in caplog.text
            assert host.node.status().counters["registry_failures_total"] == 0
            registry.error = OSError("the chain is down")
            assert "the chain is down" in (await soon(anext(failures))).error  # the first one of all
            assert inside(host, latecomer, *friends[1:3])


@pytest.mark.parametrize("where", ["inside", "outside"])
async def test_a_check_that_hangs_for_one_wallet_keeps_nobody_else_out(where: str) -> None:
    host_key, friend, stranger, latecomer = keys(4)
    registry = Checker(host_key, friend, latecomer)
    gate: dict[str, Any] = {"timeout": 0.5, "refresh_interval": 0.5, "negative_ttl": 0.0}
    async with guarded(registry, host_key, **gate) as host, visitor(host, friend):
        await eventually(lambda: inside(host, friend))
        stuck = friend if where == "inside" else stranger
        registry.hangs = {stuck.wallet}
        registry.calls.clear()
        async with visitor(host, stranger):
            await eventually(lambda: registry.calls.count(stuck.wallet) >= 2)
            async with visitor(host, latecomer):
                await eventually(lambda: inside(host, friend, latecomer))
                registry.good.discard(latecomer.wallet)
                await eventually(lambda: inside(host, friend))
                assert host.node.status().counters["registry_failures_total"] == 0
                registry.good.add(latecomer.wallet)
                registry.good.discard(friend.wallet)
                registry.hangs = set()
                await eventually(lambda: inside(host, latecomer))
