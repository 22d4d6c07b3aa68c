"""Starting, closing, failing, and use from the wrong place, with real nodes."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from typing import Any, Self

import pytest

from depinmesh import (
    ClosedError,
    ConfigError,
    Keypair,
    ListenError,
    MeshTimeoutError,
    Node,
    NodeState,
    connect,
)
from tests.support import LISTEN, WAIT, alone, eventually, fields_of, free_port, mesh_of, nothing_left, soon, state_of

NOWHERE = f"{Keypair.from_seed(bytes(range(32))).wallet}@127.0.0.1:9:9"
"""A bootstrap node that nobody runs."""


async def test_connect_gives_a_running_node_and_closing_the_database_closes_it() -> None:
    async with nothing_left():
        async with connect(**alone(database="rooms")) as db:
            node = db.node
            assert db.name == "rooms"
            assert state_of(node) is NodeState.RUNNING
            assert node.addresses
            assert all("127.0.0.1" in address for address in node.addresses)
        assert state_of(node) is NodeState.CLOSED
        del db, node


async def test_connect_can_be_awaited() -> None:
    db = await connect(**alone())
    assert state_of(db.node) is NodeState.RUNNING
    await db.close()
    assert state_of(db.node) is NodeState.CLOSED


async def test_connect_checks_its_configuration_at_the_call() -> None:
    with pytest.raises(ConfigError):
        _ = connect(authorized_wallets=[])
    with pytest.raises(ConfigError):
        _ = connect(**alone(logger=object()))


async def test_a_connect_that_is_never_awaited_warns() -> None:
    opening = connect(**alone())
    with pytest.warns(RuntimeWarning, match="never awaited"):
        del opening


async def test_a_node_says_who_it_is_before_its_start() -> None:
    key = Keypair.generate()
    node = Node(**fields_of(key, [key.wallet]))
    assert (node.peer_id, node.wallet, node.state) == (key.peer_id, key.wallet, NodeState.NEW)
    assert (node.addresses, node.peers(), node.is_ready, node.bootstrap_entries()) == ([], [], False, [])
    assert node.status().state is NodeState.NEW
    assert node.gate.wallets == []
    with pytest.raises(ClosedError):
        await node.wait_ready()
    with pytest.raises(ClosedError):
        await node.database()
    await node.close()
    assert state_of(node) is NodeState.CLOSED
    with pytest.raises(ClosedError):
        await node.start()


async def test_a_node_starts_once() -> None:
    async with Node(**alone()) as node:
        with pytest.raises(ClosedError):
            await node.start()
        assert state_of(node) is NodeState.RUNNING
    with pytest.raises(ClosedError):
        await node.start()


async def test_a_port_in_use_is_a_listen_error_and_leaves_nothing() -> None:
    async with nothing_left():
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            listen = {"hosts": ["127.0.0.1"], "quic_port": 0, "tcp_port": taken.getsockname()[1]}
            with pytest.raises(ListenError):
                await connect(**alone(listen=listen))


async def test_two_nodes_do_not_share_a_port() -> None:
    """The system would let them, and hand each connection to one of the two."""
    listen = {"hosts": ["127.0.0.1"], "quic_port": None, "tcp_port": free_port(socket.SOCK_STREAM)}
    async with nothing_left():
        async with connect(**alone(listen=listen)):
            with pytest.raises(ListenError, match="the port is taken") as caught:
                await connect(**alone(listen=listen))
            assert caught.value.port == listen["tcp_port"]
        async with connect(**alone(listen=listen)):  # the control
            pass


async def test_a_node_shares_a_port_with_itself() -> None:
    ports = {"quic_port": None, "tcp_port": free_port(socket.SOCK_STREAM)}
    async with connect(**alone(listen={"hosts": ["127.0.0.1", "127.0.0.2"], **ports})) as db:
        assert len(db.node.addresses) == 2


async def test_waiting_for_ready_ends_in_a_timeout_and_leaves_nothing() -> None:
    async with nothing_left():
        with pytest.raises(MeshTimeoutError):
            await connect(**alone(bootstrap_nodes=[NOWHERE], bootstrap={"wait": "ready", "connect_timeout": 0.3}))


async def test_a_failed_first_round_is_no_error() -> None:
    async with asyncio.timeout(15):
        async with connect(**alone(bootstrap_nodes=[NOWHERE], bootstrap={"connect_timeout": 5.0})) as db:
            assert not db.is_ready


async def test_connect_need_not_wait() -> None:
    began = asyncio.Event()

    async def bootstrap_nodes() -> list[str]:
        began.set()
        await asyncio.sleep(60)
        return []

    async with connect(**alone(bootstrap_nodes=bootstrap_nodes, bootstrap={"wait": "none"})):
        await soon(began.wait())


async def test_the_first_round_has_a_time_limit() -> None:
    async def bootstrap_nodes() -> list[str]:
        await asyncio.sleep(60)
        return []

    async with asyncio.timeout(10):
        async with connect(**alone(bootstrap_nodes=bootstrap_nodes, bootstrap={"connect_timeout": 0.3})):
            pass


@pytest.mark.parametrize("delay", [0, 0.001, 0.01, 0.05, 0.2])
async def test_a_cancelled_connect_leaves_nothing(delay: float) -> None:
    async def bootstrap_nodes() -> list[str]:
        await asyncio.sleep(60)
        return []

    async with nothing_left():
        task = asyncio.ensure_future(connect(**alone(bootstrap_nodes=bootstrap_nodes)))
        await asyncio.sleep(delay)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(task)
        del task


async def test_close_is_idempotent_and_shared() -> None:
    db = await connect(**alone())
    await soon(asyncio.gather(db.close(), db.node.close(), db.close(timeout=1)))
    assert state_of(db.node) is NodeState.CLOSED
    await db.close()
    await db.node.close()


async def test_a_cancelled_close_goes_on() -> None:
    db = await connect(**alone())
    closing = asyncio.create_task(db.close())
    await asyncio.sleep(0)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await soon(db.close())
    assert state_of(db.node) is NodeState.CLOSED


async def test_publish_then_close_arrives() -> None:
    async with mesh_of(2) as (one, two), two.subscribe("t") as events:
        await one.wait_for_peers("t", 1, 15)
        for number in range(200):
            await one.publish("t", number)
        await one.close()
        assert [(await events.get(15)).message for _ in range(200)] == list(range(200))


@pytest.mark.parametrize("transport", ["quic", "tcp"])
async def test_publish_then_close_of_a_database_arrives(transport: str) -> None:
    """Its peers are put out with it, as no other database lists them: what was published goes out before."""
    keys = [Keypair.generate(), Keypair.generate()]
    listen = {**LISTEN, "tcp_port" if transport == "quic" else "quic_port": None}
    fields = [fields_of(key, [key.wallet for key in keys], database="rooms", listen=listen) for key in keys]
    async with (
        connect(**fields[0]) as reader,
        reader.subscribe("t") as events,
        Node(**fields[1], bootstrap_nodes=reader.node.bootstrap_entries()) as node,
    ):
        rooms = await node.database("rooms")
        await rooms.wait_for_peers("t", 1, 15)
        for number in range(200):
            await rooms.publish("t", [number, "x" * 500])
        await soon(rooms.close())
        assert [(await events.get(15)).message[0] for _ in range(200)] == list(range(200))
        assert node.status().counters["published_unheard_total"] == 0
        await eventually(lambda: not reader.peers())


async def test_what_waits_for_a_database_ends_with_it_and_not_with_the_node() -> None:
    async with Node(**alone()) as node:
        other, stays = await node.database("other"), await node.database("stays")
        waits = [
            asyncio.ensure_future(wait)
            for one in (other, stays)
            for wait in (one.wait_ready(), one.wait_for_peers("t"), one.publish("t", 1, min_peers=1))
        ]
        await asyncio.sleep(0)  # they begin
        await soon(other.close())
        for wait in waits[:3]:
            with pytest.raises(ClosedError, match=r"the database .*is closed"):
                await soon(wait)
        assert not any(wait.done() for wait in waits[3:])
    for wait in waits[3:]:
        with pytest.raises(ClosedError):
            await soon(wait)


@pytest.mark.parametrize("timeout", [None, "1", -1, float("nan"), float("inf"), True])
async def test_a_close_with_a_wrong_time_limit_changes_nothing(timeout: Any) -> None:
    async with nothing_left():
        db = await connect(**alone())
        for one in (db, db.node):
            with pytest.raises(ConfigError, match="timeout"):
                await one.close(timeout=timeout)
        assert state_of(db.node) is NodeState.RUNNING
        await soon(db.close(timeout=0))
        assert state_of(db.node) is NodeState.CLOSED


@pytest.mark.parametrize("timeout", ["1", -1, float("nan"), float("inf"), True])
async def test_a_wrong_time_limit_is_refused_before_anything_happens(timeout: Any) -> None:
    async with connect(**alone()) as db, db.subscribe("t") as events:
        address = db.node.addresses[0]
        for call in (
            lambda: db.publish("t", 1, timeout=timeout),
            lambda: db.wait_for_peers("t", 1, timeout),
            lambda: db.wait_ready(timeout),
            lambda: db.node.wait_ready(timeout),
            lambda: db.node.dial(address, timeout=timeout),
            lambda: events.get(timeout),
        ):
            with pytest.raises(ConfigError, match="timeout"):
                await soon(call())
        with pytest.raises(TypeError, match="an address is text or a BootstrapNode, not int"):
            await db.node.dial(123)  # type: ignore[arg-type]
        assert db.node.status().counters["published_unheard_total"] == 0


async def test_a_stream_of_a_node_that_never_started_ends_with_it() -> None:
    node = Node(**alone())
    stream = node.events()
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)  # it begins
    await node.close()
    with pytest.raises(StopAsyncIteration):
        await soon(waiting)


def test_a_close_that_ends_with_its_loop_leaves_no_thread() -> None:
    class Slow:
        async def __aenter__(self) -> Self:
            return self

        async def __aexit__(self, *_: object) -> None:
            await asyncio.sleep(60)

        def wallets(self) -> list[str]:  # plain: in a thread of the node's
            return []

    async def main() -> None:
        db = await connect(**alone(authorized_wallets=Slow()))
        await eventually(lambda: db.node.gate.age is not None)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(db.close(), 0.2)

    asyncio.run(main())
    until = time.monotonic() + WAIT
    while left := [one.name for one in threading.enumerate() if one.name.startswith("depinmesh")]:
        assert time.monotonic() < until, left
        time.sleep(0.05)


async def test_after_close_every_call_raises_closed_error() -> None:
    db = await connect(**alone())
    subscription = await db.subscribe("t")
    stream = db.node.events()
    await db.close()
    node = db.node
    for call in (
        lambda: db.publish("t", 1),
        lambda: db.unsubscribe("t"),
        lambda: db.wait_for_peers("t"),
        db.wait_ready,
        subscription.get,
        node.wait_ready,
        lambda: node.dial("/ip4/127.0.0.1/tcp/1"),
        lambda: node.hang_up(Keypair.generate().peer_id),
        node.gate.refresh,
        lambda: node.database("other"),
    ):
        with pytest.raises(ClosedError):
            await soon(call())
    for plain_call in (
        lambda: db.publish_nowait("t", 1),
        lambda: db.subscribe("t"),
        lambda: db.topic_peers("t"),
        db.peers,
        node.events,
        node.retry_bootstrap,
    ):
        with pytest.raises(ClosedError):
            plain_call()
    assert [event async for event in subscription] == []
    async with asyncio.timeout(5):
        async for _ in stream:
            pass
    assert node.status().state is NodeState.CLOSED
    assert db.topics() == []
    await subscription.close()


async def test_close_ends_what_is_awaited() -> None:
    db = await connect(**alone())
    waits = [
        asyncio.create_task(wait)
        for wait in (db.wait_ready(), db.wait_for_peers("t"), db.publish("t", 1, min_peers=1), db.node.wait_ready())
    ]
    await asyncio.sleep(0.01)
    await db.close()
    for wait in waits:
        with pytest.raises(ClosedError):
            await soon(wait)
