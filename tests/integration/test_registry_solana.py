"""Who comes in by `SolanaRegistry`: real gates, and a chain in this process that the stock client of Solana drives."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("solana")

from solders.keypair import Keypair as SoldersKeypair

from depinmesh import ConfigError, Keypair, PeerRefused
from depinmesh.registry import SolanaRegistry
from depinmesh.registry._solana_rules import DELEGATION_PROGRAM
from depinmesh.testing.tokens import DTelecom, Token
from tests.chains import REFRESH, cut, keys, registry_of
from tests.registries import guarded, inside, visitor
from tests.support import eventually, nothing_left, soon

if TYPE_CHECKING:
    from depinmesh.testing.chain import LocalChain


@pytest.mark.parametrize("push", [True, False], ids=["push", "polling"])
async def test_nodes_that_are_registered_come_in_and_that_are_deactivated_or_removed_are_cut_off(
    chain: LocalChain, push: bool
) -> None:
    host_key, one, two, three = keys(4)
    fleet = DTelecom(chain)
    for key in (host_key, one, two, three):
        await fleet.set_node(key.wallet)
    registry = registry_of(chain, push, registry=str(fleet.registry))
    async with nothing_left():
        async with (
            guarded(registry, host_key, refresh_interval=30.0 if push else REFRESH) as host,
            AsyncExitStack() as all_,
        ):
            for key in (one, two, three):
                await all_.enter_async_context(visitor(host, key))
            await eventually(lambda: inside(host, one, two, three))
            if push:
                await eventually(lambda: chain.subscribers == 2)
            await fleet.set_node(one.wallet, active=False)
            await cut(host, two, three, push=push, what="deactivated")
            await fleet.set_node(one.wallet)
            await eventually(lambda: inside(host, one, two, three))
            await fleet.set_node(two.wallet, owner=DELEGATION_PROGRAM)  # delegated nodes stay
            await fleet.remove(three.wallet)
            if push:  # a closed account is not notified of: the next read sees it
                await host.node.gate.refresh()
            await cut(host, one, two, push=push, what="removed")
        # The endpoints of the chain stay open; what the registry opened is gone.
        assert chain.subscribers == 0


async def test_what_is_pushed_reaches_all_databases_that_share_a_registry(chain: LocalChain) -> None:
    host_key, one = keys(2)
    fleet = DTelecom(chain)
    for key in (host_key, one):
        await fleet.set_node(key.wallet)
    registry = registry_of(chain, True, registry=str(fleet.registry))
    async with guarded(registry, host_key, refresh_interval=60.0) as host, visitor(host, one):
        second = await host.node.database("second", authorized_wallets=registry)
        both = (host, second)
        await eventually(lambda: all(inside(database, one) for database in both) and chain.subscribers == 4)
        await fleet.set_node(one.wallet, active=False)
        await eventually(lambda: not any(database.peers() for database in both), 3 * 1.0)
        await eventually(lambda: not host.node.peers(), 3 * 1.0)


@pytest.mark.parametrize("push", [True, False], ids=["push", "polling"])
@pytest.mark.parametrize("token_2022", [False, True], ids=["spl-token", "token-2022"])
async def test_holders_of_a_token_come_in_and_are_cut_off_when_it_is_moved_or_frozen(
    chain: LocalChain, push: bool, token_2022: bool
) -> None:
    host_key, one, three = keys(3)
    mover = SoldersKeypair()
    two = Keypair(bytes(mover))
    token = await Token.create(chain, token_2022=token_2022)
    for key in (host_key, one, two):
        await token.give(key.wallet, 2)
    registry = registry_of(chain, push, mint=str(token.mint), minimum=2)
    async with (
        guarded(registry, host_key, refresh_interval=30.0 if push else REFRESH, negative_ttl=0.1) as host,
        visitor(host, one),
        visitor(host, two),
        visitor(host, three),
    ):
        await eventually(lambda: inside(host, one, two))
        if push:
            await eventually(lambda: chain.subscribers == 3)
        await token.move(mover, three.wallet, 1)  # one of two is not enough, for either
        await cut(host, one, push=push, what="moved")
        await token.give(three.wallet, 1)
        await eventually(lambda: inside(host, one, three))
        await token.freeze(one.wallet)
        await cut(host, three, push=push, what="frozen")
        await token.thaw(one.wallet)
        await eventually(lambda: inside(host, one, three))


@pytest.mark.parametrize("push", [True, False], ids=["push", "polling"])
async def test_a_client_is_cut_off_when_it_expires_without_any_call(chain: LocalChain, push: bool) -> None:
    host_key, one, two = keys(3)
    fleet = DTelecom(chain)
    until = int(time.time()) + 4
    await fleet.set_node(host_key.wallet)
    await fleet.set_client(one.wallet, until)
    await fleet.set_client(two.wallet, until + 1000)
    registry = registry_of(chain, push, registry=str(fleet.registry), entries="both")
    async with guarded(registry, host_key) as host, visitor(host, one), visitor(host, two):
        await eventually(lambda: inside(host, one, two))
        await asyncio.sleep(1)  # what the start and the two dials caused
        calls = len(chain.calls)
        await eventually(lambda: inside(host, two))
        print(f"expired: cut off {time.time() - until:.3f} s after `until`")
        assert 0 <= time.time() - until < 3 * 1.0
        # Nothing was asked before the cut; now the one who was cut off knocks again, which is a read.
        assert chain.calls[calls:] in [["getProgramAccounts"] * n for n in range(4)]


async def test_clients_alone_and_nodes_alone(chain: LocalChain) -> None:
    node, client = keys(2)
    fleet = DTelecom(chain)
    await fleet.set_node(node.wallet, "one.example")
    await fleet.set_client(client.wallet, int(time.time()) + 100)
    for entries, listed in (("nodes", [node]), ("clients", [client]), ("both", [node, client])):
        async with registry_of(chain, False, registry=str(fleet.registry), entries=entries) as registry:
            wallets = (await registry.wallets()).wallets
            assert set(wallets) == {bytes(key.wallet) for key in listed}
            for key in (node, client):
                assert await registry.check(key.wallet) is (key in listed)


async def test_bootstrap_nodes_are_the_domains_of_active_entries(chain: LocalChain) -> None:
    one, two, three, four = keys(4)
    fleet = DTelecom(chain)
    await fleet.set_node(one.wallet, "localhost")
    await fleet.set_node(two.wallet, "two.example", active=False)
    await fleet.set_node(three.wallet, "not a host")
    await fleet.set_node(four.wallet, "")
    async with registry_of(chain, False, registry=str(fleet.registry), quic_port=5, tcp_port=None) as registry:
        assert [str(node) for node in await registry.bootstrap_nodes()] == [f"{one.wallet}@localhost:5:-"]


async def test_two_nodes_find_each_other_by_the_chain_alone(chain: LocalChain) -> None:
    one, two = keys(2)
    fleet = DTelecom(chain)
    await fleet.set_node(one.wallet, "localhost")
    await fleet.set_node(two.wallet, "localhost")
    async with guarded(registry_of(chain, True, registry=str(fleet.registry)), one) as host:
        port = int(next(a for a in host.node.addresses if "/tcp/" in a).split("/tcp/")[1].split("/")[0])
        registry = registry_of(chain, True, registry=str(fleet.registry), quic_port=None, tcp_port=port)
        async with visitor(host, two, authorized_wallets=registry, bootstrap_nodes=registry):
            await eventually(lambda: inside(host, two))


@pytest.mark.parametrize("kind", ["nodes", "token"])
async def test_where_an_endpoint_does_not_list_wallets_are_looked_up_many_at_once(chain: LocalChain, kind: str) -> None:
    host_key, *friends = keys(5)
    stranger = Keypair.generate()
    if kind == "nodes":
        fleet = DTelecom(chain)
        for key in (host_key, *friends):
            await fleet.set_node(key.wallet)
        await fleet.set_node(stranger.wallet, active=False)
        registry = registry_of(chain, False, registry=str(fleet.registry), listing=False)
    else:
        token = await Token.create(chain, token_2022=True)
        for key in (host_key, *friends):
            await token.give(key.wallet)
        registry = registry_of(chain, False, mint=str(token.mint), listing=False)
    chain.calls.clear()
    async with guarded(registry, host_key, refresh_interval=1.0) as host, AsyncExitStack() as all_:
        refusals = host.node.events(PeerRefused)
        await all_.enter_async_context(visitor(host, stranger))
        for friend in friends:
            await all_.enter_async_context(visitor(host, friend))
        await eventually(lambda: inside(host, *friends))
        assert (await soon(anext(refusals))).wallet == stranger.wallet
        assert set(chain.calls) == {"getMultipleAccounts"}
        calls = len(chain.calls)
        verdicts = await asyncio.gather(*(registry.check(key.wallet) for key in (host_key, *friends, stranger)))
        assert verdicts == [True] * 5 + [False]
        assert len(chain.calls) <= calls + 3
        if kind == "nodes":
            await fleet.set_node(friends[0].wallet, active=False)
            await cut(host, *friends[1:], push=False, what="deactivated, looked up")


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"registry": "x"},
        {"mint": "1"},
        {"mint": "1" * 32, "registry": "1" * 32},
        {"registry": "1" * 32, "entries": "all"},
        {"registry": "1" * 32, "websocket": "http://x"},
        {"registry": "1" * 32, "rate_limit": 0},
        {"registry": "1" * 32, "timeout": 0},
        {"mint": "1" * 32, "minimum": 0},
    ],
)
def test_wrong_arguments_are_refused_at_once(arguments: dict[str, Any]) -> None:
    with pytest.raises((ConfigError, ValueError)):
        SolanaRegistry("http://127.0.0.1:1", **arguments)
