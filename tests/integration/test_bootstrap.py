"""First peers: the entries of the list, what is wrong with them, and what becomes of each."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair, MeshTimeoutError, PeerDisconnected, Wallet, connect
from tests.integration.known import READY, KnownNode
from tests.support import LISTEN, alone, eventually, fields_of, free_ports, mesh_of, open_sockets

if TYPE_CHECKING:
    from collections.abc import Callable

    from depinmesh.status import BootstrapStatus


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize("form", ["list", "plain function", "coroutine function"])
async def test_a_bootstrap_list_of_every_form_makes_a_node_ready(known: KnownNode, form: str) -> None:
    async def coroutine_function() -> list[str]:
        return known.entries

    nodes = {"list": known.entries, "plain function": lambda: known.entries, "coroutine function": coroutine_function}[
        form
    ]
    began = time.monotonic()
    async with known.join(nodes) as db:
        await db.wait_ready(READY)
        assert time.monotonic() - began < READY
        assert [peer.wallet for peer in db.peers()] == [known.key.wallet]


@pytest.mark.parametrize(
    "nodes",
    [
        lambda known: [known.dead.replace(known.key.wallet, Keypair.generate().wallet), *known.entries],
        lambda known: [f"{Keypair.from_seed(bytes(range(32))).wallet}@127.0.0.1:9:9", *known.entries],
        lambda known: [known.dead, *known.entries],
        lambda known: [known.wrong_wallet, *known.entries],
    ],
    ids=["unlisted and dead", "listed and dead", "an old address of the same node", "another wallet"],
)
async def test_a_bad_entry_does_not_keep_a_good_one_from_working(
    known: KnownNode, nodes: Callable[[KnownNode], list[str]]
) -> None:
    began = time.monotonic()
    async with known.join(nodes(known)) as db:
        await db.wait_ready(READY)
        assert time.monotonic() - began < READY
        assert [peer.wallet for peer in db.peers()] == [known.key.wallet]


async def test_an_entry_with_another_wallet_does_not_disturb_whoever_answers_there(
    known: KnownNode, caplog: pytest.LogCaptureFixture
) -> None:
    async with known.join([known.wrong_wallet, *known.entries]) as db:
        await db.wait_ready(READY)
        losses = db.node.events(PeerDisconnected)
        await eventually(lambda: "check the wallet of the entry" in caplog.text)
        # Its tries would come after 0.25, 0.5, 1, 2 and 4 s.
        with suppress(TimeoutError):
            # On a busy machine its second address is tried so late that it can look like a sign of a dead connection.
            await asyncio.wait_for(anext(losses), 6)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(losses), 6)
        # It is tried again when nobody answers there any more.
        await known.db.close()
        failures = db.node.status().counters["dial_failures_total"]
        await eventually(lambda: db.node.status().counters["dial_failures_total"] > failures)


async def test_the_log_says_once_who_is_not_listed_and_each_time_why_nobody_could_be_reached(
    known: KnownNode, caplog: pytest.LogCaptureFixture
) -> None:
    _, tcp = free_ports()
    stranger = Keypair.generate().wallet
    nodes = [
        f"{known.key.wallet}@127.0.0.1:-:{tcp}",
        f"{stranger}@127.0.0.1:9:9",
        f"{known.joining_key.wallet}@127.0.0.1:9",
    ]

    def lines(text: str) -> list[str]:
        return [record.getMessage() for record in caplog.records if text in record.getMessage()]

    async with known.join(nodes, wait="none", retry_interval=0.3):
        await eventually(lambda: len(lines("no bootstrap node could be reached")) >= 3)
    assert all("refused" in line for line in lines("no bootstrap node could be reached"))
    (line,) = lines("is not on the list of wallets")
    assert Wallet(stranger).peer_id in line


@pytest.mark.parametrize("form", ["list", "function"])
async def test_an_entry_whose_wallet_is_not_listed_is_warned_of_once_and_said_to_be_the_reason(
    form: str, caplog: pytest.LogCaptureFixture
) -> None:
    key, stranger = Keypair.generate(), Keypair.generate().wallet

    async def read() -> list[Wallet]:
        return [key.wallet]

    registry: Any = read if form == "function" else [key.wallet]
    fields: dict[str, Any] = {
        **fields_of(key, [], bootstrap_nodes=[f"{stranger}@127.0.0.1:9:9"], gate={"negative_ttl": 0.1}),
        "authorized_wallets": registry,
        "bootstrap": {"wait": "none", "retry_interval": 0.3},
    }
    async with connect(**fields) as db:
        await eventually(lambda: db.node.status().bootstrap_attempts >= 4)
        await eventually(lambda: "no bootstrap node could be reached" in caplog.text)
    lines = [record.getMessage() for record in caplog.records]
    assert sum("a bootstrap node is not on the list of wallets" in line for line in lines) == 1
    failed = [line for line in lines if "no bootstrap node could be reached" in line]
    assert all("is not on the list" in line for line in failed)


async def test_a_node_skips_itself_in_the_list(known: KnownNode) -> None:
    quic, tcp = free_ports()
    listen = {**LISTEN, "quic_port": quic, "tcp_port": tcp}
    own = f"{known.joining_key.wallet}@127.0.0.1:{quic}:{tcp}"
    wallets = [known.joining_key.wallet, known.key.wallet]
    fields: dict[str, Any] = {**fields_of(known.joining_key, wallets), "listen": listen}
    async with connect(**fields, bootstrap_nodes=[own, *known.entries]) as db:
        await db.wait_ready(READY)
        assert [peer.wallet for peer in db.peers()] == [known.key.wallet]
        assert db.node.status().counters["dial_failures_total"] == 0


async def test_a_list_of_the_node_alone_is_as_an_empty_one() -> None:
    key, (quic, tcp) = Keypair.generate(), free_ports()
    listen = {**LISTEN, "quic_port": quic, "tcp_port": tcp}
    nodes = [f"{key.wallet}@127.0.0.1:{quic}:{tcp}"]
    async with connect(**{**fields_of(key, [key.wallet], bootstrap_nodes=nodes), "listen": listen}) as db:
        assert not db.is_ready
        assert db.node.status().counters["dial_failures_total"] == 0


async def test_the_status_says_of_each_bootstrap_node_what_became_of_it(known: KnownNode) -> None:
    unlisted, silent = Keypair.generate(), Keypair.from_seed(bytes(range(32)))
    place = known.dead.partition("@")[2]
    async with known.join([*known.entries, f"{unlisted.wallet}@{place}", f"{silent.wallet}@{place}"]) as db:
        await db.wait_ready(READY)

        def nodes() -> dict[Wallet, BootstrapStatus]:
            return {node.wallet: node for node in db.node.status().bootstrap}

        await eventually(lambda: len(nodes()) == 3 and nodes()[known.key.wallet].is_connected)
        await eventually(lambda: nodes()[silent.wallet].error)
        await eventually(lambda: nodes()[unlisted.wallet].error)
        good, bad, dead = (nodes()[key.wallet] for key in (known.key, unlisted, silent))
        assert (good.error, good.peer_id) == (None, known.db.node.peer_id)
        assert good.dialled_at is not None
        assert dead.dialled_at is not None
        assert good.dialled_at <= dead.dialled_at <= datetime.now(UTC)
        assert "not on the list" in str(bad.error)
        assert (bad.is_connected, dead.is_connected) == (False, False)
        assert any(place.rpartition(":")[2] in address for address in dead.addresses)
        assert str(dead.error).startswith("the peer could not be reached: /ip4/127.0.0.1/")
        await known.db.close()
        await eventually(lambda: not nodes()[known.key.wallet].is_connected)


async def test_the_entries_of_a_node_bring_others_to_it() -> None:
    async with mesh_of(1) as (first,):
        assert len(first.node.bootstrap_entries()) == 1
    async with mesh_of(3) as databases:  # each joined by the entries of those before it
        assert all(db.is_ready for db in databases)


@pytest.mark.parametrize("off", ["quic_port", "tcp_port"])
async def test_an_entry_names_the_transports_that_are_on(off: str) -> None:
    first_key, key = Keypair.generate(), Keypair.generate()
    wallets = [first_key.wallet, key.wallet]
    async with connect(**{**fields_of(first_key, wallets), "listen": {**LISTEN, off: None}}) as first:
        (entry,) = first.node.bootstrap_entries()
        assert "-" in entry.rpartition("@")[2]
        async with connect(**fields_of(key, wallets, bootstrap_nodes=[entry])) as db:
            await db.wait_ready(READY)
            assert db.peers()[0].transport == ("tcp" if off == "quic_port" else "quic")


async def test_a_name_is_looked_up(known: KnownNode) -> None:
    nodes = [known.entries[0].replace("127.0.0.1", "localhost")]
    async with known.join(nodes) as db:
        await db.wait_ready(READY)


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
async def test_ipv6_works() -> None:
    listen = {**LISTEN, "hosts": ["::1"]}
    async with mesh_of(2, listen=listen) as (one, two), two.subscribe("t") as events:
        assert "@[::1]:" in one.node.bootstrap_entries()[0]
        await one.publish("t", "over IPv6", min_peers=1, timeout=15)
        assert (await events.get(15)).message == "over IPv6"


async def test_nobody_is_ready_without_an_entry() -> None:
    async with connect(**alone()) as db:
        assert not db.is_ready
        with pytest.raises(MeshTimeoutError):
            await db.wait_ready(0.2)


async def test_one_good_entry_among_a_thousand_dead_ones_is_enough() -> None:
    key, first_key = Keypair.generate(), Keypair.generate()
    dead = [Keypair.generate().wallet for _ in range(1_000)]
    wallets = [key.wallet, first_key.wallet, *dead]
    async with connect(**fields_of(first_key, wallets)) as first:
        quic, tcp = free_ports()
        nodes = [f"{wallet}@127.0.0.1:{quic}:{tcp}" for wallet in dead]
        nodes += first.node.bootstrap_entries()
        began = time.monotonic()
        async with connect(**fields_of(key, wallets, bootstrap_nodes=nodes, bootstrap={"wait": "none"})) as db:
            most, sockets, took = 0.0, 0, 0.0
            # The core counts its dials from tick to tick, so a node can be ready before the first count of them.
            while not (took and most):
                assert time.monotonic() - began < 2 * READY
                most = max(most, *[metric.value for metric in db.node.metrics() if metric.name == "pending_dials"])
                sockets = max(sockets, len(open_sockets()))
                if db.is_ready and not took:
                    took = time.monotonic() - began
                await asyncio.sleep(0.01)
            print(f"ready in {took:.2f} s, at most {most:.0f} dials under way, {sockets} sockets in the process")
            assert most <= 128
            assert sockets < 400
