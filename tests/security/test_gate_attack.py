"""A valid key that is not on the list knocks two hundred times; on the list the same tries all get in."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair, NotAuthorizedError, PeerConnected, PeerRefused
from tests.security.attack import (
    TRANSPORTS,
    address_of,
    counted,
    envelope,
    full,
    intruder,
    reasons,
    victim,
)
from tests.support import WAIT, eventually, received, soon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from depinmesh import Database, Wallet

DIALS = 200
TOPIC = "rooms"

everywhere = pytest.mark.parametrize("transport", TRANSPORTS)


@asynccontextmanager
async def talking(database: Database) -> AsyncIterator[None]:
    """Publish all the time, so that there is something to overhear."""

    async def talk() -> None:
        while True:
            await database.publish(TOPIC, "not for strangers")
            await asyncio.sleep(0.005)

    task = asyncio.create_task(talk())
    try:
        yield
    finally:
        assert not task.done()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@everywhere
@pytest.mark.timeout(120)
async def test_a_stranger_is_served_no_stream_and_no_event_passes_either_way(transport: str) -> None:
    async with (
        intruder(*TRANSPORTS[transport]) as (stranger, key),
        victim() as db,
        db.subscribe(TOPIC) as events,
        talking(db),
    ):
        refusals = db.node.events(PeerRefused)
        topic = full(db, TOPIC)
        await stranger.ask("subscribe", "subscribed", topic=topic)
        done = await stranger.dial(
            address_of(db.node, transport),
            times=DIALS,
            within=100,
            hold_ms=10_000,
            topic=topic,
            data=envelope(key.peer_id, "from a stranger"),
        )
        assert done["times"] == DIALS == done["closed"] + done["failed"]
        nothing = ("identified", "open", "streams_served", "streams_accepted", "bytes_read")
        assert {name: done[name] for name in nothing} == dict.fromkeys(nothing, 0)
        assert (done["events_sent"], done["events_received"]) == (0, 0)
        report = await stranger.report()
        assert (report["peers"], report["events_received"], report["events_accepted"]) == (0, 0, 0)
        assert (events.stats.delivered, events.stats.pending, db.peers()) == (0, 0, [])
        assert counted(db.node, "received_total") == counted(db.node, "connections_total") == 0
        # Each of them was refused by the gate, by none of the limits before it.
        await eventually(lambda: reasons(db.node, "refused_total") == {"not-listed": DIALS})
        first = await soon(anext(refusals))
        assert (first.wallet, first.peer_id) == (key.wallet, key.peer_id)
        assert (first.direction, first.reason) == ("inbound", "not-listed")


@everywhere
@pytest.mark.timeout(120)
async def test_the_same_key_gets_in_every_time_once_it_is_listed(transport: str) -> None:
    key = Keypair.generate()
    async with (
        intruder(*TRANSPORTS[transport], key=key) as (guest, _),
        victim(key.wallet) as db,
        db.subscribe(TOPIC) as events,
        talking(db),
    ):
        connected = db.node.events(PeerConnected)
        topic = full(db, TOPIC)
        await guest.ask("subscribe", "subscribed", topic=topic)
        for number in range(1, DIALS + 1):
            done = await guest.dial(address_of(db.node, transport), hold_ms=0)
            assert done["connected"] == 1
            await guest.wait("identified", n=number, peer_id=db.node.peer_id)
            peer = (await soon(anext(connected))).peer
            assert (peer.wallet, peer.transport) == (key.wallet, transport.partition("-")[0])
            if number < DIALS:
                await db.node.hang_up(key.wallet)
                await guest.wait("closed", n=number)
        report = await guest.report()
        assert report["peers"] == 1
        assert report["streams_served"] >= DIALS
        await guest.wait("peer-subscribed", topic=topic, n=1)
        async with asyncio.timeout(WAIT):
            while not received(events):  # that line may be of an earlier connection
                await guest.publish(topic, envelope(key.peer_id, "from a guest"))
                await asyncio.sleep(0.05)
        assert (await events.get(15)).message == "from a guest"
        gossip = await guest.wait("gossip", topic=topic, author=db.node.peer_id)
        assert "not for strangers" in gossip["data"]
        assert reasons(db.node, "refused_total") == {}


@everywhere
async def test_a_dial_to_a_stranger_is_refused_before_the_first_packet(transport: str) -> None:
    key = Keypair.generate()
    listen = "/ip4/127.0.0.1/udp/0/quic-v1" if transport == "quic" else "/ip4/127.0.0.1/tcp/0"
    wallets: list[Wallet] = []

    async def registry() -> list[Wallet]:
        return list(wallets)

    async with (
        intruder("--listen", listen, *TRANSPORTS[transport], key=key) as (listener, _),
        victim(authorized_wallets=registry, gate={"min_interval": 0.05, "negative_ttl": 0}) as db,
        db.subscribe(TOPIC) as events,
        talking(db),
    ):
        wallets.append(db.node.wallet)
        await db.node.gate.refresh()
        topic = full(db, TOPIC)
        await listener.ask("subscribe", "subscribed", topic=topic)
        (address,) = listener.said("started")[0]["addresses"]
        for _ in range(5):
            with pytest.raises(NotAuthorizedError) as caught:
                await db.node.dial(address)
            assert caught.value.reason == "not-listed"

        # The control: listed, the same dial arrives, as the first that this listener has heard of.
        wallets.append(key.wallet)
        await db.node.gate.refresh()
        assert await db.node.dial(address) == key.peer_id
        await listener.wait("connected", wallet=db.node.wallet)
        assert len(listener.said("connected")) == 1
        assert listener.said("incoming-failed") == []
        await listener.wait("peer-subscribed", topic=topic)
        await listener.publish(topic, envelope(key.peer_id, "from a guest"))
        assert (await events.get(15)).message == "from a guest"
        await listener.wait("gossip", topic=topic, author=db.node.peer_id)


@everywhere
async def test_a_stranger_behind_an_address_without_identity_is_refused_after_the_handshake(transport: str) -> None:
    listen = "/ip4/127.0.0.1/udp/0/quic-v1" if transport == "quic" else "/ip4/127.0.0.1/tcp/0"
    async with (
        intruder("--listen", listen, *TRANSPORTS[transport]) as (listener, key),
        victim() as db,
        db.subscribe(TOPIC) as events,
        talking(db),
    ):
        await listener.ask("subscribe", "subscribed", topic=full(db, TOPIC))
        address, _, _ = listener.said("started")[0]["addresses"][0].partition("/p2p/")
        for _ in range(5):
            with pytest.raises(NotAuthorizedError) as caught:
                await db.node.dial(address)
            assert (caught.value.peer_id, caught.value.reason) == (key.peer_id, "not-listed")
        # Whatever the handshake made it believe, it is over soon.
        async with asyncio.timeout(WAIT):
            while (report := await listener.report())["peers"]:  # noqa: ASYNC110  # the answer is all there is
                await asyncio.sleep(0.01)
        nothing = ("streams_served", "streams_accepted", "bytes_read", "events_received", "events_accepted")
        assert {name: report[name] for name in nothing} == dict.fromkeys(nothing, 0)
        assert (events.stats.delivered, events.stats.pending, db.peers()) == (0, 0, [])
