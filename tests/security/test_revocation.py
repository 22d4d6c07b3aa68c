"""Wallets come and go in the registry while the nodes run: nobody has to be started again."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair, PeerConnected, PeerDisconnected, WalletRevoked, WalletsChanged, connect
from depinmesh.testing import MockRegistry
from tests.security.attack import TRANSPORTS, address_of, counted, envelope, full, intruder, reasons, victim
from tests.support import WAIT, eventually, fields_of, soon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from depinmesh import Database, Wallet

REFRESH = 1.0
CLOSED_WITHIN = 1.0
SLACK = 3
"""A busy machine may take so many times as long to close a connection."""
TOPIC = "rooms"
TRIES = 20
"""To be faster than the node, which ends one of two connections of a peer by itself within a third of a second."""

everywhere = pytest.mark.parametrize("transport", TRANSPORTS)


@asynccontextmanager
async def reading(wallets: list[Wallet]) -> AsyncIterator[Database]:
    """Run a node whose registry gives what is in the list at that time."""

    async def registry() -> list[Wallet]:
        return list(wallets)

    async with victim(authorized_wallets=registry, gate={"refresh_interval": REFRESH, "min_interval": REFRESH}) as db:
        wallets.append(db.node.wallet)
        await db.node.gate.refresh()
        yield db


@everywhere
async def test_a_wallet_that_is_removed_is_out_within_a_refresh_and_a_second(transport: str) -> None:
    async with intruder(*TRANSPORTS[transport]) as (guest, key):
        wallets = [key.wallet]
        async with reading(wallets) as db, db.subscribe(TOPIC) as events:
            topic = full(db, TOPIC)
            await guest.dial(address_of(db.node, transport), hold_ms=0)
            await guest.wait("peer-subscribed", topic=topic)
            await guest.publish(topic, envelope(key.peer_id, "before"))
            assert (await events.get(15)).message == "before"
            await eventually(lambda: [peer.wallet for peer in db.peers()] == [key.wallet])
            assert db.node.gate.is_authorized(key.wallet)

            # On both sides of the wire: what the node says happened, and what the other saw.
            happened = db.node.events(WalletRevoked, PeerDisconnected)
            wallets.remove(key.wallet)
            removed = monotonic()
            await guest.wait("closed", peer_id=db.node.peer_id)
            took = monotonic() - removed
            print(f"closed after {took:.3f} s")
            assert took < REFRESH + CLOSED_WITHIN * SLACK

            revoked, gone = [await soon(anext(happened)) for _ in range(2)]
            assert revoked == WalletRevoked(wallet=key.wallet)
            assert gone == PeerDisconnected(peer_id=key.peer_id, wallet=key.wallet, reason="revoked")
            assert (db.peers(), db.topic_peers(TOPIC)) == ([], [])
            assert not db.node.gate.is_authorized(key.wallet)

            # Nor does it come back, or anything of it.
            again = await guest.dial(
                address_of(db.node, transport), times=5, hold_ms=5_000, topic=topic, data=envelope(key.peer_id, "after")
            )
            assert (again["identified"], again["open"], again["streams_served"], again["events_sent"]) == (0, 0, 0, 0)
            assert events.stats.pending == 0
            await eventually(lambda: reasons(db.node, "refused_total") == {"not-listed": 5})


@pytest.mark.parametrize("ends", [False, True])
async def test_nothing_published_after_a_removal_reaches_the_removed(ends: bool) -> None:
    keys = [Keypair.generate() for _ in range(2)]
    wallets = [key.wallet for key in keys]
    registry = MockRegistry(wallets)
    async with (
        connect(**fields_of(keys[0], [], authorized_wallets=registry)) as one,
        connect(**fields_of(keys[1], wallets, bootstrap_nodes=one.node.bootstrap_entries())) as other,
        other.subscribe(TOPIC) as events,
    ):
        await one.publish(TOPIC, "before", min_peers=1, timeout=WAIT)
        assert (await events.get(WAIT)).message == "before"
        # Many wait to be sent when the list changes: none of those that come then may overtake it.
        for number in range(500):
            one.publish_nowait(TOPIC, number)
        registry.remove(wallets[1])
        await one.node.gate.refresh()
        for _ in range(100):
            one.publish_nowait(TOPIC, "after")
        if ends:
            await one.close()
        await eventually(lambda: not other.peers())
        messages = [(await events.get(1)).message for _ in range(events.stats.pending)]
        assert "after" not in messages


async def test_all_connections_of_a_removed_wallet_are_closed() -> None:
    async with (
        intruder("--transport", "quic") as (over_quic, key),
        intruder("--transport", "tcp", key=key) as (over_tcp, _),
    ):
        guests = (over_quic, over_tcp)
        for number in range(1, TRIES + 1):
            wallets = [key.wallet]
            async with reading(wallets) as db:
                met, gone = db.node.events(PeerConnected), db.node.events(PeerDisconnected)
                # At the same moment: the door closes an older one for the other.
                await asyncio.gather(
                    over_quic.dial(address_of(db.node, "quic"), hold_ms=0),
                    over_tcp.dial(address_of(db.node, "tcp"), hold_ms=0),
                )
                await soon(anext(met))
                wallets.remove(key.wallet)
                await db.node.gate.refresh()
                await eventually(
                    lambda: all(len(guest.said("closed")) == len(guest.said("connected")) for guest in guests),
                    within=CLOSED_WITHIN * SLACK,
                )
                ended = (await soon(anext(gone))).reason
                # Both were there at once, and the node did not end them as one too many: it was the list.
                if counted(db.node, "second_connections_total") == 1 and not counted(db.node, "resets_total"):
                    print(f"both closed in try {number}")
                    assert ended == "revoked"
                    assert db.peers() == []
                    return
        pytest.fail("in no try were both connections there when the wallet was removed")


@everywhere
async def test_a_wallet_that_is_listed_again_gets_in_without_a_restart(transport: str) -> None:
    async with intruder(*TRANSPORTS[transport]) as (guest, key):
        wallets = [key.wallet]
        async with reading(wallets) as db, db.subscribe(TOPIC) as events:
            address, topic = address_of(db.node, transport), full(db, TOPIC)
            for number in range(1, 4):
                await guest.dial(address, hold_ms=0)
                await guest.wait("identified", n=number)
                await guest.wait("peer-subscribed", n=number, topic=topic)
                await guest.publish(topic, envelope(key.peer_id, number))
                assert (await events.get(15)).message == number
                await eventually(lambda: len(db.peers()) == 1)  # an event may arrive before its author is identified
                wallets.remove(key.wallet)
                await eventually(lambda: db.peers() == [])
                refused = await guest.dial(address, hold_ms=5_000)  # and this is remembered, for ten seconds
                assert (refused["identified"], refused["open"]) == (0, 0)
                changed = db.node.events(WalletsChanged)
                wallets.append(key.wallet)
                assert (await soon(anext(changed))).added == 1


async def test_wallets_that_are_added_get_in_without_a_restart() -> None:
    wallets: list[Wallet] = []
    async with reading(wallets) as db:
        connected = db.node.events(PeerConnected)
        for transport, options in TRANSPORTS.items():
            async with intruder(*options) as (guest, key):
                address = address_of(db.node, transport)
                refused = await guest.dial(address, hold_ms=5_000)
                assert (refused["identified"], refused["open"]) == (0, 0)
                wallets.append(key.wallet)
                added = monotonic()
                async with asyncio.timeout(15):
                    while not guest.said("identified"):
                        await guest.dial(address, hold_ms=100)
                took = monotonic() - added
                print(f"let in after {took:.3f} s")
                assert took < REFRESH + CLOSED_WITHIN * SLACK
                assert (await soon(anext(connected))).peer.wallet == key.wallet
