"""A gate in the way between Go and us, theirs or ours: nothing passes, both keep trying, and it costs little."""

from __future__ import annotations

import logging

import pytest

from depinmesh import Keypair, NotAuthorizedError, PeerConnected, PeerRefused, Ready
from depinmesh.testing import MockRegistry
from tests.interop.exchange import inbox
from tests.interop.peers import GO, TOPIC, TRANSPORTS, address_of, full, go_peer, met, now, ours
from tests.security.attack import counted
from tests.support import eventually, soon

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

MANY = 20


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("pins", GO)
async def test_we_learn_that_a_go_node_refuses_us_and_come_back_when_it_does_not(
    pins: str, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "depinmesh")
    us, somebody = Keypair.generate(), Keypair.generate()
    async with (
        go_peer(pins, "-gate", somebody.wallet, transport=transport) as peer,
        ours(peer.key.wallet, key=us, transport=transport) as db,
        inbox(db) as box,
    ):
        await peer.ask("subscribe", "subscribed", topic=full(db))
        refusals, arrivals = db.node.events(PeerRefused), db.node.events(PeerConnected, Ready)
        with pytest.raises(NotAuthorizedError):
            await db.node.dial(peer.address)
        refusal = await soon(anext(refusals))
        assert (refusal.peer_id, refusal.wallet, refusal.reason) == (peer.peer_id, peer.key.wallet, "refused-by-peer")
        for number in range(MANY):
            await db.publish(TOPIC, number)
            await peer.publish(full(db), number)
        # It backs off: of its own tries each comes later than the one before.
        tries = len(peer.said("blocked", where="Inbound"))
        assert tries <= 2
        assert not db.is_ready
        assert db.peers() == []
        assert peer.messages(full(db)) == []
        assert box.events == []
        lines = [record for record in caplog.records if "refused this node" in record.getMessage()]
        assert len(lines) == tries
        assert peer.said("blocked", where="Inbound")[0]["peer"] == us.peer_id

        await peer.ask("gate", "gate", wallets=[us.wallet, somebody.wallet])
        assert await db.node.dial(peer.address) == peer.peer_id
        assert isinstance(await soon(anext(arrivals)), PeerConnected | Ready)
        await met(db, peer)
        await db.publish(TOPIC, "at last")
        await peer.publish(full(db), "at last")
        await eventually(lambda: [event.message for event in box.events] == ["at last"])
        await peer.wait("message", topic=full(db))


@pytest.mark.parametrize("pins", GO)
async def test_each_try_at_a_go_node_that_refuses_us_comes_later_than_the_one_before(pins: str) -> None:
    somebody = Keypair.generate()
    async with go_peer(pins, "-gate", somebody.wallet) as peer:
        rounds, started = {"wait": "none", "retry_interval": 60}, now()
        async with ours(peer.key.wallet, bootstrap_nodes=[peer.address], bootstrap=rounds) as db:
            tries = []
            for number in range(1, 4):
                await peer.wait("blocked", n=number)
                tries.append(now() - started)
            assert tries[1] - tries[0] >= 1.5  # 2 s and a fifth of jitter
            assert tries[2] - tries[1] >= 3  # and twice that
            assert not db.is_ready


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("pins", GO)
async def test_a_go_node_that_we_refuse_gets_nothing_and_costs_one_call_of_the_registry(
    pins: str, transport: str
) -> None:
    us = Keypair.generate()
    registry = MockRegistry([us.wallet])
    async with (
        go_peer(pins, transport=transport) as peer,
        ours(key=us, transport=transport, authorized_wallets=registry, gate={"refresh_interval": 3600}) as db,
        inbox(db) as box,
    ):
        await peer.ask("subscribe", "subscribed", topic=full(db))
        before = registry.calls
        for number in range(MANY):
            await peer.dial(address_of(db.node))  # whatever it thinks became of it
            await peer.wait("disconnected", n=len(peer.said("connected")))
            await db.publish(TOPIC, number)
            await peer.publish(full(db), number)
        assert registry.calls - before <= 2
        assert counted(db.node, "refused_total") >= MANY
        assert peer.messages(full(db)) == []
        assert box.events == []
        assert db.peers() == []

        registry.add(peer.key.wallet)
        await db.node.gate.refresh()
        assert (await peer.dial(address_of(db.node)))["error"] is None
        await met(db, peer)
        await peer.publish(full(db), "at last")
        await eventually(lambda: [event.message for event in box.events] == ["at last"])
