"""Which accounts of a chain `SolanaRegistry` takes for entries."""

from __future__ import annotations

import asyncio
import base64
import gc
import time
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("solana")

from solders.pubkey import Pubkey

from depinmesh import Keypair
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
from depinmesh.testing.tokens import DTelecom
from tests.chains import gpa, keys, registry_of
from tests.registries import guarded, inside, random_wallets, visitor
from tests.support import eventually
from tests.webserver import WebServer, web_server

if TYPE_CHECKING:
    from depinmesh import Wallet
    from depinmesh.testing.chain import LocalChain


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
    fleet = DTelecom(chain)
    wallets = random_wallets(1000)
    template = fleet.node(Keypair.generate().wallet)

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
