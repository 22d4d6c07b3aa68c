"""First peers: when the list is asked for, again or no more, and what `connect` waits for."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair, MeshTimeoutError, Ready, connect
from tests.integration.known import READY, KnownNode
from tests.support import LISTEN, alone, eventually, fields_of, free_ports, soon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from depinmesh import Connecting, Database


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
async def test_a_function_without_a_node_is_asked_again_until_it_has_one(known: KnownNode, first: Any) -> None:
    async with known.join(answers(first, first, known.entries), retry_interval=0.5) as db:
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


async def test_a_function_is_not_asked_again_once_ready(known: KnownNode) -> None:
    calls = 0

    def nodes() -> list[str]:
        nonlocal calls
        calls += 1
        return known.entries

    async with known.join(nodes, retry_interval=0.1, loss_delay=0.1) as db:
        await db.wait_ready(READY)
        wait = time.monotonic() + 1
        await eventually(lambda: time.monotonic() > wait)
        assert calls == 1
        await known.db.close()
        await eventually(lambda: calls > 1)  # and is when the last peer is gone


async def test_a_function_is_asked_again_when_the_last_peer_has_been_gone_for_the_loss_delay() -> None:
    keys = [Keypair.generate() for _ in range(3)]
    first = keys[0]
    async with connect(**fields_of(first, [key.wallet for key in keys])) as db:
        entries = db.node.bootstrap_entries()

        def joining(key: Keypair, loss_delay: float) -> Connecting[Database]:
            # They do not list each other: each loses its last peer with the first node.
            fields = fields_of(key, [first.wallet, key.wallet], bootstrap_nodes=answers(entries, []))
            return connect(**fields, bootstrap={"retry_interval": 1.0, "loss_delay": loss_delay})

        async with joining(keys[1], 600.0) as late, joining(keys[2], 0.1) as early:
            for one in (late, early):
                await one.wait_ready(READY)
            before = late.node.status().bootstrap_attempts
            await db.close()
            await eventually(lambda: not late.is_ready)
            # The control: 0.1 s, and three times a second more, last longer than two seconds, the delay by default.
            await eventually(lambda: early.node.status().bootstrap_attempts >= 5)
            assert late.node.status().bootstrap_attempts == before
            assert not late.is_ready


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


async def test_retry_bootstrap_asks_now(known: KnownNode) -> None:
    async with known.join(answers([], known.entries), retry_interval=600.0) as db:
        assert not db.is_ready
        db.node.retry_bootstrap()
        await db.wait_ready(READY)


async def test_connect_waits_for_the_first_round_or_for_a_peer_or_for_nothing(known: KnownNode) -> None:
    async with known.join(known.entries, wait="first-round") as db:
        assert db.is_ready
    async with known.join(known.entries, wait="ready") as db:
        assert db.is_ready
    async with known.join([], wait="first-round") as db:
        assert not db.is_ready
    async with known.join(answers([], known.entries), wait="ready", retry_interval=0.5) as db:
        assert db.is_ready
    async with known.join(answers([], known.entries), wait="none", retry_interval=0.5) as db:
        stream = db.node.events(Ready)
        assert not db.is_ready
        await soon(anext(stream))
    began = time.monotonic()
    with pytest.raises(MeshTimeoutError):
        await known.join([], wait="ready", connect_timeout=0.3)
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
