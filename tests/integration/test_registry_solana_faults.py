"""`SolanaRegistry` while its endpoints fail, lie, lag behind or go away."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack
from typing import Any

import pytest

pytest.importorskip("solana")

from solders.pubkey import Pubkey

from depinmesh import Keypair, RegistryError, RegistryFailed
from depinmesh.registry import SolanaRegistry
from depinmesh.registry._solana_slots import HighestSlot
from depinmesh.testing.chain import LocalChain
from depinmesh.testing.tokens import DTelecom, Token
from tests.chains import cut, gpa, keys, registry_of
from tests.registries import guarded, inside, visitor
from tests.support import eventually, soon, waiting_in

FAULTS: dict[str, tuple[Any, str]] = {
    "hangs": ("hang", "no answer within"),
    "slow drip": ("drip", "no answer within"),
    "reset": ("reset", "(RemoteProtocolError|ReadError)"),
    "429": (429, "HTTP 429|asked too often"),
    "500": (500, "HTTP 500"),
    "403": (403, "HTTP 403"),
    "redirect": (302, "HTTP 302"),
    "no JSON": ("<html>", "not JSON"),
    "half JSON": ('{"result": {"context": {"slot": 1}, "value": [', "not JSON"),
    "no JSON-RPC": ("[]", "no JSON-RPC"),
    "no result": ("{}", "of which slot"),
    "no slot": ('{"result": {"context": {}, "value": []}}', "of which slot"),
    "a slot that is no number": ('{"result": {"context": {"slot": true}, "value": []}}', "of which slot"),
    "a value that is no list": ('{"result": {"context": {"slot": 1}, "value": 7}}', "no list of accounts"),
    "accounts of another form": (gpa([{"pubkey": "1" * 32, "account": {"data": "x"}}]), "another form"),
    "bad Base64": (
        gpa([{"pubkey": "1" * 32, "account": {"data": ["!", "base64"], "owner": "1" * 32}}]),
        "another form",
    ),
    "no address": (gpa([{"account": {}}]), "an address that is none"),
    "numbers for accounts": ('{"result": {"context": {"slot": 1}, "value": [1, 2]}}', "another form"),
    "an older slot": (gpa([], slot=1), "is at slot 1, behind"),
    "an error": ('{"error": {"code": -32010, "message": "excluded"}}', "error -32010: excluded; with listing=False"),
    "a rate limit in the body": ('{"error": {"code": 429, "message": "slow"}}', "error 429: slow|asked too often"),
    "an error of another form": ('{"error": "x"}', "error None: x"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_leaves_the_last_good_list_and_the_next_good_answer_counts(chain: LocalChain, fault: str) -> None:
    host_key, friend, latecomer, stranger = keys(4)
    fleet = DTelecom(chain)
    for key in (host_key, friend, latecomer):
        await fleet.set_node(key.wallet)
    registry = registry_of(chain, False, registry=str(fleet.registry), timeout=0.5)
    async with guarded(registry, host_key, negative_ttl=0.1) as host, visitor(host, friend):
        await eventually(lambda: inside(host, friend))
        chain.fault, error = FAULTS[fault]
        await fleet.set_node(stranger.wallet)
        with pytest.raises(RegistryError, match=error):
            await host.node.gate.refresh()
        assert set(host.node.gate.wallets) == {key.wallet for key in (host_key, friend, latecomer)}
        async with visitor(host, latecomer):
            await eventually(lambda: inside(host, friend, latecomer))
        chain.fault = None
        await eventually(lambda: host.node.gate.is_authorized(stranger.wallet))


@pytest.mark.parametrize("left", [0, 1], ids=["empty list", "half list"])
@pytest.mark.parametrize("push", [True, False], ids=["push", "polling"])
async def test_a_list_that_loses_too_much_has_to_be_read_twice_also_when_it_is_pushed(
    chain: LocalChain, left: int, push: bool
) -> None:
    host_key, *others = keys(5)
    fleet = DTelecom(chain)
    for key in (host_key, *others):
        await fleet.set_node(key.wallet)
    registry = registry_of(chain, push, registry=str(fleet.registry))
    async with guarded(registry, host_key) as host, visitor(host, others[0]):
        await eventually(lambda: inside(host, others[0]))
        if push:
            await eventually(lambda: chain.subscribers == 2)
        await host.node.gate.refresh()  # the last read of the old list
        chain.deaf = True  # as when one answer alone is wrong
        for key in others[left:]:
            await fleet.set_node(key.wallet, active=False)
        await fleet.set_node(host_key.wallet, active=False)
        if push:
            await chain.drop_websockets()  # which reads the list anew
            await asyncio.sleep(1.5)
        began = time.monotonic()
        await host.node.gate.refresh()
        assert len(host.node.gate.wallets) == 5
        await eventually(lambda: len(host.node.gate.wallets) == left)
        assert time.monotonic() - began >= 1.9


async def test_an_endpoint_without_dns_name_or_certificate_fails(chain: LocalChain) -> None:
    host_key = Keypair.generate()
    for url in ("http://no-such-host.invalid", chain.url.replace("http", "https"), "http://127.0.0.1:1"):
        registry = SolanaRegistry(url, registry=str(Pubkey.new_unique()), timeout=1.0)
        async with guarded(registry, host_key) as host:
            with pytest.raises(RegistryError, match=r"ConnectError|SSL|no answer"):
                await host.node.gate.refresh()
            assert host.node.gate.wallets == []


async def test_lost_websockets_are_replaced_and_what_was_missed_is_read(
    chain: LocalChain, caplog: pytest.LogCaptureFixture
) -> None:
    host_key, friend, latecomer = keys(3)
    fleet = DTelecom(chain)
    for key in (host_key, friend):
        await fleet.set_node(key.wallet)
    registry = registry_of(chain, True, registry=str(fleet.registry))
    async with guarded(registry, host_key) as host, visitor(host, friend):
        await eventually(lambda: inside(host, friend) and chain.subscribers == 2)
        chain.deaf = True
        await chain.drop_websockets()
        await eventually(lambda: chain.subscribers == 0)
        await fleet.set_node(latecomer.wallet)
        chain.deaf = False
        await eventually(lambda: host.node.gate.is_authorized(latecomer.wallet))
        assert inside(host, friend)
        assert "The pushes of a registry failed" in caplog.text
        await eventually(lambda: chain.subscribers == 2)
        await fleet.set_node(friend.wallet, active=False)
        await cut(host, push=True, what="deactivated after the WebSocket was lost")


async def test_two_endpoints_of_which_one_dies_under_load_lose_nobody_and_one_line_says_so(
    chain: LocalChain, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "depinmesh")
    host_key, *friends = keys(5)
    async with LocalChain() as second, AsyncExitStack() as all_:
        fleet = DTelecom(chain)
        mirror = DTelecom(second, fleet.registry)
        for key in (host_key, *friends):
            await fleet.set_node(key.wallet)
            await mirror.set_node(key.wallet)
        registry = SolanaRegistry([chain.url, second.url], registry=str(fleet.registry), timeout=0.5, rate_limit=1000)
        host = await all_.enter_async_context(guarded(registry, host_key, refresh_interval=0.2))
        for friend in friends:
            await all_.enter_async_context(visitor(host, friend))
        await eventually(lambda: inside(host, *friends))
        assert second.calls == []
        failures = host.node.events(RegistryFailed)
        chain.fault = "hang"
        await soon(asyncio.gather(*(host.node.gate.refresh() for _ in range(50))))
        served = len(second.calls)
        await eventually(lambda: len(second.calls) > served + 10)
        assert inside(host, *friends)
        assert await waiting_in(failures) == []
        switches = [record.getMessage() for record in caplog.records if "now read from" in record.getMessage()]
        assert len(switches) == 1


async def test_an_endpoint_that_is_behind_is_passed_over(chain: LocalChain) -> None:
    host_key, friend = keys(2)
    async with LocalChain() as second:
        fleet, mirror = DTelecom(chain), None
        mirror = DTelecom(second, fleet.registry)
        for one in (fleet, mirror):
            await one.set_node(host_key.wallet)
        second.svm.warp_to_slot(chain.slot + 100)
        async with SolanaRegistry([chain.url, second.url], registry=str(fleet.registry)) as registry:
            await registry.wallets()
            chain.go_back(50)
            await mirror.set_node(friend.wallet)
            assert len((await registry.wallets()).wallets) == 2


async def test_an_endpoint_that_is_far_behind_is_not_believed_about_a_single_wallet(chain: LocalChain) -> None:
    removed = Keypair.generate()
    async with LocalChain() as second:
        fleet = DTelecom(chain)
        await DTelecom(second, fleet.registry).set_node(removed.wallet)
        chain.svm.warp_to_slot(second.slot + 1000)
        urls = [chain.url, second.url]
        async with SolanaRegistry(urls, registry=str(fleet.registry), listing=False) as registry:
            assert not await registry.check(removed.wallet)
            chain.fault = 500
            with pytest.raises(RegistryError, match=rf"HTTP 500; .* is at slot {second.slot}, behind {chain.slot}$"):
                await registry.check(removed.wallet)
            for behind in (100, 0):  # endpoints differ by some slots
                second.svm.warp_to_slot(chain.slot - behind)
                assert await registry.check(removed.wallet)


async def test_a_slot_that_nobody_else_comes_near_to_is_not_held_against_others_for_ever(
    chain: LocalChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd, listed = keys(2)
    async with LocalChain() as other:
        fleet = DTelecom(chain)
        await fleet.set_node(listed.wallet)
        await DTelecom(other, fleet.registry).set_node(odd.wallet)
        other.svm.warp_to_slot(chain.slot + 10**9)
        urls = [other.url, chain.url]
        fields: dict[str, Any] = {"registry": str(fleet.registry)}
        async with SolanaRegistry(urls, **fields) as lists, SolanaRegistry(urls, **fields, listing=False) as looks_up:
            assert list((await lists.wallets()).wallets) == [bytes(odd.wallet)]
            assert await looks_up.check(odd.wallet)
            other.fault = 500
            for ask in lists.wallets, lambda: looks_up.check(listed.wallet):
                with pytest.raises(RegistryError, match=rf"is at slot {chain.slot}, behind"):
                    await ask()
            monkeypatch.setattr("depinmesh.registry._solana_slots._HELD", 0.0)
            for _ in range(2):
                assert list((await lists.wallets()).wallets) == [bytes(listed.wallet)]
                assert await looks_up.check(listed.wallet)
                monkeypatch.undo()  # from now on it is the slot of the others that counts


def test_only_the_time_since_others_came_behind_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """That nobody was asked for a while makes no stale endpoint fresh."""
    now = 0.0
    monkeypatch.setattr("depinmesh.registry._solana_slots.monotonic", lambda: now)
    highest = HighestSlot(150)
    highest.take(400_000)
    for now in (10_000.0, 10_899.0):  # noqa: B007  # the clock
        with pytest.raises(RegistryError, match="is at slot 399000, behind 400000"):
            highest.take(399_000)
    highest.take(399_900)  # near enough: those behind are counted anew
    now = 20_000.0
    with pytest.raises(RegistryError, match="is at slot 399000"):
        highest.take(399_000)
    now = 20_900.0
    highest.take(399_000)
    highest.take(398_900)


class SlowChain(LocalChain):
    """Takes a while for each answer."""

    async def _answer(self, request: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.4)
        await super()._answer(request, writer)


async def test_an_endpoint_that_takes_too_long_for_all_calls_of_a_list_is_passed_over(chain: LocalChain) -> None:
    holder = Keypair.generate()
    token = await Token.create(chain)
    await token.give(holder.wallet)
    chain.calls.clear()
    async with SlowChain() as slow:
        urls = [slow.url, chain.url]
        async with SolanaRegistry(urls, mint=str(token.mint), timeout=1.0, rate_limit=1000) as registry:
            assert not await registry.check(holder.wallet)  # one answer is in time
            assert chain.calls == []
            snapshot = await registry.wallets()
            assert snapshot.source == chain.url
            assert list(snapshot.wallets) == [bytes(holder.wallet)]
            assert "getProgramAccounts" in slow.calls


async def test_the_waits_for_the_rate_limit_are_not_the_endpoints_time(chain: LocalChain) -> None:
    holder = Keypair.generate()
    token = await Token.create(chain)
    await token.give(holder.wallet)
    async with SolanaRegistry(chain.url, mint=str(token.mint), timeout=0.9, rate_limit=2) as registry:
        began = time.monotonic()
        assert list((await registry.wallets()).wallets) == [bytes(holder.wallet)]
        assert time.monotonic() - began > 0.9
