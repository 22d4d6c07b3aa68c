"""Providers in every form: pushing, with an age, entered and left by the node."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import pytest

from depinmesh import ConfigError, Keypair, Node, PeerRefused, connect
from depinmesh.registry import LoggedRegistry, Snapshot, any_of
from tests.registries import guarded, inside, visitor
from tests.support import LISTEN, alone, eventually, mesh_of, nothing_left, soon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from depinmesh import Wallet


def keys(n: int) -> list[Keypair]:
    return [Keypair.generate() for _ in range(n)]


async def test_a_push_takes_effect_at_once_and_needs_no_second_read() -> None:
    host_key, *friends = keys(6)
    pushes: asyncio.Queue[Snapshot | list[Wallet]] = asyncio.Queue()

    class Pushing:
        async def wallets(self) -> list[Wallet]:
            return [host_key.wallet, *(key.wallet for key in friends)]

        async def changes(self) -> AsyncIterator[Snapshot | list[Wallet]]:
            while True:
                yield await pushes.get()

    async with guarded(Pushing(), host_key) as host, visitor(host, friends[0]), visitor(host, friends[1]):
        await eventually(lambda: inside(host, *friends[:2]))
        began = time.monotonic()
        pushes.put_nowait([host_key.wallet, friends[1].wallet])  # the form of a plain list serves too
        await eventually(lambda: inside(host, friends[1]))
        print(f"put out {time.monotonic() - began:.3f} s after the push")
        assert time.monotonic() - began < 3 * 0.25
        pushes.put_nowait(Snapshot(wallets=[]))
        await eventually(lambda: inside(host))


async def test_a_wallet_that_comes_back_on_a_list_that_is_too_old_is_heard_when_the_list_is_fresh() -> None:
    host_key, friend, third = keys(3)
    everybody = [key.wallet for key in (host_key, friend, third)]
    pushes: asyncio.Queue[Snapshot] = asyncio.Queue()

    class Pushing:
        async def wallets(self) -> list[Wallet]:
            return everybody

        async def changes(self) -> AsyncIterator[Snapshot]:
            while True:
                yield await pushes.get()

    async with guarded(Pushing(), host_key, max_stale=60.0) as host, visitor(host, friend) as guest:
        await eventually(lambda: inside(host, friend))
        pushes.put_nowait(Snapshot(wallets=[host_key.wallet, third.wallet]))
        await eventually(lambda: inside(host))
        pushes.put_nowait(Snapshot(wallets=everybody, taken_at=datetime.now(UTC) - timedelta(seconds=90)))
        await eventually(lambda: host.node.gate.is_authorized(friend.wallet) or (host.node.gate.age or 0) > 60)
        pushes.put_nowait(Snapshot(wallets=everybody))
        await eventually(lambda: inside(host, friend))
        async with host.subscribe("t") as events, guest.subscribe("t") as answers:
            await soon(guest.publish("t", "there", min_peers=1))
            assert (await events.get(15)).message == "there"
            await soon(host.publish("t", "here", min_peers=1))
            assert (await answers.get(15)).wallet in everybody


async def test_pushes_that_fail_are_begun_anew() -> None:
    host_key, friend = keys(2)
    begun = 0

    class Flaky:
        async def wallets(self) -> list[Wallet]:
            return [host_key.wallet]

        async def changes(self) -> AsyncIterator[Snapshot]:
            nonlocal begun
            begun += 1
            if begun == 1:
                raise OSError("gone")
            yield Snapshot(wallets=[host_key.wallet, friend.wallet])
            await asyncio.Event().wait()

    async with guarded(Flaky(), host_key) as host, visitor(host, friend):
        await eventually(lambda: inside(host, friend))
        assert begun == 2


@pytest.mark.parametrize("wrap", [lambda source: source, any_of, LoggedRegistry], ids=["plain", "any_of", "logged"])
async def test_pushes_that_end_are_begun_anew(wrap: Callable[[Any], Any], caplog: pytest.LogCaptureFixture) -> None:
    host_key, friend = keys(2)
    begun = 0

    class Polite:
        """Its stream ends without an error, as that of a WebSocket does when the server says goodbye."""

        async def wallets(self) -> list[Wallet]:
            return [host_key.wallet]

        async def changes(self) -> AsyncIterator[Snapshot]:
            nonlocal begun
            begun += 1
            if begun == 2:
                return  # at once, as behind a load balancer that has nobody
            yield Snapshot(wallets=[host_key.wallet, *[friend.wallet] * (begun - 1)])
            if begun > 1:
                await asyncio.Event().wait()

    async with guarded(wrap(Polite()), host_key) as host, visitor(host, friend):
        await eventually(lambda: inside(host, friend))
        assert begun == 3
    assert "its pushes have ended" in caplog.text


async def test_a_read_that_takes_its_time_to_end_has_no_successor_beside_it() -> None:
    host_key = Keypair.generate()
    calls, at_once, most = 0, 0, 0

    async def wallets() -> list[Wallet]:
        nonlocal calls, at_once, most
        calls, at_once = calls + 1, at_once + 1
        most, number = max(most, at_once), calls
        try:
            if number == 2:
                await asyncio.Event().wait()  # until the gate gives it up
        finally:
            if number == 2:
                await asyncio.sleep(1.5)  # meanwhile several reads are due
            at_once -= 1
        return [host_key.wallet]

    async with guarded(wallets, host_key, timeout=0.2, refresh_interval=0.2) as host:
        await eventually(lambda: calls >= 4)
        assert most == 1
        await eventually(lambda: host.node.gate.age is not None and host.node.gate.age < 1)


async def test_pushes_that_end_at_once_are_none(caplog: pytest.LogCaptureFixture) -> None:
    host_key = Keypair.generate()
    begun = 0

    class Mute:
        async def wallets(self) -> list[Wallet]:
            return [host_key.wallet]

        async def changes(self) -> AsyncIterator[Snapshot]:
            nonlocal begun
            begun += 1
            if begun < 0:
                yield Snapshot(wallets=[])

    async with guarded(Mute(), host_key) as host:
        await eventually(lambda: begun and host.node.gate.listed)
        with pytest.raises(TimeoutError):  # the other test is the control: there it is begun anew after a second
            await asyncio.wait_for(asyncio.Event().wait(), 2)
        assert begun == 1
    assert "pushes" not in caplog.text


@pytest.mark.parametrize("kind", ["iterator", "cleanup"])
async def test_pushes_of_any_kind_end_with_the_node(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    host_key, friend = keys(2)
    ended = asyncio.Event()
    listed = [host_key.wallet]

    class Once:
        """An iterator that is no generator: there is nothing to close."""

        def __init__(self) -> None:
            listed.append(friend.wallet)  # the first read may come after the push
            self.left = [Snapshot(wallets=listed)]

        def __aiter__(self) -> Self:
            return self

        async def __anext__(self) -> Snapshot:
            if self.left:
                return self.left.pop()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()
            raise StopAsyncIteration

    class Provider:
        async def wallets(self) -> list[Wallet]:
            return listed

        def changes(self) -> AsyncIterator[Snapshot]:
            return Once() if kind == "iterator" else self.cleaning()

        async def cleaning(self) -> AsyncIterator[Snapshot]:
            try:
                async for snapshot in Once():
                    yield snapshot
            finally:
                raise OSError("the socket was closed already")

    async with nothing_left(), guarded(Provider(), host_key) as host:
        await eventually(lambda: host.node.gate.is_authorized(friend.wallet))
        began = time.monotonic()
        await soon(host.close())
        assert time.monotonic() - began < 1.5  # nobody had to be given up
    assert ended.is_set()
    assert "The pushes of a registry failed" not in caplog.text


async def test_the_age_of_a_snapshot_counts_towards_stale() -> None:
    host_key, friend = keys(2)

    class Old:
        async def wallets(self) -> Snapshot:
            taken_at = datetime.now(UTC) - timedelta(seconds=100)
            return Snapshot(wallets=[host_key.wallet, friend.wallet], taken_at=taken_at)

    async with guarded(Old(), host_key, max_stale=99.0) as host:
        await eventually(lambda: host.node.gate.age is not None)
        assert 100 <= (host.node.gate.age or 0) < 115
        refusals = host.node.events(PeerRefused)
        async with visitor(host, friend):
            assert (await soon(anext(refusals))).reason == "stale"
    async with guarded(Old(), host_key, max_stale=900.0) as host, visitor(host, friend):
        await eventually(lambda: inside(host, friend))


def test_a_snapshot_wants_a_time_zone() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        Snapshot(wallets=[], taken_at=datetime(2026, 1, 1))  # noqa: DTZ001  # on purpose
    assert Snapshot(wallets=[], taken_at=datetime.now(UTC) + timedelta(days=1)).age == 0


class Living:
    """Says when it is entered and left, and whether both happened in one task."""

    def __init__(self, *wallets: Wallet) -> None:
        self.listed = wallets
        self.entered = self.left = 0
        self.refuses = 0
        self.task: Any = None

    async def __aenter__(self) -> Self:
        if self.refuses:
            self.refuses -= 1
            raise OSError("not yet")
        self.entered += 1
        self.task = asyncio.current_task()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert asyncio.current_task() is self.task
        self.left += 1

    async def wallets(self) -> tuple[Wallet, ...]:
        assert self.entered > self.left
        return self.listed

    async def bootstrap_nodes(self) -> list[str]:
        assert self.entered > self.left
        return []


async def test_a_provider_is_entered_once_and_left_at_the_close() -> None:
    key = Keypair.generate()
    provider = Living(key.wallet)
    async with nothing_left():
        async with guarded(provider, key) as host:
            await eventually(lambda: host.node.gate.listed)
            await host.node.gate.refresh()
            assert (provider.entered, provider.left) == (1, 0)
        assert (provider.entered, provider.left) == (1, 1)


async def test_a_provider_that_cannot_be_entered_is_a_registry_that_fails() -> None:
    key = Keypair.generate()
    provider = Living(key.wallet)
    provider.refuses = 2
    async with guarded(provider, key) as host:
        await eventually(lambda: host.node.gate.listed)
        assert host.node.status().counters["registry_failures_total"] == 2
    assert (provider.entered, provider.left) == (1, 1)


async def test_a_provider_is_left_with_the_last_database_that_uses_it() -> None:
    key = Keypair.generate()
    shared, own = Living(key.wallet), Living(key.wallet)
    async with Node(**alone(private_key=key, authorized_wallets=shared)) as node:
        one = await node.database("one")
        two = await node.database("two")
        three = await node.database("three", authorized_wallets=own)
        await eventually(lambda: shared.entered and own.entered)
        await one.close()
        assert shared.left == 0
        await three.close()
        assert (own.left, shared.left) == (1, 0)
        await two.close()
        assert (shared.entered, shared.left) == (1, 1)


async def test_the_bootstrap_provider_is_entered_too() -> None:
    key = Keypair.generate()
    provider = Living(key.wallet)
    async with connect(private_key=key, authorized_wallets=[key.wallet], bootstrap_nodes=provider, listen=LISTEN):
        await eventually(lambda: provider.entered)
    assert provider.left == 1


async def test_what_is_no_provider_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match=r"nor an object with wallets\(\) or check\(\)"):
        Node(**alone(authorized_wallets=7))


async def test_lists_and_providers_can_be_mixed_on_one_network() -> None:
    async with mesh_of(2) as (one, two):
        assert one.peers()
        assert two.peers()


async def test_a_check_that_cannot_be_cancelled_keeps_no_other_wallet_out() -> None:
    host_key, stranger, friend = keys(3)
    ends = asyncio.Event()

    class Stubborn:
        async def check(self, wallet: Wallet) -> bool:
            while wallet == stranger.wallet and not ends.is_set():
                with suppress(asyncio.CancelledError):
                    await ends.wait()
            return wallet != stranger.wallet

    async with guarded(Stubborn(), host_key, timeout=0.5) as host, visitor(host, stranger), visitor(host, friend):
        await eventually(lambda: inside(host, friend))
        ends.set()
