"""First peers: where the list comes from, what is wrong with it, and what connect waits for."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair, MeshTimeoutError, PeerDisconnected, Ready, Wallet, connect
from tests.support import LISTEN, alone, eventually, fields_of, mesh_of, open_sockets, soon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from depinmesh import Connecting, Database
    from depinmesh.status import BootstrapStatus

READY = 5.0
"""Seconds within which a node with one good entry must be ready."""


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def free_ports() -> tuple[int, int]:
    """Return a UDP and a TCP port that nobody has now, and that nobody gets who takes any."""
    return _free_port(socket.SOCK_DGRAM), _free_port(socket.SOCK_STREAM)


def _free_port(kind: socket.SocketKind) -> int:
    while True:
        port = random.randrange(10_000, 32_768)  # below those that the system gives away
        with socket.socket(type=kind) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Fleet:
    """One node that runs, and what another needs to find it."""

    def __init__(self, first: Database, key: Keypair, first_key: Keypair) -> None:
        self.first, self.key, self.first_key = first, key, first_key
        self.good = first.node.bootstrap_entries()
        quic, tcp = free_ports()
        self.dead = f"{self.first_key.wallet}@127.0.0.1:{quic}:{tcp}"
        _, _, place = self.good[0].partition("@")
        self.wrong_wallet = f"{Keypair.from_seed(bytes(range(32))).wallet}@{place}"

    def join(self, nodes: Any, **bootstrap: Any) -> Connecting[Database]:
        other = Keypair.from_seed(bytes(range(32))).wallet
        fields = fields_of(self.key, [self.key.wallet, self.first_key.wallet, other])
        return connect(**fields, bootstrap_nodes=nodes, bootstrap=bootstrap)


@pytest.fixture
async def fleet() -> Any:
    first_key, key = Keypair.generate(), Keypair.generate()
    async with connect(**fields_of(first_key, [first_key.wallet, key.wallet])) as first:
        yield Fleet(first, key, first_key)


@pytest.mark.parametrize("form", ["list", "plain function", "coroutine function"])
async def test_a_bootstrap_list_of_every_form_makes_a_node_ready(fleet: Fleet, form: str) -> None:
    async def coroutine_function() -> list[str]:
        return fleet.good

    nodes = {"list": fleet.good, "plain function": lambda: fleet.good, "coroutine function": coroutine_function}[form]
    began = time.monotonic()
    async with fleet.join(nodes) as db:
        await db.wait_ready(READY)
        assert time.monotonic() - began < READY
        assert [peer.wallet for peer in db.peers()] == [fleet.first_key.wallet]


@pytest.mark.parametrize(
    "nodes",
    [
        lambda fleet: [fleet.dead.replace(fleet.first_key.wallet, Keypair.generate().wallet), *fleet.good],
        lambda fleet: [f"{Keypair.from_seed(bytes(range(32))).wallet}@127.0.0.1:9:9", *fleet.good],
        lambda fleet: [fleet.dead, *fleet.good],
        lambda fleet: [fleet.wrong_wallet, *fleet.good],
    ],
    ids=["unlisted and dead", "listed and dead", "an old address of the same node", "another wallet"],
)
async def test_a_bad_entry_does_not_keep_a_good_one_from_working(
    fleet: Fleet, nodes: Callable[[Fleet], list[str]]
) -> None:
    began = time.monotonic()
    async with fleet.join(nodes(fleet)) as db:
        await db.wait_ready(READY)
        assert time.monotonic() - began < READY
        assert [peer.wallet for peer in db.peers()] == [fleet.first_key.wallet]


async def test_an_entry_with_another_wallet_does_not_disturb_whoever_answers_there(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    async with fleet.join([fleet.wrong_wallet, *fleet.good]) as db:
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
        await fleet.first.close()
        failures = db.node.status().counters["dial_failures_total"]
        await eventually(lambda: db.node.status().counters["dial_failures_total"] > failures)


async def test_the_log_says_once_who_is_not_listed_and_each_time_why_nobody_could_be_reached(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    _, tcp = free_ports()
    stranger = Keypair.generate().wallet
    nodes = [
        f"{fleet.first_key.wallet}@127.0.0.1:-:{tcp}",
        f"{stranger}@127.0.0.1:9:9",
        f"{fleet.key.wallet}@127.0.0.1:9",
    ]

    def lines(text: str) -> list[str]:
        return [record.getMessage() for record in caplog.records if text in record.getMessage()]

    async with fleet.join(nodes, wait="none", retry_interval=0.3):
        await eventually(lambda: len(lines("no bootstrap node could be reached")) >= 3)
    assert all("refused" in line for line in lines("no bootstrap node could be reached"))
    (line,) = lines("is not on the list of wallets")
    assert Wallet(stranger).peer_id in line


async def test_a_node_skips_itself_in_the_list(fleet: Fleet) -> None:
    quic, tcp = free_ports()
    listen = {**LISTEN, "quic_port": quic, "tcp_port": tcp}
    own = f"{fleet.key.wallet}@127.0.0.1:{quic}:{tcp}"
    wallets = [fleet.key.wallet, fleet.first_key.wallet]
    fields: dict[str, Any] = {**fields_of(fleet.key, wallets), "listen": listen}
    async with connect(**fields, bootstrap_nodes=[own, *fleet.good]) as db:
        await db.wait_ready(READY)
        assert [peer.wallet for peer in db.peers()] == [fleet.first_key.wallet]
        assert db.node.status().counters["dial_failures_total"] == 0


async def test_a_list_of_the_node_alone_is_as_an_empty_one() -> None:
    key, (quic, tcp) = Keypair.generate(), free_ports()
    listen = {**LISTEN, "quic_port": quic, "tcp_port": tcp}
    nodes = [f"{key.wallet}@127.0.0.1:{quic}:{tcp}"]
    async with connect(**{**fields_of(key, [key.wallet], bootstrap_nodes=nodes), "listen": listen}) as db:
        assert not db.is_ready
        assert db.node.status().counters["dial_failures_total"] == 0


def answers(*some: Any) -> Callable[[], Any]:
    """Return a function that gives, or raises, one after the other, and the last for ever."""
    left: Iterator[Any] = iter(some[:-1])

    def function() -> Any:
        answer = next(left, some[-1])
        if isinstance(answer, Exception):
            raise answer
        return answer

    return function


async def test_the_first_node_of_a_fleet_says_once_that_it_knows_no_other(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "depinmesh")
    async with connect(**alone(bootstrap={"retry_interval": 0.1})) as db:
        await eventually(lambda: db.node.status().bootstrap_attempts >= 5)
    assert sum("no bootstrap nodes" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize("first", [[], OSError("down"), None, ["nonsense"]], ids=["empty", "fails", "None", "nonsense"])
async def test_a_function_without_a_node_is_asked_again_until_it_has_one(fleet: Fleet, first: Any) -> None:
    async with fleet.join(answers(first, first, fleet.good), retry_interval=0.5) as db:
        assert not db.is_ready
        began = time.monotonic()
        await db.wait_ready(READY)
        assert time.monotonic() - began < READY
        assert db.node.status().bootstrap_attempts == 3


async def test_whom_a_function_named_before_it_failed_is_dialled_all_the_same() -> None:
    key, late = Keypair.generate(), Keypair.generate()
    wallets = [key.wallet, late.wallet]
    _, tcp = free_ports()
    nodes = answers([f"{late.wallet}@127.0.0.1:-:{tcp}"], OSError("down"))
    async with connect(**fields_of(key, wallets, bootstrap_nodes=nodes, bootstrap={"retry_interval": 0.1})) as db:
        await eventually(lambda: db.node.status().bootstrap_attempts >= 4)
        assert not db.is_ready
        # Not by dialling the node itself: it knows nobody.
        async with connect(**fields_of(late, wallets, listen={**LISTEN, "quic_port": None, "tcp_port": tcp})):
            await db.wait_ready(READY)


async def test_a_function_is_not_asked_again_once_ready(fleet: Fleet) -> None:
    calls = 0

    def nodes() -> list[str]:
        nonlocal calls
        calls += 1
        return fleet.good

    async with fleet.join(nodes, retry_interval=0.1, loss_delay=0.1) as db:
        await db.wait_ready(READY)
        wait = time.monotonic() + 1
        await eventually(lambda: time.monotonic() > wait)
        assert calls == 1
        await fleet.first.close()
        await eventually(lambda: calls > 1)  # and is when the last peer is gone


@pytest.mark.slow  # it reads the list once a minute
@pytest.mark.timeout(150)
async def test_a_node_that_looks_again_finds_those_that_came_onto_the_list() -> None:
    keys = [Keypair.generate() for _ in range(4)]
    wallets = [key.wallet for key in keys]
    nodes: list[str] = []

    def joining(key: Keypair, **discovery: bool) -> Connecting[Database]:
        return connect(
            **fields_of(key, wallets, bootstrap_nodes=lambda: list(nodes), discovery={"dht": False, **discovery})
        )

    async with joining(keys[0]) as first:
        nodes += first.node.bootstrap_entries()
        async with joining(keys[1], registry=True) as looks, joining(keys[2]) as does_not:
            known = list(nodes)
            nodes.clear()
            async with joining(keys[3]) as newcomer:
                nodes += known + newcomer.node.bootstrap_entries()
                await eventually(lambda: newcomer.node.peer_id in {peer.peer_id for peer in looks.peers()}, 90)
                # The other is as ready, and has had as much time.
                assert does_not.is_ready
                assert newcomer.node.peer_id not in {peer.peer_id for peer in does_not.peers()}


async def test_the_status_says_of_each_bootstrap_node_what_became_of_it(fleet: Fleet) -> None:
    unlisted, silent = Keypair.generate(), Keypair.from_seed(bytes(range(32)))
    place = fleet.dead.partition("@")[2]
    async with fleet.join([*fleet.good, f"{unlisted.wallet}@{place}", f"{silent.wallet}@{place}"]) as db:
        await db.wait_ready(READY)

        def nodes() -> dict[Wallet, BootstrapStatus]:
            return {node.wallet: node for node in db.node.status().bootstrap}

        await eventually(lambda: len(nodes()) == 3 and nodes()[fleet.first_key.wallet].is_connected)
        await eventually(lambda: nodes()[silent.wallet].error)
        await eventually(lambda: nodes()[unlisted.wallet].error)
        good, bad, dead = (nodes()[key.wallet] for key in (fleet.first_key, unlisted, silent))
        assert (good.error, good.peer_id) == (None, fleet.first.node.peer_id)
        assert good.dialled_at is not None
        assert dead.dialled_at is not None
        assert good.dialled_at <= dead.dialled_at <= datetime.now(UTC)
        assert "not on the list" in str(bad.error)
        assert (bad.is_connected, dead.is_connected) == (False, False)
        assert any(place.rpartition(":")[2] in address for address in dead.addresses)
        assert str(dead.error).startswith("the peer could not be reached: /ip4/127.0.0.1/")
        await fleet.first.close()
        await eventually(lambda: not nodes()[fleet.first_key.wallet].is_connected)


async def test_retry_bootstrap_asks_now(fleet: Fleet) -> None:
    async with fleet.join(answers([], fleet.good), retry_interval=600.0) as db:
        assert not db.is_ready
        db.node.retry_bootstrap()
        await db.wait_ready(READY)


async def test_connect_waits_for_the_first_round_or_for_a_peer_or_for_nothing(fleet: Fleet) -> None:
    async with fleet.join(fleet.good, wait="first-round") as db:
        assert db.is_ready
    async with fleet.join(fleet.good, wait="ready") as db:
        assert db.is_ready
    async with fleet.join([], wait="first-round") as db:
        assert not db.is_ready
    async with fleet.join(answers([], fleet.good), wait="ready", retry_interval=0.5) as db:
        assert db.is_ready
    async with fleet.join(answers([], fleet.good), wait="none", retry_interval=0.5) as db:
        stream = db.node.events(Ready)
        assert not db.is_ready
        await soon(anext(stream))
    began = time.monotonic()
    with pytest.raises(MeshTimeoutError):
        await fleet.join([], wait="ready", connect_timeout=0.3)
    assert time.monotonic() - began < 3


async def test_a_node_that_starts_before_its_bootstrap_node_is_ready_soon_after_that() -> None:
    key, late_key = Keypair.generate(), Keypair.generate()
    wallets, (quic, tcp) = [key.wallet, late_key.wallet], free_ports()
    entry = f"{late_key.wallet}@127.0.0.1:{quic}:{tcp}"
    listen = {**LISTEN, "quic_port": quic, "tcp_port": tcp}
    async with connect(**fields_of(key, wallets, bootstrap_nodes=[entry], bootstrap={"wait": "none"})) as early:
        await eventually(lambda: early.node.status().counters["dial_failures_total"] >= 2)
        assert not early.is_ready
        async with connect(**{**fields_of(late_key, wallets), "listen": listen}):
            up = time.monotonic()
            await early.wait_ready(READY)
            assert time.monotonic() - up < 3


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


async def test_a_name_is_looked_up(fleet: Fleet) -> None:
    nodes = [fleet.good[0].replace("127.0.0.1", "localhost")]
    async with fleet.join(nodes) as db:
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
