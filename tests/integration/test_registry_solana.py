"""`SolanaRegistry` through real gates, against a chain in this process that the stock client of Solana drives."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("solana")

from solders.keypair import Keypair as SoldersKeypair
from solders.pubkey import Pubkey

from depinmesh import ConfigError, Keypair, PeerRefused, RegistryError, RegistryFailed
from depinmesh.registry import SolanaRegistry
from depinmesh.registry._solana_rules import (
    DELEGATION_PROGRAM,
    DTELECOM_PROGRAM,
    TOKEN_PROGRAM,
    Account,
    DTelecomRule,
    Entry,
    Query,
    TokenRule,
)
from depinmesh.testing.chain import LocalChain
from depinmesh.testing.tokens import DTelecom, Token
from tests.registries import guarded, inside, visitor
from tests.support import eventually, nothing_left, soon
from tests.webserver import WebServer, web_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from depinmesh import Wallet

REFRESH = 1.0


def keys(n: int) -> list[Keypair]:
    return [Keypair.generate() for _ in range(n)]


@pytest.fixture
async def chain() -> AsyncIterator[LocalChain]:
    async with LocalChain() as one:
        yield one


def registry_of(chain: LocalChain, push: bool, **more: Any) -> SolanaRegistry:
    return SolanaRegistry(chain.url, websocket=chain.websocket_url if push else None, rate_limit=1000, **more)


async def cut(host: Any, *left: Keypair, push: bool, what: str) -> None:
    """Wait until only these are inside, and hold the time against what users are promised."""
    began = time.monotonic()
    await eventually(lambda: inside(host, *left))
    took = time.monotonic() - began
    print(f"{what}: cut off {took:.3f} s after the slot, {'push' if push else f'refresh every {REFRESH:g} s'}")
    assert took <= 1.0 if push else took <= REFRESH + 1.0


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
        assert 0 <= time.time() - until < 1
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


def gpa(accounts: Sequence[dict[str, Any]], slot: int = 10**9) -> str:
    import json

    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"context": {"slot": slot}, "value": list(accounts)}})


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
        failures.close()
        assert [event async for event in failures] == []
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


async def test_what_is_no_entry_is_dropped_and_counted(chain: LocalChain) -> None:
    key, other = keys(2)
    fleet = DTelecom(chain)
    good = fleet.node(key.wallet)
    rule = DTelecomRule(fleet.registry, clients=True)

    def decoded(data: bytes, owner: Pubkey = DTELECOM_PROGRAM, address: Pubkey | None = None) -> Entry | None:
        return rule.decode(Account(address or fleet.address(key.wallet), owner, data, len(data)))

    assert decoded(good) == Entry(bytes(key.wallet), domain="node.example")
    assert decoded(good, DELEGATION_PROGRAM) is not None
    wrong: list[tuple[bytes, dict[str, Any]]] = [
        *((good[:n], {}) for n in (0, 7, 8, 71, 72, 76, 77, 333)),
        (good + b"\0", {}),
        (bytes(8) + good[8:], {}),
        (good[:8] + bytes(32) + good[40:], {}),
        (good[:72] + (254).to_bytes(4, "little") + good[76:], {}),
        (good[:72] + b"\xff\xff\xff\xff" + good[76:], {}),
        (good[:76] + b"\xff" + good[77:], {}),
        (good, {"owner": TOKEN_PROGRAM}),
        (good, {"owner": DELEGATION_PROGRAM, "address": fleet.address(other.wallet)}),
    ]
    for data, more in wrong:
        with pytest.raises(ValueError, match=r"."):
            decoded(data, **more)
    # Through the chain: what passes its filters and is none is dropped, the rest counts.
    await fleet.set_node(key.wallet)
    for n, data in enumerate([good[:76] + b"\xff" + good[77:], good[:72] + b"\xff" * 4 + good[76:], good]):
        await chain.set_account(Pubkey.new_unique(), DELEGATION_PROGRAM if n == 2 else DTELECOM_PROGRAM, data)
    async with registry_of(chain, False, registry=str(fleet.registry)) as registry:
        assert list((await registry.wallets()).wallets) == [bytes(key.wallet)]
        assert registry.dropped == 3


async def test_weak_keys_on_the_chain_are_dropped_by_the_gate_and_counted(chain: LocalChain) -> None:
    host_key = Keypair.generate()
    fleet = DTelecom(chain)
    await fleet.set_node(host_key.wallet)
    await chain.set_account(Pubkey.new_unique(), DTELECOM_PROGRAM, fleet.node(host_key.wallet))  # a duplicate
    for weak in (bytes(32), bytes([1, *bytes(31)]), bytes([0xEC, *[0xFF] * 30, 0x7F])):
        entry: Any = weak
        await fleet.set_node(entry)
    async with guarded(registry_of(chain, False, registry=str(fleet.registry)), host_key) as host:
        await eventually(lambda: host.node.gate.listed)
        assert host.node.gate.wallets == [host_key.wallet]
        assert host.node.status().counters["registry_entries_dropped_total"] == 3


def test_tokens_that_do_not_count() -> None:
    mint, owner = Pubkey.new_unique(), Pubkey.new_unique()
    rule = TokenRule(mint, 5)

    def data(amount: int = 5, state: int = 1, of: Pubkey = mint) -> bytes:
        body = bytes(of) + bytes(owner) + amount.to_bytes(8, "little") + bytes(36) + bytes([state])
        return body.ljust(165, b"\0")

    def decoded(content: bytes, program: Pubkey = TOKEN_PROGRAM, space: int | None = 165) -> Entry | None:
        return rule.decode(Account(Pubkey.new_unique(), program, content, space))

    assert decoded(data()) == Entry(bytes(owner), amount=5)
    assert decoded(bytes(32) + data()[32:]) == Entry(bytes(owner), amount=5)  # that part was not asked for
    assert decoded(data(state=2)) is None
    assert decoded(data(state=0)) is None
    wrong: list[tuple[bytes, dict[str, Any]]] = [
        (data(of=Pubkey.new_unique()), {}),
        (data()[:100], {}),
        (data(), {"space": 355}),
        (data(), {"space": 82}),
    ]
    for content, more in wrong:
        with pytest.raises(ValueError, match=r"."):
            decoded(content, **more)
    with pytest.raises(ValueError, match="owned by"):
        decoded(data(), DTELECOM_PROGRAM)


async def test_a_rule_of_ones_own_reads_any_program(chain: LocalChain) -> None:
    program = Pubkey.new_unique()

    class Rows:
        """Accounts of one byte `v` and a wallet."""

        minimum = 1
        data_slice = (1, 32)

        def queries(self) -> list[Query]:
            return [Query(program, 33, ((0, b"v"),))]

        def decode(self, account: Account) -> Entry | None:
            return Entry(account.data[1:33])

        def addresses(self, wallet: Pubkey) -> list[Pubkey]:
            return [Pubkey.find_program_address([bytes(wallet)], program)[0]]

    host_key, friend = keys(2)

    async def add(wallet: Wallet) -> None:
        address = Pubkey.find_program_address([bytes(wallet)], program)[0]
        await chain.set_account(address, program, b"v" + bytes(wallet))

    await add(host_key.wallet)
    async with guarded(registry_of(chain, True, rule=Rows()), host_key) as host, visitor(host, friend):
        await eventually(lambda: chain.subscribers == 1 and host.node.gate.listed)
        await add(friend.wallet)
        await eventually(lambda: inside(host, friend))


async def test_a_hundred_thousand_entries_come_through_without_holding_the_loop(chain: LocalChain) -> None:
    from tests.integration.test_registry import random_wallets

    fleet = DTelecom(chain)
    wallets = random_wallets(1000)
    template = fleet.node(Keypair.generate().wallet)
    import base64

    def account(n: int) -> dict[str, Any]:
        wallet = bytes(Pubkey.from_string(wallets[n % 1000]))  # duplicates
        data = template[:40] + wallet + template[72:]
        text = base64.b64encode(data).decode()
        return {
            "pubkey": str(Pubkey(n.to_bytes(32, "big"))),
            "account": {"data": [text, "base64"], "owner": str(DTELECOM_PROGRAM), "space": 334, "lamports": 1},
        }

    content = gpa([account(n) for n in range(100_000)]).encode()
    spent = waited = 0.0

    async def tick() -> None:
        nonlocal spent, waited
        while True:
            before = time.thread_time(), time.perf_counter()
            await asyncio.sleep(0.001)
            spent = max(spent, time.thread_time() - before[0])
            waited = max(waited, time.perf_counter() - before[1])

    async def serve(_: WebServer, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(content)}\r\n\r\n".encode())
        for start in range(0, len(content), 65536):
            writer.write(content[start : start + 65536])
            await writer.drain()

    class OneQuery(DTelecomRule):
        """A fleet of which nothing is delegated."""

        def queries(self) -> list[Query]:
            return super().queries()[:1]

    async with web_server([]) as web:
        web.fault = serve
        registry = SolanaRegistry(web.url, rule=OneQuery(fleet.registry), timeout=25.0)
        async with registry:
            gc.collect()
            gc.freeze()  # the heap of the test runner is not the registry's to look through
            ticking = asyncio.create_task(tick())
            began = time.perf_counter()
            snapshot = await registry.wallets()
            took = time.perf_counter() - began
            ticking.cancel()
            gc.unfreeze()
        print(
            f"100,000 entries, {len(content):,} bytes: {took:.2f} s, "
            f"longest turn of the loop {spent * 1000:.0f} ms of work, {waited * 1000:.0f} ms on the clock"
        )
        assert len(snapshot.wallets) == 1000
        assert registry.dropped == 0
        assert spent < 3 * 0.05


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
