"""What a registry that misbehaves does to the gate: nobody gets in who should not, nobody is put out by mistake."""

from __future__ import annotations

import logging
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import (
    Keypair,
    NodeState,
    PeerDisconnected,
    PeerRefused,
    RegistryError,
    RegistryFailed,
    RegistryStale,
    WalletsChanged,
)
from tests.registries import Registry, guarded, inside, visitor
from tests.support import eventually, soon, state_of

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIRM = 2.0
"""Seconds after which a second equal read makes a list that lost too much take effect."""

LATE = 3.0
"""Seconds that a busy machine may take longer."""


def keys(n: int) -> list[Keypair]:
    return [Keypair.generate() for _ in range(n)]


def wallets_of(*some: Keypair) -> list[Any]:
    return [key.wallet for key in some]


def raises() -> Any:
    raise OSError("the chain is down")


def not_a_list() -> Any:
    return 7


def nothing() -> Any:
    return None


@pytest.mark.parametrize(
    ("answer", "error"), [(raises, "the chain is down"), (nothing, "not with NoneType"), (not_a_list, "not with int")]
)
async def test_a_read_that_fails_leaves_the_last_good_list(answer: Callable[[], Any], error: str) -> None:
    host_key, friend, latecomer, stranger = keys(4)
    registry = Registry(wallets_of(host_key, friend, latecomer))
    async with guarded(registry, host_key) as host, visitor(host, friend):
        await eventually(lambda: inside(host, friend))
        failures = host.node.events(RegistryFailed)
        registry.entries, registry.answer = wallets_of(host_key, friend, stranger), answer
        with pytest.raises(RegistryError, match=error):
            await host.node.gate.refresh()
        failure = await soon(anext(failures))
        assert (failure.database, failure.failures, failure.retry_in) == (host.name, 1, 1.0)
        assert error in failure.error
        assert set(host.node.gate.wallets) == set(wallets_of(host_key, friend, latecomer))
        async with visitor(host, stranger), visitor(host, latecomer):
            await eventually(lambda: inside(host, friend, latecomer))
            registry.answer = None  # and a good read puts it right
            await eventually(lambda: inside(host, friend, stranger))


async def test_a_read_that_hangs_fails_at_its_time_limit_and_leaves_the_last_good_list() -> None:
    host_key, friend, latecomer = keys(3)
    registry = Registry(wallets_of(host_key, friend))
    async with guarded(registry, host_key, timeout=0.3) as host, visitor(host, friend):
        await eventually(lambda: inside(host, friend))
        failures = host.node.events(RegistryFailed)
        registry.gate.clear()
        began = time.monotonic()
        with pytest.raises(RegistryError, match=r"no answer within 0\.3 s"):
            await host.node.gate.refresh()
        assert 0.29 < time.monotonic() - began < 0.3 + LATE
        await eventually(lambda: len(registry.ends) == len(registry.starts))  # the coroutine was cancelled
        assert (await soon(anext(failures))).failures == 1
        assert set(host.node.gate.wallets) == set(wallets_of(host_key, friend))
        assert inside(host, friend)
        registry.entries += wallets_of(latecomer)
        registry.gate.set()
        async with visitor(host, latecomer):
            await eventually(lambda: inside(host, friend, latecomer))


@pytest.mark.parametrize("fault", ["raises", "hangs"])
async def test_a_start_does_not_fail_with_the_registry_and_nobody_enters_before_its_first_answer(fault: str) -> None:
    host_key, friend = keys(2)
    registry = Registry(wallets_of(host_key, friend))
    if fault == "raises":
        registry.fail()
    else:
        registry.gate.clear()
    began = time.monotonic()
    async with guarded(registry, host_key, timeout=0.5, negative_ttl=0.0) as host:
        assert time.monotonic() - began < 3
        assert state_of(host.node) is NodeState.RUNNING
        refusals = host.node.events(PeerRefused)
        async with visitor(host, friend):
            refusal = await soon(anext(refusals))
            assert refusal.wallet == friend.wallet
            assert refusal.reason in ("registry-failed", "timed-out")  # as one read or the wait for it ends first
            assert (host.node.gate.wallets, host.node.gate.age, host.peers()) == ([], None, [])
            registry.answer = None
            registry.gate.set()
            await eventually(lambda: inside(host, friend))


async def test_failing_reads_are_tried_again_after_one_two_and_four_seconds() -> None:
    registry = Registry()
    registry.fail()
    async with guarded(registry) as host:
        stream = host.node.events(RegistryFailed)
        first, *later = [await soon(anext(stream)) for _ in range(3)]
        calls = list(registry.starts)
        seen = [(one.failures, one.retry_in) for one in (first, *later)]
        if seen[0][0] == 2:  # the first failure was before the stream
            seen.insert(0, (1, 1.0))
        assert seen[:3] == [(1, 1.0), (2, 2.0), (3, 4.0)]
        pauses = [after - before for before, after in pairwise(calls)]
        assert 0.99 < pauses[0] < 1 + LATE
        assert 1.99 < pauses[1] < 2 + LATE
        stranger = Keypair.generate()
        async with visitor(host, stranger, bootstrap={"wait": "none"}):
            refusals = host.node.events(PeerRefused)
            assert (await soon(anext(refusals))).reason == "registry-failed"
        assert registry.starts[3] - calls[2] > 3.9  # who knocks does not shorten the pause


async def test_the_pause_after_failures_is_never_longer_than_the_refresh_interval() -> None:
    registry = Registry()
    registry.fail()
    async with guarded(registry, refresh_interval=0.5) as host:
        stream = host.node.events(RegistryFailed)
        assert {(await soon(anext(stream))).retry_in for _ in range(4)} == {0.5}


@pytest.mark.parametrize(("before", "after"), [(3, 0), (4, 1), (9, 4)], ids=["empty", "a quarter", "less than half"])
async def test_a_list_that_loses_too_much_takes_effect_with_a_second_equal_read(before: int, after: int) -> None:
    host_key, *others = keys(before)
    registry = Registry(wallets_of(host_key, *others))
    async with guarded(registry, host_key) as host, visitor(host, others[-1]):
        await eventually(lambda: inside(host, others[-1]))
        changes = host.node.events(WalletsChanged)
        registry.entries = registry.entries[:after]
        held = time.monotonic()
        await host.node.gate.refresh()
        await host.node.gate.refresh()  # so early it proves nothing
        assert len(host.node.gate.wallets) == before
        assert inside(host, others[-1])
        change = await soon(anext(changes))
        assert time.monotonic() - held >= CONFIRM
        assert (change.added, change.removed, change.total) == (0, before - after, after)
        assert time.monotonic() - held < CONFIRM + 2
        assert len(host.node.gate.wallets) == after
        await eventually(lambda: host.peers() == [])


@pytest.mark.parametrize(("before", "after"), [(4, 2), (3, 1)], ids=["half of four", "one of three"])
async def test_a_smaller_loss_takes_effect_at_once(before: int, after: int) -> None:
    wallets = wallets_of(*keys(before))
    registry = Registry(wallets)
    async with guarded(registry) as host:
        await eventually(lambda: len(host.node.gate.wallets) == before)
        registry.entries = wallets[:after]
        await host.node.gate.refresh()
        assert set(host.node.gate.wallets) == set(wallets[:after])


@pytest.mark.parametrize("rest", [0, 1], ids=["empty", "a quarter"])
async def test_one_bad_read_between_good_ones_puts_nobody_out(rest: int) -> None:
    host_key, *others = keys(4)
    registry = Registry(wallets_of(host_key, *others))
    async with guarded(registry, host_key) as host, visitor(host, others[0]):
        await eventually(lambda: inside(host, others[0]))
        stream = host.node.events(PeerDisconnected, WalletsChanged)
        good, registry.entries = registry.entries, registry.entries[:rest]
        await host.node.gate.refresh()
        registry.entries = good
        await registry.read()  # the one that was to confirm it
        registry.entries = [*good, Keypair.generate().wallet]
        await host.node.gate.refresh()
        change = await soon(anext(stream))  # and nothing before it
        assert isinstance(change, WalletsChanged)
        assert (change.added, change.removed, change.total) == (1, 0, 5)
        assert inside(host, others[0])


async def test_two_bad_reads_that_differ_put_nobody_out() -> None:
    wallets = wallets_of(*keys(4))
    registry = Registry(wallets)
    async with guarded(registry) as host:
        await eventually(lambda: len(host.node.gate.wallets) == 4)
        registry.entries = wallets[:1]
        await host.node.gate.refresh()
        for rest in (wallets[1:2], []):
            registry.entries = rest
            await registry.read()  # the one that was to confirm the last
            assert set(host.node.gate.wallets) == set(wallets)
        await eventually(lambda: host.node.gate.wallets == [])  # until two are equal


async def test_a_first_answer_that_is_empty_waits_for_a_second_one() -> None:
    registry = Registry()
    async with guarded(registry) as host:
        changes = host.node.events(WalletsChanged)
        await eventually(lambda: len(registry.ends) == 2)
        assert registry.starts[1] - registry.starts[0] >= CONFIRM
        await eventually(lambda: host.node.gate.age is not None)
        registry.entries = wallets_of(*keys(2))
        await host.node.gate.refresh()
        change = await soon(anext(changes))
        assert (change.added, change.total) == (2, 2)


async def test_an_empty_list_set_by_code_takes_effect_at_once() -> None:
    async with guarded([]) as host:
        await eventually(lambda: len(host.node.status().databases) == 1)
        stranger = Keypair.generate()
        refusals = host.node.events(PeerRefused)
        async with visitor(host, stranger):
            assert (await soon(anext(refusals))).reason == "not-listed"


async def test_duplicates_count_once() -> None:
    host_key, friend = keys(2)
    forms = [friend.wallet, str(friend.wallet), bytes(friend.wallet), bytearray(bytes(friend.wallet)), host_key.wallet]
    async with guarded(Registry(forms * 3), host_key) as host, visitor(host, friend):
        await eventually(lambda: inside(host, friend))
        assert sorted(host.node.gate.wallets) == sorted(wallets_of(host_key, friend))


WEAK = ["1" * 32, bytes(32), bytes([1, *bytes(31)]), bytes([0xEC, *[0xFF] * 30, 0x7F])]
BAD_TEXT = ["", "not a wallet", "0OIl", "3" * 43, "x" * 88, "wället", None, 7, b"short", object()]


@pytest.mark.parametrize("bad", [WEAK, BAD_TEXT], ids=["weak keys", "bad text"])
async def test_entries_that_are_no_wallets_are_dropped_with_one_warning_each(
    bad: list[Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "depinmesh")
    host_key, friend = keys(2)
    registry = Registry([*bad, host_key.wallet, *bad, friend.wallet])

    def warned() -> list[str]:
        text = "dropped an entry of the wallet list"
        return [record.getMessage() for record in list(caplog.records) if text in record.getMessage()]

    async with guarded(registry, host_key) as host, visitor(host, friend):
        await eventually(lambda: inside(host, friend))
        assert sorted(host.node.gate.wallets) == sorted(wallets_of(host_key, friend))
        distinct = len(bad)
        await eventually(lambda: len(warned()) >= distinct)
        for _ in range(3):
            await host.node.gate.refresh()
        registry.entries.append(b"one more")
        await host.node.gate.refresh()
        await eventually(lambda: len(warned()) > distinct)
        assert len(warned()) == distinct + 1
        assert "x" * 40 not in caplog.text  # which might be a secret


async def test_a_list_that_is_too_old_admits_nobody_new_and_keeps_those_inside() -> None:
    host_key, friend, latecomer = keys(3)
    registry = Registry(wallets_of(host_key, friend, latecomer))
    async with (
        guarded(registry, host_key, refresh_interval=0.4, max_stale=1.2, negative_ttl=0.0) as host,
        visitor(host, friend),
    ):
        await eventually(lambda: inside(host, friend))
        stream = host.node.events(RegistryStale)
        registry.fail()
        stale = await soon(anext(stream))
        assert stale.database == host.name
        assert 1.2 <= stale.age < 1.2 + LATE
        refusals = host.node.events(PeerRefused)
        async with visitor(host, latecomer):
            refusal = await soon(anext(refusals))
            assert (refusal.wallet, refusal.reason) == (latecomer.wallet, "stale")
            assert inside(host, friend)
            registry.answer = None
            await eventually(lambda: inside(host, friend, latecomer))
