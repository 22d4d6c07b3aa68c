"""What a node tells of itself while it runs: every kind of event from a real cause, merged where it may be frequent."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from depinmesh import (
    Keypair,
    ListenAddress,
    MessageDropped,
    Node,
    NotAuthorizedError,
    NotReady,
    PeerConnected,
    PeerDisconnected,
    PeerRefused,
    QueueOverflow,
    Ready,
    WalletRevoked,
    WalletsChanged,
    connect,
)
from tests.registries import Registry, guarded, inside, visitor
from tests.support import alone, eventually, fields_of, heard, soon, waiting_in

if TYPE_CHECKING:
    from depinmesh import Database

Pair = tuple["Database", "Database"]


async def test_a_peer_that_comes_and_goes() -> None:
    key, other_key = Keypair.generate(), Keypair.generate()
    async with guarded([key.wallet, other_key.wallet], key) as db:
        stream = db.node.events(PeerConnected, PeerDisconnected, Ready, NotReady)
        async with visitor(db, other_key) as other:
            connected = await soon(anext(stream))
            assert isinstance(connected, PeerConnected)
            assert (connected.peer.peer_id, connected.peer.wallet) == (other_key.peer_id, other_key.wallet)
            assert connected.peer.direction == "inbound"
            assert [await soon(anext(stream)) for _ in range(2)] == [Ready(database=None), Ready(database=db.name)]
            assert db.is_ready
            assert db.node.is_ready
            assert other.peers()[0].direction == "outbound"
        gone = await soon(anext(stream))
        assert gone == PeerDisconnected(peer_id=other_key.peer_id, wallet=other_key.wallet, reason="closed")
        assert [await soon(anext(stream)) for _ in range(2)] == [NotReady(database=None), NotReady(database=db.name)]
        assert not db.is_ready


async def test_a_peer_that_is_revoked() -> None:
    key, other_key = Keypair.generate(), Keypair.generate()
    registry = Registry([key.wallet, other_key.wallet])
    async with guarded(registry, key) as db, visitor(db, other_key):
        await eventually(lambda: inside(db, other_key))
        stream = db.node.events(PeerDisconnected, WalletRevoked, WalletsChanged)
        registry.entries = [key.wallet]
        await db.node.gate.refresh()
        events = [await soon(anext(stream)) for _ in range(3)]
        assert WalletsChanged(database=db.name, added=0, removed=1, total=1) in events
        assert WalletRevoked(wallet=other_key.wallet) in events
        assert PeerDisconnected(peer_id=other_key.peer_id, wallet=other_key.wallet, reason="revoked") in events


async def test_a_refusal_is_told_to_both_sides() -> None:
    key, stranger = Keypair.generate(), Keypair.generate()
    async with guarded([key.wallet], key) as db:
        inbound = db.node.events(PeerRefused)
        async with visitor(db, stranger, bootstrap={"wait": "none"}) as knocking:
            outbound = knocking.node.events(PeerRefused)
            there, here = await soon(anext(outbound)), await soon(anext(inbound))
        assert here == PeerRefused(
            peer_id=stranger.peer_id, wallet=stranger.wallet, direction="inbound", reason="not-listed", count=1
        )
        assert (there.peer_id, there.wallet, there.direction) == (key.peer_id, key.wallet, "outbound")
        assert there.reason == "refused-by-peer"


async def test_a_dial_that_our_own_gate_refuses_is_told() -> None:
    stranger = Keypair.generate()
    async with connect(**alone()) as db:
        stream = db.node.events(PeerRefused)
        with pytest.raises(NotAuthorizedError):
            await db.node.dial(f"{stranger.wallet}@127.0.0.1:9:9")
        refusal = await soon(anext(stream))
        assert (refusal.peer_id, refusal.wallet) == (stranger.peer_id, stranger.wallet)
        assert (refusal.direction, refusal.reason, refusal.count) == ("outbound", "not-listed", 1)


async def test_a_database_is_ready_by_the_peers_of_its_own_list() -> None:
    key, other_key = Keypair.generate(), Keypair.generate()
    async with (
        Node(**fields_of(key, [key.wallet])) as node,
        node.database("ours", authorized_wallets=[key.wallet]) as ours,
        node.database("theirs", authorized_wallets=[key.wallet, other_key.wallet]) as theirs,
    ):
        stream = node.events(Ready, NotReady)
        fields = fields_of(other_key, [key.wallet, other_key.wallet], bootstrap_nodes=node.bootstrap_entries())
        async with connect(**fields, database="theirs"):
            events = [await soon(anext(stream)) for _ in range(2)]
            assert events == [Ready(database=None), Ready(database="theirs")]
            assert (node.is_ready, theirs.is_ready, ours.is_ready) == (True, True, False)
        events = [await soon(anext(stream)) for _ in range(2)]
        assert events == [NotReady(database=None), NotReady(database="theirs")]


async def test_every_listen_address_is_an_event() -> None:
    node = Node(**alone())
    stream = node.events(ListenAddress)
    async with node:
        told = {(await soon(anext(stream))).address for _ in range(2)}
        assert told == set(node.addresses)
        assert {address.split("/")[3] for address in told} == {"udp", "tcp"}


async def test_overflows_are_told_once_a_second_with_their_number(pair: Pair) -> None:
    one, two = pair
    stream = two.node.events(QueueOverflow)
    async with two.subscribe("t", queue_size=10) as events:
        await heard(one, two, "t")
        began = time.monotonic()
        for number in range(2010):
            await one.publish("t", number)
        await eventually(lambda: events.stats.dropped == 2000)
        took = time.monotonic() - began
        told: list[QueueOverflow] = []
        while sum(one.count for one in told) < 2000:
            told.append(await soon(anext(stream)))
        assert {overflow.topic for overflow in told} == {"t"}
        assert sum(overflow.count for overflow in told) == 2000
        assert told[0].count < 2000
        assert len(told) <= 3 + took
        async with two.subscribe("calm") as calm:  # what fits is no event
            await heard(one, two, "calm")
            await one.publish("calm", 1)
            await calm.get(15)
        assert await waiting_in(stream) == []


async def test_refusals_are_told_once_a_second_with_their_number() -> None:
    key, stranger = Keypair.generate(), Keypair.generate()
    async with guarded([key.wallet], key) as db:
        stream = db.node.events(PeerRefused)
        fields = fields_of(stranger, [key.wallet, stranger.wallet])
        async with connect(**fields) as knocking:
            (entry,) = db.node.bootstrap_entries()
            began = time.monotonic()
            for _ in range(20):
                with pytest.raises(NotAuthorizedError):
                    await knocking.node.dial(entry)
        total = db.node.status().counters["refused_total"]
        assert total >= 20
        told: list[PeerRefused] = []
        while sum(one.count for one in told) < total:
            told.append(await soon(anext(stream)))
        assert sum(one.count for one in told) == total
        assert len(told) <= 3 + time.monotonic() - began
        assert max(one.count for one in told) > 1


async def test_a_message_of_an_author_who_is_not_listed_here_is_dropped_and_told() -> None:
    # The forwarder lists both; the receiver lists the forwarder alone.
    author, forwarder, receiver = (Keypair.generate() for _ in range(3))
    everybody = [author.wallet, forwarder.wallet, receiver.wallet]
    async with connect(**fields_of(forwarder, everybody)) as middle, middle.subscribe("t") as there:
        entries = middle.node.bootstrap_entries()
        lists = fields_of(receiver, [receiver.wallet, forwarder.wallet], bootstrap_nodes=entries)
        async with (
            connect(**lists) as end,
            end.subscribe("t") as here,
            connect(**fields_of(author, everybody, bootstrap_nodes=entries)) as start,
        ):
            await heard(middle, end, "t")
            await heard(end, middle, "t")
            stream = end.node.events(MessageDropped)

            async def publish() -> None:
                while True:
                    await start.publish("t", "of a stranger", min_peers=1)
                    await asyncio.sleep(0.1)

            task = asyncio.create_task(publish())
            dropped = await soon(anext(stream))
            task.cancel()
            assert (dropped.author, dropped.count) == (author.peer_id, 1)
            assert dropped.reason
            assert dropped.topic.endswith("t")
            assert (await there.get(15)).wallet == author.wallet
            await middle.publish("t", "of a friend")
            assert (await here.get(15)).message == "of a friend"
            assert here.stats.delivered == 1


async def test_streams_are_independent_and_see_what_comes_after_them(pair: Pair) -> None:
    one, two = pair
    early, other_kind = one.node.events(NotReady), one.node.events(ListenAddress)
    both = one.node.events(NotReady, PeerDisconnected)  # not all: the readiness of a moment ago may still be told
    await two.close()
    assert isinstance(await soon(anext(early)), NotReady)
    assert {type(await soon(anext(both))) for _ in range(3)} == {PeerDisconnected, NotReady}
    late = one.node.events(NotReady)
    await one.close()
    assert [event async for event in early] == [NotReady(database=one.name)]
    assert [event async for event in late] == []
    assert [event async for event in other_kind] == []


async def test_a_stream_nobody_reads_keeps_the_newest_1024_and_counts_the_rest() -> None:
    key, other = Keypair.generate(), Keypair.generate().wallet
    registry = Registry([key.wallet])
    node = Node(**fields_of(key, []))
    stream = node.events(WalletsChanged)  # before the start, so that it sees the first list for certain
    async with node, node.database("t", authorized_wallets=registry):
        await eventually(lambda: node.gate.listed)
        for number in range(1100):
            registry.entries = [key.wallet, other] if number % 2 == 0 else [key.wallet]
            await node.gate.refresh()
        await eventually(lambda: stream.dropped == 1101 - 1024)
        assert node.events().dropped == 0
        assert node.status().events_lost == 0
    assert len([event async for event in stream]) == 1024
