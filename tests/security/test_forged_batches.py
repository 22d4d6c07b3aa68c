"""A batch by a peer that was admitted: one bad event in it is dropped and counted, its neighbours are delivered.

The attacker writes the bytes itself (docs/wire.md section 9), so no code of depinmesh has a part in them.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair, MeshTimeoutError, MessageDropped, Node
from tests.security.attack import Attacker, address_of, counted, envelope, full, intruder, reasons, victim
from tests.security.test_forged_authors import STRANGER, TOPIC, admitted, raw, still_heard
from tests.security.test_forwarding import chain
from tests.support import eventually, fields_of, soon

if TYPE_CHECKING:
    from depinmesh import Database

LARGEST = 32_768


def length(n: int) -> bytes:
    """Return the unsigned varint."""
    return bytes([n]) if n < 0x80 else bytes([n & 0x7F | 0x80]) + length(n >> 7)


def batch(*envelopes: str) -> bytes:
    """Return the data of a message with these events."""
    parts = [envelope.encode() for envelope in envelopes]
    return b"\xb1\x01" + b"".join(length(len(part)) + part for part in parts)


async def send(guest: Attacker, db: Database, data: bytes) -> None:
    """Let it sign and send this."""
    sent = await guest.ask("publish", "published", topic=full(db, TOPIC), hex=data.hex())
    assert sent["accepted"] == 1, sent


async def test_a_bad_event_does_not_spoil_its_neighbours() -> None:
    async with admitted() as (guest, author, db, events):
        drops = db.node.events(MessageDropped)
        bad = {
            "wrong-from-peer": envelope(STRANGER, "forged"),
            "not-json": "{",
            "bad-id": envelope("", 1, id=""),
            "bad-timestamp": envelope("", 1, timestamp=1.5),
            "lone-surrogate": envelope("", "\ud800"),
            "too-deep": raw("[" * 129 + "]" * 129),
            "bad-number": raw("1e999"),
            "duplicate": envelope(author, "again", id="same"),
        }
        good = [envelope(author, 0, id="same"), *(envelope("", number) for number in range(1, len(bad) + 1))]
        mixed = [event for both in zip(good, bad.values(), strict=False) for event in both]
        await send(guest, db, batch(*mixed, good[-1], "", ""))
        got = [await events.get(15) for _ in good]
        assert [event.message for event in got] == list(range(len(good)))
        assert {(event.from_peer, event.wallet) for event in got} == {(author, author.wallet)}
        await still_heard(guest, author, db, events)
        assert reasons(db.node, "dropped_total") == {**dict.fromkeys(bad, 1), "not-json": 3}
        assert counted(db.node, "received_total") == len(good) + len(bad) + 2 + 1
        assert counted(db.node, "received_batches_total") == 1
        told: dict[str, int] = {}
        while len(told) < len(bad):
            drop = await soon(anext(drops))
            assert isinstance(drop, MessageDropped)
            told[drop.reason] = told.get(drop.reason, 0) + drop.count
        assert told == {**dict.fromkeys(bad, 1), "not-json": 3}


@pytest.mark.parametrize(
    "tail",
    {
        "a length past the end": b"\x05abcd",
        "a length without an end": b"\x80",
        "a length of four bytes": b"\x80\x80\x80\x00" + length(1) + b"1",
        "noise": b"\xff" * 100,
    }.values(),
)
async def test_what_is_cut_off_costs_the_rest_and_not_what_came_before(tail: bytes) -> None:
    async with admitted() as (guest, author, db, events):
        await send(guest, db, batch(envelope("", 1), envelope("", 2)) + tail)
        assert [(await events.get(15)).message for _ in range(2)] == [1, 2]
        await still_heard(guest, author, db, events)
        assert reasons(db.node, "dropped_total") == {"bad-batch": 1}


async def test_a_batch_of_nothing_of_another_version_or_in_another_is_no_event() -> None:
    async with admitted() as (guest, author, db, events):
        inner = batch(envelope("", 1))
        await send(guest, db, batch())
        await send(guest, db, b"\xb1\x02" + inner[2:])
        await send(guest, db, b"\xb1\x01" + length(len(inner)) + inner)
        await still_heard(guest, author, db, events)
        assert events.stats.delivered == 1
        assert reasons(db.node, "dropped_total") == {"bad-batch": 1, "not-utf8": 2}


async def test_a_batch_has_a_largest_size_and_so_has_every_event_in_it() -> None:
    around = len(envelope("", ""))

    def of_size(size: int) -> str:
        return envelope("", "x" * (size - around))

    async with admitted() as (guest, author, db, events):
        whole = batch(of_size(LARGEST // 2), of_size(LARGEST // 2 - 7))
        assert len(whole) == LARGEST
        await send(guest, db, whole)
        for _ in range(2):
            await events.get(15)
        await send(guest, db, batch(of_size(LARGEST // 2), of_size(LARGEST // 2 - 6)))
        await still_heard(guest, author, db, events)
        assert reasons(db.node, "dropped_total") == {"too-large": 2}
    async with intruder() as (guest, key):
        limits = {"max_message_size": 2_000}
        async with victim(key.wallet, pubsub=limits) as db, db.subscribe(TOPIC) as events:
            await guest.dial(address_of(db.node, "tcp"), hold_ms=0)
            await guest.wait("peer-subscribed", topic=full(db, TOPIC))
            await send(guest, db, batch(*(of_size(size) for size in (2_000, 2_001, 1_999))))
            assert [len((await events.get(15)).message) for _ in range(2)] == [2_000 - around, 1_999 - around]
            await eventually(lambda: reasons(db.node, "dropped_total") == {"too-large": 1})


async def test_every_event_of_an_author_who_is_not_on_the_list_counts() -> None:
    ours, guest_key = Keypair.generate(), Keypair.generate()
    async with (
        intruder(key=guest_key) as (guest, _),
        Node(**fields_of(ours, [ours.wallet])) as node,
        node.database("closed") as closed,
        node.database("open", authorized_wallets=[ours.wallet, guest_key.wallet]) as other,
        closed.subscribe(TOPIC) as events,
        other.subscribe(TOPIC) as control,
    ):
        await guest.dial(address_of(node, "tcp"), hold_ms=0)
        await guest.wait("peer-subscribed", topic=full(closed, TOPIC))
        await guest.wait("peer-subscribed", topic=full(other, TOPIC))
        for db in (closed, other):
            await send(guest, db, batch(*(envelope("", number) for number in range(5))))
        assert [(await control.get(15)).message for _ in range(5)] == list(range(5))
        await eventually(lambda: reasons(node, "dropped_total") == {"author-not-listed": 5})
        assert (events.stats.delivered, events.stats.pending) == (0, 0)


@pytest.mark.timeout(60)
async def test_a_mixed_batch_is_passed_on_and_checked_again_and_a_wholly_bad_one_is_not() -> None:
    async with chain(listed_at_second=True) as c:
        passed = False
        while not passed:
            await c.send(envelope(c.key.peer_id, "on the way"))
            with contextlib.suppress(MeshTimeoutError):
                passed = (await c.at_second.get(0.2)).from_peer == c.key.peer_id
        await send(c.guest, c.first, batch("{", envelope(STRANGER, "forged")))
        await send(c.guest, c.first, batch(envelope("", "good"), "{", envelope("", "last")))
        got = []
        while "last" not in got:
            got.append((await c.at_second.get(15)).message)
        assert got[-2:] == ["good", "last"]
        assert reasons(c.first.node, "dropped_total") == {"not-json": 2, "wrong-from-peer": 1}
        await eventually(lambda: reasons(c.second.node, "dropped_total") == {"not-json": 1})
