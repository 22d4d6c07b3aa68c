"""What a node does beside messages: databases, functions of the user, dials, views."""

from __future__ import annotations

import asyncio
import contextvars
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import (
    ClosedError,
    ConfigError,
    DialError,
    IdentityError,
    Keypair,
    ListenAddress,
    MeshTimeoutError,
    Node,
    NodeState,
    NotAuthorizedError,
    PeerConnected,
    PeerDisconnected,
    connect,
)
from tests.support import (
    LISTEN,
    WAIT,
    alone,
    eventually,
    fields_of,
    heard,
    mesh_of,
    mute,
    soon,
    state_of,
    threads_of_ours,
)

if TYPE_CHECKING:
    from depinmesh import Database, Wallet

Pair = tuple["Database", "Database"]


async def test_a_node_carries_several_databases() -> None:
    a, b, c = (Keypair.generate() for _ in range(3))
    async with Node(**fields_of(a, [a.wallet])) as node:
        async with (
            node.database("ab", authorized_wallets=[a.wallet, b.wallet]) as ab,
            node.database("ac", authorized_wallets=[a.wallet, c.wallet]) as ac,
        ):
            entries = node.bootstrap_entries()
            more: dict[str, Any] = {"bootstrap_nodes": entries, "bootstrap": {"wait": "ready"}}
            async with (
                connect(**fields_of(b, [a.wallet, b.wallet], database="ab", **more)) as other_b,
                connect(**fields_of(c, [a.wallet, c.wallet], database="ac", **more)) as other_c,
            ):
                await eventually(lambda: len(node.peers()) == 2)
                assert [peer.wallet for peer in ab.peers()] == [b.wallet]
                assert [peer.wallet for peer in ac.peers()] == [c.wallet]
                async with ab.subscribe("t") as in_ab, ac.subscribe("t") as in_ac:
                    await other_b.publish("t", "b", min_peers=1, timeout=15)
                    await other_c.publish("t", "c", min_peers=1, timeout=15)
                    assert (await in_ab.get(15)).message == "b"
                    assert (await in_ac.get(15)).message == "c"
                with pytest.raises(ConfigError):
                    await node.database("ab")
        assert state_of(node) is NodeState.RUNNING
        with pytest.raises(ClosedError):
            await ab.publish("t", 1)
        await node.database("ab", authorized_wallets=[a.wallet])


async def test_a_plain_registry_function_runs_in_one_thread_of_ours() -> None:
    key, threads = Keypair.generate(), []

    def registry() -> list[Wallet]:
        threads.append(threading.current_thread().name)
        return [key.wallet]

    async with connect(**{**alone(), "private_key": key, "authorized_wallets": registry}) as db:
        await eventually(lambda: db.node.gate.wallets == [key.wallet])
        await db.node.gate.refresh()
        assert db.node.gate.listed
    assert set(threads) == {"depinmesh-calls"}
    await eventually(lambda: threads_of_ours() == [])


async def test_a_plain_registry_function_that_hangs_holds_up_nothing() -> None:
    entered, leave, calls = threading.Event(), threading.Event(), 0

    def registry() -> list[Wallet]:
        nonlocal calls
        calls += 1
        entered.set()
        leave.wait(20)
        return []

    gate = {"timeout": 0.1, "refresh_interval": 0.2, "min_interval": 0.1}
    try:
        async with connect(**alone(authorized_wallets=registry, gate=gate)) as db:
            await eventually(entered.is_set)
            await asyncio.sleep(1)
            assert calls == 1  # the next begins when this one has returned
            began = time.monotonic()
            await db.close()
            assert time.monotonic() - began < 3
    finally:
        leave.set()


async def test_functions_run_in_the_context_of_connect() -> None:
    variable = contextvars.ContextVar("variable", default="unset")
    seen: set[str] = set()

    async def registry() -> list[Wallet]:
        seen.add("registry " + variable.get())
        return []

    def bootstrap_nodes() -> list[str]:
        seen.add("bootstrap " + variable.get())
        return []

    variable.set("connected")
    opening = connect(**alone(authorized_wallets=registry, bootstrap_nodes=bootstrap_nodes))
    variable.set("later")
    async with opening:
        await eventually(lambda: seen == {"registry connected", "bootstrap connected"})


async def test_a_registry_that_raises_is_logged_and_the_node_starts(caplog: pytest.LogCaptureFixture) -> None:
    def registry() -> list[Wallet]:
        raise OSError("the chain is down")

    async with connect(**alone(authorized_wallets=registry)) as db:
        assert state_of(db.node) is NodeState.RUNNING
        await eventually(lambda: "registry function failed" in caplog.text)
        assert "the chain is down" in caplog.text


async def test_a_provider_is_asked_for_wallets_and_nodes() -> None:
    async with mesh_of(1) as (first,):
        key = Keypair.generate()

        class Fleet:
            async def wallets(self) -> list[Wallet]:
                return [key.wallet, first.node.wallet]

            def bootstrap_nodes(self) -> list[str]:
                return first.node.bootstrap_entries()

        fleet = Fleet()
        fields = {**alone(), "private_key": key, "authorized_wallets": fleet, "bootstrap_nodes": fleet}
        async with connect(**fields) as db:
            await eventually(lambda: set(db.node.gate.wallets) == {key.wallet, first.node.wallet})
            assert db.node.gate.is_authorized(first.node.wallet)
            assert db.node.gate.is_authorized(first.node.peer_id)
            assert db.node.gate.is_authorized(str(first.node.peer_id))
            assert not db.node.gate.is_authorized(Keypair.generate().wallet)
            assert db.node.gate.age is not None
            for wrong in None, 5, key, b"x" * 50, "x" * 50:
                with pytest.raises(IdentityError):
                    db.node.gate.is_authorized(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["entry", "multiaddr"])
async def test_dial_and_hang_up(form: str) -> None:
    a, b = Keypair.generate(), Keypair.generate()
    wallets = [a.wallet, b.wallet]
    async with connect(**fields_of(a, wallets)) as one, connect(**fields_of(b, wallets)) as two:
        address = two.node.bootstrap_entries()[0] if form == "entry" else two.node.addresses[0]
        streams = [db.node.events(PeerConnected, PeerDisconnected) for db in (one, two)]
        assert await one.node.dial(address) == two.node.peer_id
        assert [peer.peer_id for peer in one.peers()] == [two.node.peer_id]
        await eventually(two.peers)  # it learns who has come a moment later
        await one.node.hang_up(two.node.peer_id)
        # They may find each other again at once, as each of them lacks peers.
        for stream, other in zip(streams, (two, one), strict=True):
            connected, disconnected = [await soon(anext(stream)) for _ in range(2)]
            assert isinstance(connected, PeerConnected)
            assert connected.peer.peer_id == other.node.peer_id
            assert isinstance(disconnected, PeerDisconnected)
            assert disconnected.peer_id == other.node.peer_id


@pytest.mark.parametrize("off", ["quic_port", "tcp_port"])
async def test_a_dial_of_an_address_whose_owner_is_connected_already_makes_nobody_deaf(off: str) -> None:
    """Who is there shows only when it answers, and it takes the dial for a sign that its connection is lost to us."""
    keys = sorted((Keypair.generate() for _ in range(2)), key=lambda key: bytes(key.wallet))
    wallets, listen = [key.wallet for key in keys], {**LISTEN, off: None}
    # Of two connections the side with the smaller id denies the second: this one is dialled by the other side.
    async with connect(**fields_of(keys[1], wallets, listen=listen)) as one:
        entries = one.node.bootstrap_entries()
        async with (
            connect(**fields_of(keys[0], wallets, listen=listen, bootstrap_nodes=entries)) as two,
            one.subscribe("t") as events,
            two.subscribe("t"),
        ):
            await heard(one, two, "t")
            await heard(two, one, "t")
            since = one.peers()[0].connected_at
            await eventually(lambda: datetime.now(UTC) - since > timedelta(seconds=1.2))
            assert await one.node.dial(two.node.addresses[0].partition("/p2p/")[0]) == two.node.peer_id
            await eventually(lambda: one.peers() and one.peers()[0].connected_at > since)
            await heard(one, two, "t")
            await heard(two, one, "t")
            await two.publish("t", "still heard")
            assert (await events.get(WAIT)).message == "still heard"


async def test_a_hang_up_ends_the_dials_before_it_and_not_those_after() -> None:
    a, b = Keypair.generate(), Keypair.generate()
    wallets = [a.wallet, b.wallet]
    async with connect(**fields_of(a, wallets)) as one, connect(**fields_of(b, wallets)) as two, mute() as port:
        unanswered = one.node.dial(f"/ip4/127.0.0.1/tcp/{port}/p2p/{two.node.peer_id}")
        before = asyncio.create_task(unanswered)
        await eventually(lambda: [m.value for m in one.node.metrics() if m.name == "pending_dials"] == [1])
        _, peer = await soon(asyncio.gather(one.node.hang_up(b.wallet), one.node.dial(two.node.addresses[0])))
        assert peer == two.node.peer_id
        with pytest.raises(DialError, match="hung up"):
            await soon(before)


async def test_a_dial_that_knows_a_better_place_does_not_wait_for_the_one_under_way() -> None:
    a, b = Keypair.generate(), Keypair.generate()
    wallets = [a.wallet, b.wallet]
    async with connect(**fields_of(b, wallets)) as two, mute() as port:
        entry = f"{b.wallet}@127.0.0.1:-:{port}"
        async with connect(**fields_of(a, wallets, bootstrap_nodes=[entry], bootstrap={"wait": "none"})) as one:
            await eventually(lambda: [m.value for m in one.node.metrics() if m.name == "pending_dials"] == [1])
            assert await one.node.dial(two.node.addresses[0], timeout=5) == two.node.peer_id
            await eventually(lambda: [peer.peer_id for peer in one.peers()] == [two.node.peer_id])


async def test_a_dial_that_fails_says_why() -> None:
    async with connect(**alone()) as db:
        with pytest.raises(NotAuthorizedError):
            await db.node.dial(f"{Keypair.generate().wallet}@127.0.0.1:9:9")
        with pytest.raises((DialError, MeshTimeoutError)):
            await db.node.dial("/ip4/127.0.0.1/tcp/9", timeout=2)


async def test_listen_addresses_are_events() -> None:
    node = Node(**alone())
    stream = node.events(ListenAddress)
    async with node:
        assert (await soon(anext(stream))).address.startswith("/ip4/127.0.0.1/")


async def test_status_and_metrics_describe_the_node(pair: Pair) -> None:
    one, two = pair
    async with one.subscribe("t"):
        await two.publish("t", 1, min_peers=1, timeout=15)
        status = one.node.status()
        assert status.state is NodeState.RUNNING
        assert (status.peer_id, status.wallet) == (one.node.peer_id, one.node.wallet)
        assert (status.peers, status.is_ready) == (1, True)
        assert [(db.name, db.is_ready, db.peers, db.topics) for db in status.databases] == [(one.name, True, 1, ("t",))]
        assert status.uptime > 0
        await eventually(lambda: two.node.status().counters["published_total"] == 1)
        names = {metric.name for metric in two.node.metrics()}
        assert "published_total" in names


async def test_bootstrap_entries_connect_others() -> None:
    async with mesh_of(2) as (one, _):
        (entry,) = one.node.bootstrap_entries()
        assert entry.startswith(f"{one.node.wallet}@127.0.0.1:")


async def test_bootstrap_entries_are_those_that_are_announced() -> None:
    """Behind a port mapping or in a container others do not reach it where it listens."""
    from depinmesh.ops import report

    announced = ["/ip4/192.0.2.1/udp/14001/quic-v1", "/ip4/192.0.2.1/tcp/14002"]
    async with Node(**alone(listen={**LISTEN, "announce": announced})) as node:
        assert node.bootstrap_entries() == [f"{node.wallet}@192.0.2.1:14001:14002"]
        assert json.loads(report(node))["node"]["bootstrap_entries"] == node.bootstrap_entries()
