"""What an event may hold on its way between Go and us: sizes, texts, numbers, and the spelling of the envelope."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair, MessageTooLargeError
from tests.interop.exchange import inbox
from tests.interop.peers import GO, TOPIC, full, go_peer, join, met, ours
from tests.security.attack import counted, envelope, reasons
from tests.support import eventually

if TYPE_CHECKING:
    from depinmesh import Database
    from tests.interop.exchange import Inbox
    from tests.interop.peers import Peer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SIZES = [1_000, 60_000, 300_000, 900_000]
LARGEST = 1_048_000
"""Of an event and the full name of its topic together."""

MESSAGES: dict[str, Any] = {
    "null": None,
    "true": True,
    "text of many scripts": "Zürich \u6771\u4eac \u0645\u0631\u062d\u0628\u0627 \U0001d54f\U0001f600",
    "what Go escapes": "<a href='x'>&</a>\u2028\u2029",
    "control characters": '\x00\x01\t\r\n\x1f\x7f\\"/',
    "empty things": ["", [], {}],
    "numbers": [0, -1, 2**53, -(2**53), 0.1, -0.0, 1e-7, 1e21, 1.5e300, 5e-324],
    "integers above 2^53": [2**53 + 1, -(2**53 + 1), 2**63 - 1, 2**64 - 1, 10**25],
    "many keys": {f"key {n}": n for n in range(100)},
    "a key of no letters": {"": 1, "\u0000": 2, "\U0001f600": 3},
    "deep lists": json.loads("[" * 128 + "]" * 128),
    "deep objects": json.loads('{"a":' * 127 + "{}" + "}" * 127),
}


async def both(db: Database, peer: Peer) -> None:
    await peer.ask("subscribe", "subscribed", topic=full(db))
    await join(db, peer, "we dial")
    await met(db, peer)


def as_floats(value: Any) -> Any:
    """Return what is left of it when every number becomes a float64, as in Go."""
    if isinstance(value, list):
        return [as_floats(one) for one in value]
    if isinstance(value, dict):
        return {key: as_floats(one) for key, one in value.items()}
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@pytest.mark.parametrize("pins", GO)
async def test_every_json_value_is_the_same_on_the_other_side(pins: str) -> None:
    async with go_peer(pins) as peer, ours(peer.key.wallet) as db, inbox(db) as box:
        await both(db, peer)
        sent = {}
        for message in MESSAGES.values():
            sent[(await db.publish(TOPIC, message)).id] = as_floats(message)
            await peer.publish(full(db), message)
        await eventually(lambda: len(box.events) == len(MESSAGES) == len(peer.messages(full(db))))
        read = {line["read"]["id"]: line["read"]["message"] for line in peer.messages(full(db))}
        assert {event_id: as_floats(message) for event_id, message in read.items()} == sent
        assert [event.message for event in box.events] == list(MESSAGES.values())  # integers exact
        assert [type(number) for number in box.events[6].message[:5]] == [int] * 4 + [float]
        assert math.copysign(1, box.events[6].message[5]) == -1


@pytest.mark.parametrize("transport", ["quic", "tcp-noise", "tcp-tls"])
@pytest.mark.parametrize("pins", GO)
async def test_sizes_up_to_the_largest_arrive_and_one_byte_more_is_refused(pins: str, transport: str) -> None:
    async with (
        go_peer(pins, transport=transport) as peer,
        ours(peer.key.wallet, transport=transport) as db,
        inbox(db) as box,
    ):
        await both(db, peer)
        limit = LARGEST - len(full(db))
        around = len(envelope(peer.peer_id, ""))
        for size in [*SIZES, limit]:
            n = len(box.events) + 1
            await db.publish(TOPIC, "x" * (size - around_ours(db)))
            await peer.wait("message", topic=full(db), bytes=size)
            await peer.ask("publish", "published", topic=full(db), data=envelope(peer.peer_id, "y" * (size - around)))
            await eventually(lambda n=n: len(box.events) == n)  # type: ignore[misc]
            assert box.events[-1].message == "y" * (size - around)

        with pytest.raises(MessageTooLargeError) as refused:
            await db.publish(TOPIC, "x" * (limit + 1 - around_ours(db)))
        assert str(limit) in str(refused.value)
        too_large = envelope(peer.peer_id, "y" * (limit + 1 - around))
        await peer.ask("publish", "published", topic=full(db), data=too_large)
        await eventually(lambda: reasons(db.node, "dropped_total") == {"too-large": 1})

        await still_there(db, peer, box)


async def still_there(db: Database, peer: Peer, box: Inbox) -> None:
    """Check that events go both ways, over the connection that they always had."""
    n = len(box.events)
    event = await db.publish(TOPIC, "still there?")
    await peer.wait("message", topic=full(db), read=event_as_read(event.id, db, event.timestamp))
    await peer.publish(full(db), "yes")
    await eventually(lambda: len(box.events) == n + 1)
    assert counted(db.node, "connections_total") == 1


def event_as_read(event_id: str, db: Database, timestamp: int) -> dict[str, Any]:
    return {"id": event_id, "from_peer": db.node.peer_id, "message": "still there?", "timestamp": timestamp}


def around_ours(db: Database) -> int:
    """Return the bytes of an event of ours beside the letters of its text."""
    event = {"id": "0" * 36, "from_peer": db.node.peer_id, "message": "", "timestamp": 1_700_000_000}
    return len(json.dumps(event, separators=(",", ":")))


OTHER = Keypair.generate().peer_id

SPELLINGS: dict[str, tuple[str, bool, str | None]] = {
    "as it should be": ('{"id":"a","from_peer":"@","message":1,"timestamp":1700000000}', True, None),
    "spaces and another order": (' { "timestamp" : 1 , "message" : 1 , "id" : "b", "from_peer":"@" } ', True, None),
    "keys in other cases": ('{"ID":"c","From_Peer":"@","MESSAGE":1,"TimeStamp":1}', True, None),
    "the last of duplicates": ('{"id":"x","id":"d","message":7,"message":1,"timestamp":5,"timestamp":1}', True, None),
    "the last of variants": ('{"id":"x","Id":"e","message":7,"Message":1,"timestamp":1}', True, None),
    "unknown keys": ('{"id":"f","version":2,"message":1,"timestamp":1,"x":{"id":"y"}}', True, None),
    "escaped keys": ('{"\\u0069d":"g","message":1,"timestamp":1}', True, None),
    "no author": ('{"id":"h","message":1,"timestamp":1}', True, None),
    "an empty author": ('{"id":"i","from_peer":"","message":1,"timestamp":1}', True, None),
    "null for the author": ('{"id":"j","from_peer":null,"message":1,"timestamp":1}', True, None),
    "an empty id": ('{"id":"","message":1,"timestamp":1}', False, "bad-id"),
    "null for the id": ('{"id":null,"message":1,"timestamp":1}', False, "bad-id"),
    "no id": ('{"message":1,"timestamp":1}', False, "bad-id"),
    "a number for the id": ('{"id":1,"message":1,"timestamp":1}', False, "bad-id"),
    "1.0 for the timestamp": ('{"id":"k","message":1,"timestamp":1.0}', False, "bad-timestamp"),
    "1e9 for the timestamp": ('{"id":"l","message":1,"timestamp":1e9}', False, "bad-timestamp"),
    "text for the timestamp": ('{"id":"m","message":1,"timestamp":"1"}', False, "bad-timestamp"),
    "no JSON": ("{", False, "not-json"),
    "two values": ('{"id":"n","message":1,"timestamp":1}{}', False, "not-json"),
    "a list": ("[]", False, "not-json"),
    "nothing": ("", False, "not-json"),
    # Where we are stricter than Go, see docs/wire.md section 3.
    "another author": (f'{{"id":"o","from_peer":"{OTHER}","message":1,"timestamp":1}}', True, "wrong-from-peer"),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_an_event_is_read_as_go_reads_it(spelling: str) -> None:
    text, go_reads_it, reason = SPELLINGS[spelling]
    async with (
        go_peer("go-0.31") as reader,
        go_peer("go-0.41") as author,
        ours(reader.key.wallet, author.key.wallet) as db,
        inbox(db) as box,
    ):
        for peer in (reader, author):
            await peer.ask("subscribe", "subscribed", topic=full(db))
        await author.dial(reader.address)
        await db.node.dial(author.address)
        await author.knows(reader.peer_id, full(db))
        await author.knows(db.node.peer_id, full(db))
        await author.ask("publish", "published", topic=full(db), data=text.replace("@", author.peer_id))
        theirs = await reader.wait("message" if go_reads_it else "dropped", topic=full(db))
        if reason is not None:
            await eventually(lambda: reasons(db.node, "dropped_total") == {reason: 1})
        else:
            await eventually(lambda: box.events)
            [event] = box.events
            read = theirs["read"]
            assert (event.id, event.message, event.timestamp) == (read["id"], read["message"], read["timestamp"])
            assert event.from_peer == author.peer_id
        # The control, and that nothing else came of it.
        await author.publish(full(db), "next")
        await eventually(lambda: [event.message for event in box.events][-1:] == ["next"])
        assert len(box.events) == (1 if reason else 2)
        assert author.said("disconnected", peer=db.node.peer_id) == []
