"""What a peer that was admitted may send: anything. Only events that are its own and well formed are delivered."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair, MessageDropped, Node
from tests.security.attack import (
    ROOMY,
    Attacker,
    address_of,
    counted,
    envelope,
    full,
    intruder,
    reasons,
    victim,
)
from tests.support import eventually, fields_of, soon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from depinmesh import Database, Event, PeerId, Subscription

TOPIC = "rooms"
STRANGER = Keypair.generate().peer_id


def raw(message: str) -> str:
    """Return an event whose message is this very text."""
    return envelope("", "@").replace('"@"', message)


DEFECTS: dict[str, tuple[str, str]] = {
    "names another author": ("wrong-from-peer", envelope(STRANGER, 1)),
    "names its author as a number": ("wrong-from-peer", envelope("", 1, from_peer=7)),
    "is no JSON": ("not-json", "{"),
    "is empty": ("not-json", ""),
    "is a list": ("not-json", "[]"),
    "is followed by more": ("not-json", envelope("", 1) + "1"),
    "has NaN": ("not-json", raw("NaN")),
    "has an empty id": ("bad-id", envelope("", 1, id="")),
    "has no id": ("bad-id", envelope("", 1, id=...)),
    "has null for its id": ("bad-id", envelope("", 1, id=None)),
    "has a number for its id": ("bad-id", envelope("", 1, id=7)),
    "has half a surrogate pair in its id": ("bad-id", envelope("", 1, id="\ud800")),
    "has no timestamp": ("bad-timestamp", envelope("", 1, timestamp=...)),
    "has text for its timestamp": ("bad-timestamp", envelope("", 1, timestamp="1700000000")),
    "has a fraction for its timestamp": ("bad-timestamp", envelope("", 1, timestamp=1.5)),
    "is of the year 10000": ("bad-timestamp", envelope("", 1, timestamp=253_402_300_800)),
    "is of no year": ("bad-timestamp", envelope("", 1, timestamp=-(2**63))),
    "has a timestamp of 65 bits": ("bad-timestamp", envelope("", 1, timestamp=2**64)),
    "has half a surrogate pair": ("lone-surrogate", envelope("", "\ud800")),
    "has half a surrogate pair in a key": ("lone-surrogate", envelope("", {"\udfff": 1})),
    "has the halves of a pair the wrong way round": ("lone-surrogate", envelope("", "\udc00\ud800")),
    "nests 129 deep": ("too-deep", raw("[" * 129 + "]" * 129)),
    "nests 129 objects deep": ("too-deep", raw('{"a":' * 129 + "1" + "}" * 129)),
    "nests 100,000 deep": ("too-deep", raw("[" * 100_000 + "]" * 100_000)),
    "has a number that is infinite": ("bad-number", raw("1e999")),
    "has a number that is infinite, deep inside": ("bad-number", raw('{"a":[1,{"b":-1e999}]}')),
    "has an integer of 4,301 digits": ("bad-number", raw("1" * 4301)),
}

ALMOST: dict[str, tuple[str, Any]] = {
    "nests 128 deep": (raw("[" * 128 + "]" * 128), json.loads("[" * 128 + "]" * 128)),
    "has an integer of 4,300 digits": (raw("1" * 4300), int("1" * 4300)),
    "has a large number": (raw("1e308"), 1e308),
    "has a whole surrogate pair": (raw('"\\ud835\\udd4f"'), "\U0001d54f"),
    "has no message": (envelope("", ...), None),
    "is of the year 9999": (envelope("", 1, timestamp=253_402_300_799), 1),
}


@asynccontextmanager
async def admitted() -> AsyncIterator[tuple[Attacker, PeerId, Database, Subscription]]:
    """Let a listed attacker in, who knows that the node listens to the topic."""
    async with (
        intruder() as (guest, key),
        victim(key.wallet) as db,
        db.subscribe(TOPIC) as events,
    ):
        await guest.dial(address_of(db.node, "tcp"), hold_ms=0)
        await guest.wait("peer-subscribed", topic=full(db, TOPIC))
        await eventually(lambda: len(db.peers()) == 1)  # an event may arrive before its author is identified
        yield guest, key.peer_id, db, events


async def send(guest: Attacker, db: Database, data: str, times: int = 1) -> None:
    """Let it sign and send this."""
    sent = await guest.publish(full(db, TOPIC), data, times)
    assert sent["accepted"] == times, sent


async def still_heard(guest: Attacker, author: PeerId, db: Database, events: Subscription) -> Event:
    """Check that the connection has stood, and that what comes over it next is the first event delivered."""
    await send(guest, db, envelope(author, "good"))
    event = await events.get(15)
    assert (event.message, event.from_peer) == ("good", author)
    assert guest.said("closed") == []
    await eventually(lambda: len(db.peers()) == 1)
    assert counted(db.node, "connections_total") == 1
    return event


@pytest.mark.parametrize("defect", DEFECTS)
async def test_an_event_is_dropped_and_counted_that(defect: str) -> None:
    reason, data = DEFECTS[defect]
    async with admitted() as (guest, author, db, events):
        drops = db.node.events(MessageDropped)
        await send(guest, db, data)
        await still_heard(guest, author, db, events)
        assert events.stats.delivered == 1
        assert reasons(db.node, "dropped_total") == {reason: 1}
        dropped = await soon(anext(drops))
        assert dropped == MessageDropped(topic=TOPIC, author=author, reason=reason, count=1)


@pytest.mark.parametrize("merit", ALMOST)
async def test_an_event_is_delivered_that(merit: str) -> None:
    data, message = ALMOST[merit]
    async with admitted() as (guest, author, db, events):
        await send(guest, db, data)
        event = await events.get(15)
        assert event.message == message
        assert (event.from_peer, event.wallet) == (author, author.wallet)
        assert reasons(db.node, "dropped_total") == {}


async def test_an_event_that_names_nobody_is_its_signers() -> None:
    async with admitted() as (guest, author, db, events):
        for data in (envelope("", 1), envelope("", 2, from_peer=...), envelope("", 3, from_peer=None)):
            await send(guest, db, data)
        got = [await events.get(15) for _ in range(3)]
        assert [(event.message, event.from_peer) for event in got] == [(1, author), (2, author), (3, author)]


async def test_an_id_that_its_author_used_before_is_a_duplicate_in_whatever_message_it_comes() -> None:
    async with admitted() as (guest, author, db, events):
        await send(guest, db, envelope(author, "first", id="same"), times=3)
        await send(guest, db, envelope(author, "other words", id="same"))
        assert (await events.get(15)).message == "first"
        await still_heard(guest, author, db, events)
        assert events.stats.delivered == 2
        assert reasons(db.node, "dropped_total") == {"duplicate": 3}


async def test_an_id_that_another_author_used_is_no_duplicate() -> None:
    async with intruder() as (one, first), intruder() as (two, second):
        async with victim(first.wallet, second.wallet) as db, db.subscribe(TOPIC) as events:
            for guest, key in ((one, first), (two, second)):
                await guest.dial(address_of(db.node, "tcp"), hold_ms=0)
                await guest.wait("peer-subscribed", topic=full(db, TOPIC))
                await send(guest, db, envelope(key.peer_id, "mine", id="same"))
                assert (await events.get(15)).from_peer == key.peer_id
        assert reasons(db.node, "dropped_total") == {}


async def test_a_thousand_bad_events_of_every_kind_do_not_cost_the_connection() -> None:
    async with admitted() as (guest, author, db, events):
        small = [case for case in DEFECTS.values() if len(case[1]) < 10_000]
        for _, data in small:
            await send(guest, db, data, times=40)
        await eventually(lambda: sum(reasons(db.node, "dropped_total").values()) == 40 * len(small))
        assert set(reasons(db.node, "dropped_total")) == {reason for reason, _ in small}
        await still_heard(guest, author, db, events)


async def test_an_author_who_is_on_the_list_of_another_database_only_is_not_delivered() -> None:
    ours = Keypair.generate()
    async with intruder() as (guest, key):
        fields = fields_of(ours, [ours.wallet], connections=ROOMY)
        async with (
            Node(**fields) as node,
            node.database("open", authorized_wallets=[ours.wallet, key.wallet]) as open_to_it,
            node.database("closed", authorized_wallets=[ours.wallet]) as closed_to_it,
            open_to_it.subscribe(TOPIC) as heard,
            closed_to_it.subscribe(TOPIC) as unheard,
        ):
            drops = node.events(MessageDropped)
            await guest.dial(address_of(node, "tcp"), hold_ms=0)
            for db in (open_to_it, closed_to_it):
                await guest.wait("peer-subscribed", topic=full(db, TOPIC))
            await send(guest, closed_to_it, envelope(key.peer_id, "in the wrong place"))
            await send(guest, open_to_it, envelope(key.peer_id, "in its place"))
            assert (await heard.get(15)).message == "in its place"
            assert (unheard.stats.delivered, unheard.stats.pending) == (0, 0)
            assert reasons(node, "dropped_total") == {"author-not-listed": 1}
            dropped = await soon(anext(drops))
            assert (dropped.author, dropped.reason) == (key.peer_id, "author-not-listed")
            await eventually(lambda: [peer.wallet for peer in open_to_it.peers()] == [key.wallet])
            assert closed_to_it.peers() == []
            assert guest.said("closed") == []
