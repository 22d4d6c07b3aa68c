"""Rounds of checks without a network: whom a read asks about, in which order, and what it makes of the answers."""

from __future__ import annotations

import asyncio
from itertools import chain
from time import monotonic
from typing import Any

import pytest

from depinmesh import RegistryError, Wallet
from depinmesh._checks import Checks
from depinmesh.options import Gate
from tests.support import WAIT, eventually, soon


def wallets(n: int, name: str = "known") -> list[Wallet]:
    """Return what counts as wallets here, where nobody looks into them."""
    return [Wallet._trusted(f"{name}-{number}") for number in range(n)]


(OWN,) = wallets(1, "own")
SHORT = 0.2
LIMIT = 0.8 * SHORT - 0.001
"""Seconds after which a read ends with what it has, and a bit less, as timers of the loop may be early by a hair."""


class Asked:
    """A check with a memory: whom it was asked about, and whom it answers how."""

    def __init__(self) -> None:
        self.calls: list[Wallet] = []
        self.bad: set[Wallet] = set()
        self.fails: set[Wallet] = set()
        self.hangs: set[Wallet] = set()
        self.budget = 10**9
        """So many are answered; whoever is asked about after these gets no answer."""
        self.answered: list[Wallet] = []
        self.open = asyncio.Event()
        """Cleared, every check waits."""
        self.open.set()
        self.at_once = self.most_at_once = 0

    async def __call__(self, wallet: Wallet) -> Any:
        self.calls.append(wallet)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if wallet in self.hangs or not self.budget:
                await asyncio.Event().wait()
            self.budget -= 1
            await self.open.wait()
        finally:
            self.at_once -= 1
        if wallet in self.fails:
            raise OSError(f"no word about {wallet}")
        self.answered.append(wallet)
        return wallet not in self.bad

    def forget(self, budget: int = 10**9) -> None:
        """Begin anew to count."""
        self.calls, self.answered, self.budget = [], [], budget


class Round:
    """Checks, each of whose reads is a round unless it is told otherwise, and what they tell."""

    def __init__(self, *, plain: bool = False, **gate: float) -> None:
        self.asked = Asked()
        self.connected: set[str] = set()
        self.told: list[tuple[Wallet, Exception, int]] = []
        self.checks = Checks(
            self.asked,
            OWN,
            Gate(**{"timeout": 30.0, "refresh_interval": 1e-6, **gate}),
            lambda: self.connected,
            lambda wallet, error, count: self.told.append((wallet, error, count)),
            plain=plain,
        )

    async def read(self, *waiting: str) -> list[str | bytes]:
        """Read it, with the time limit of a gate."""
        return await soon(self.checks.read(waiting))


async def test_who_waits_and_who_is_connected_go_first_by_turns_then_the_oldest_and_the_node_last() -> None:
    one = Round()
    known = wallets(6)
    await one.read(*(known[n] for n in (3, 1, 5, 0, 4, 2)))
    one.asked.fails = {known[0], known[1]}  # so that these stay as old as they are
    await one.read()
    one.connected = {known[4], known[5]}
    one.asked.forget()
    newcomers = wallets(3, "newcomer")
    assert set(await one.read(*newcomers)) == {OWN, *newcomers, *known}
    assert one.asked.calls[0:4:2] == newcomers[:2]
    assert set(one.asked.calls[1:4:2]) == one.connected
    assert one.asked.calls[4:7] == [newcomers[2], known[1], known[0]]
    assert one.asked.calls[-1] == OWN
    assert sorted(one.asked.calls) == sorted([OWN, *newcomers, *known])


async def test_a_round_that_is_demanded_comes_though_somebody_waits_and_though_another_round_is_under_way() -> None:
    one = Round(refresh_interval=60.0)
    known = wallets(3)
    await one.read(*known)
    one.asked.forget()
    await one.read("stranger")
    assert one.asked.calls == ["stranger", OWN]  # as it was not demanded
    one.checks.demand()
    one.asked.open.clear()
    reading = asyncio.ensure_future(one.read("stranger"))
    await eventually(lambda: known[0] in one.asked.calls)
    one.checks.demand()
    one.asked.open.set()
    await reading
    one.asked.forget()
    await one.read("stranger")
    assert set(one.asked.calls) == {OWN, "stranger", *known}
    one.asked.forget()
    await one.read("stranger")
    assert one.asked.calls == ["stranger", OWN]


async def test_between_two_rounds_only_the_node_and_who_waits_are_asked_about() -> None:
    one = Round(refresh_interval=60.0)
    first, second = wallets(2)
    await one.read(first)
    one.asked.forget()
    assert set(await one.read(second)) == {OWN, first, second}
    assert one.asked.calls == [second, OWN]
    one.asked.forget()
    await one.read()  # for nobody: it is time for a round
    assert sorted(one.asked.calls) == sorted([OWN, first, second])


async def test_rounds_that_are_cut_short_reach_everybody_in_turn() -> None:
    one = Round(plain=True, timeout=SHORT)
    known = wallets(40)
    await one.read(*known)
    one.connected = set(known[:2])
    others = known[2:]
    seen: list[list[Wallet]] = []
    for _ in range(6):
        one.asked.forget(budget=10)
        began = monotonic()
        assert set(await one.read()) == {OWN, *known}  # whom it did not come to stays
        assert monotonic() - began >= LIMIT
        assert set(one.asked.answered[:2]) == one.connected  # in each of them
        seen.append(one.asked.answered[2:])
    assert [len(some) for some in seen] == [8] * 6
    turns = list(chain(*seen))
    assert set(turns) == set(others)
    assert len(set(turns[: len(others)])) == len(others)  # nobody twice before everybody had a turn
    one.asked.bad = {others[-1]}
    lists = []
    for _ in range(6):
        one.asked.forget(budget=10)
        lists.append(set(await one.read()))
    assert lists[-1] == {OWN, *known} - one.asked.bad


async def test_what_was_answered_counts_when_a_read_is_cut_short() -> None:
    one = Round(timeout=SHORT)
    good, removed, silent, known = wallets(4)
    await one.read(removed, known)
    one.asked.bad, one.asked.hangs = {removed}, {silent, known}
    began = monotonic()
    assert set(await one.read(good, silent)) == {OWN, good, known}
    assert LIMIT <= monotonic() - began < SHORT + 1
    ((wallet, error, count),) = one.told
    assert (wallet, count) == (silent, 2)
    assert "no answer within 0.16 s" in str(error)


async def test_checks_that_fail_are_told_of_once_and_leave_their_wallets_as_they_were() -> None:
    one = Round()
    known, other, newcomer, stranger = wallets(4)
    await one.read(known, other)
    one.asked.fails = {known, newcomer, stranger}
    assert set(await one.read(newcomer, stranger)) == {OWN, known, other}
    ((wallet, error, count),) = one.told
    assert (wallet, str(error), count) == (newcomer, f"no word about {newcomer}", 3)
    one.asked.fails = set()
    assert set(await one.read(newcomer)) == {OWN, known, other, newcomer}
    assert len(one.told) == 1


@pytest.mark.parametrize("how", ["fails", "hangs"])
async def test_a_registry_that_answers_about_nobody_has_failed(how: str) -> None:
    one = Round(timeout=SHORT)
    known, newcomer = wallets(2)
    await one.read(known)
    setattr(one.asked, how, {OWN, known, newcomer})
    error, text = (OSError, "no word about known-1") if how == "fails" else (RegistryError, r"no answer within 0\.16 s")
    with pytest.raises(error, match=text):
        await one.read(newcomer)
    assert one.told == []  # the gate tells of it
    setattr(one.asked, how, set())
    assert set(await one.read()) == {OWN, known}


@pytest.mark.parametrize("how", ["fails", "hangs"])
async def test_a_stranger_about_whom_there_is_no_answer_is_no_failure_of_the_registry(how: str) -> None:
    one = Round(refresh_interval=60.0, timeout=SHORT)
    (stranger,) = wallets(1)
    await one.read()
    setattr(one.asked, how, {stranger})
    assert await one.read(stranger) == [OWN]
    assert [count for _, _, count in one.told] == [1]


async def test_what_is_no_verdict_is_a_failure() -> None:
    one = Round()
    (wallet,) = wallets(1)

    async def check(_: Wallet) -> object:
        return 1

    one.checks._check = check
    with pytest.raises(TypeError, match="True or False, not with int"):
        await one.read(wallet)


@pytest.mark.parametrize(("plain", "most"), [(False, 64), (True, 8)])
async def test_so_many_are_asked_about_at_once(plain: bool, most: int) -> None:
    one = Round(plain=plain)
    known = wallets(200)
    one.asked.open.clear()
    reading = asyncio.create_task(one.read(*known))
    await eventually(lambda: one.asked.at_once == most)
    one.asked.open.set()
    assert set(await reading) == {OWN, *known}
    assert one.asked.most_at_once == most


async def test_a_check_that_hides_its_cancellation_does_not_hold_up_the_read() -> None:
    one = Round(plain=True, timeout=SHORT)
    known = wallets(50)
    calls: list[Wallet] = []

    async def check(wallet: Wallet) -> bool:
        calls.append(wallet)
        if 1 < len(calls) <= 9:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise OSError("the connection was closed") from None
        return True

    one.checks._check = check
    assert await one.read(*known) == [known[0]]
    assert calls == known[:9]  # eight at once, and nobody after the end
    assert [(str(error), count) for _, error, count in one.told] == [("the connection was closed", 50)]


async def test_who_was_not_checked_for_max_stale_is_forgotten_unless_connected() -> None:
    one = Round(max_stale=0.3)
    gone, inside, checked = wallets(3)
    began = monotonic()
    await one.read(gone, inside, checked)
    one.connected = {inside}
    one.asked.fails = {OWN, gone, inside}

    until = monotonic() + WAIT
    while gone in await one.read():
        assert monotonic() < until
    assert monotonic() - began >= 0.3
    one.asked.forget()
    assert set(await one.read()) == {OWN, inside, checked}
    assert gone not in one.asked.calls
    one.asked.fails = set()
    assert gone in await one.read(gone)  # who knocks is asked about


async def test_beyond_4096_those_go_who_were_checked_the_longest_ago_and_are_not_connected() -> None:
    one = Round(refresh_interval=60.0)
    known = wallets(4095)
    one.connected = {known[0]}
    assert len(await one.read(*known)) == 4096
    newcomers = wallets(10, "newcomer")
    assert set(await one.read(*newcomers)) == {OWN, known[0], *known[10:], *newcomers}
