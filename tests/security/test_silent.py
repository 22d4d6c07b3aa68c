"""Those who do not even begin a handshake: they cost three seconds of a socket, and keep nobody out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from depinmesh import NodeState, PeerRefused
from tests.security.attack import address_of, attacker, counted, envelope, full, intruder, reasons, victim
from tests.support import eventually, soon, state_of

if TYPE_CHECKING:
    from depinmesh import Node

SILENT = 50
LIMIT = 3.0
"""Seconds that a connection has to show an identity."""
SLACK = 3
"""A busy machine may take so many times as long."""


@pytest.mark.timeout(90)
async def test_connections_that_say_nothing_are_closed_after_three_seconds_and_keep_no_guest_out() -> None:
    # With the usual limits for one address most of them would be turned away at once.
    async with (
        intruder() as (guest, key),
        victim(key.wallet) as db,
        attacker("silent", "--address", address_of(db.node, "tcp"), "--count", SILENT, "--seconds", 30) as silent,
    ):
        await guest.dial(address_of(db.node, "tcp"), hold_ms=0)
        await eventually(lambda: len(db.peers()) == 1)
        assert silent.said("closed") == []  # they all hang on while the guest comes in
        done = await silent.finish("silent-done", within=40)
        print(done)
        assert (done["closed"], done["open"], done["refused"]) == (SILENT, 0, 0)
        assert LIMIT * 1000 * 0.9 < done["min_ms"] <= done["max_ms"] < LIMIT * SLACK * 1000
        assert len(db.peers()) == 1
        assert counted(db.node, "connections_total") == 1


@pytest.mark.timeout(90)
async def test_silent_connections_stay_open_where_nothing_closes_them() -> None:
    """The control: plain libp2p without our time limit."""
    async with intruder("--listen", "/ip4/127.0.0.1/tcp/0") as (listener, _):
        (address,) = listener.said("started")[0]["addresses"]
        async with attacker("silent", "--address", address, "--count", SILENT, "--seconds", LIMIT * 1.5) as silent:
            done = await silent.finish("silent-done", within=40)
    assert (done["closed"], done["open"]) == (0, SILENT)


@pytest.mark.timeout(90)
async def test_an_address_that_uses_up_its_limit_keeps_out_nobody_from_elsewhere() -> None:
    pending = 16
    async with (
        # A dial over QUIC leaves from the address that it listens on.
        intruder("--transport", "quic", "--listen", "/ip4/127.0.0.2/udp/0/quic-v1") as (guest, key),
        intruder("--transport", "quic", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1") as (neighbour, other),
        victim(key.wallet, other.wallet, connections={"max_pending_per_ip": pending}) as db,
        attacker("silent", "--address", address_of(db.node, "tcp"), "--count", SILENT, "--seconds", 30) as silent,
    ):
        refusals = db.node.events(PeerRefused)
        await silent.wait("closed", n=SILENT - pending)
        refusal = await soon(anext(refusals))
        assert (refusal.peer_id, refusal.wallet, refusal.reason) == (None, None, "too-many-from-address")
        turned_away = await neighbour.dial(address_of(db.node, "quic"), hold_ms=1_000)
        await guest.dial(address_of(db.node, "quic"), hold_ms=0)
        await eventually(lambda: [peer.wallet for peer in db.peers()] == [key.wallet])
        assert len(silent.said("closed")) == SILENT - pending  # the others still hang on
        assert (turned_away["identified"], turned_away["open"]) == (0, 0)
        assert reasons(db.node, "refused_total") == {"too-many-from-address": SILENT - pending + 1}

        done = await silent.finish("silent-done", within=40)
        assert (done["closed"], done["open"]) == (SILENT, 0)
        assert done["max_ms"] < LIMIT * SLACK * 1000
        await neighbour.dial(address_of(db.node, "quic"), hold_ms=0)
        await eventually(lambda: len(db.peers()) == 2)


def _state(node: Node) -> tuple[object, ...]:
    names = ("connections_total", "admitted_total", "refused_total", "received_total", "dropped_total")
    return (state_of(node), [peer.wallet for peer in node.peers()], *(counted(node, name) for name in names))


async def test_garbage_over_udp_changes_nothing() -> None:
    async with (
        intruder() as (guest, key),
        intruder() as (second, other),
        victim(key.wallet, other.wallet) as db,
        db.subscribe("rooms") as events,
    ):
        quic = address_of(db.node, "quic")
        await guest.dial(quic, hold_ms=0)
        await eventually(lambda: len(db.peers()) == 1)
        before = _state(db.node)
        async with attacker("silent", "--address", quic, "--count", 2000, "--seconds", 1) as garbage:
            done = await garbage.finish("garbage-done", within=30)
        print(done)
        # It arrived: a version that does not exist is answered with those that do. The answers are the smaller part.
        assert 0 < done["replies"] <= done["sent"] == 2000
        assert done["bytes_received"] < done["bytes_sent"] / 3
        assert _state(db.node) == before
        assert before[0] is NodeState.RUNNING

        await guest.wait("peer-subscribed", topic=full(db, "rooms"))
        await guest.publish(full(db, "rooms"), envelope(key.peer_id, "still here"))
        assert (await events.get(15)).message == "still here"
        await second.dial(quic, hold_ms=0)
        await eventually(lambda: len(db.peers()) == 2)


async def test_garbage_over_udp_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        victim() as db,
        attacker("silent", "--address", address_of(db.node, "quic"), "--count", 2000, "--seconds", 1) as garbage,
    ):
        done = await garbage.finish("garbage-done", within=30)
        assert done["replies"] > 0
    seconds = done["sending_ms"] / 1000 + 1
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("depinmesh.core")]
    assert len(lines) <= 10 + 2 * seconds, lines[-1]
