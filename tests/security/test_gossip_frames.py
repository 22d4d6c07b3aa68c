"""Frames of gossip that no library sends, from a listed peer: they cost it its stream at most, and the node nothing."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair, NodeState
from tests.security.attack import TRANSPORTS, address_of, counted, envelope, full, reasons, victim
from tests.security.raw import Raw, gossiping, raw
from tests.security.rpc import Message, framed, graft, part, parts, prune, rpc, varint
from tests.support import eventually, state_of

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import AsyncIterator

    from depinmesh import Database, Subscription

TOPIC = "rooms"


@dataclass
class Attack:
    """A listed raw peer on a node that subscribes to one topic, and one more listed wallet, whose key it has."""

    peer: Raw
    other: Keypair
    db: Database
    events: Subscription
    link: int
    stream: int

    @property
    def topic(self) -> str:
        return full(self.db, TOPIC)

    @property
    def address(self) -> str:
        return address_of(self.db.node, "tcp")

    def event(self, message: object = None, **envelope_fields: object) -> Message:
        """Make a good event of the peer's own."""
        data = envelope(self.peer.key.peer_id, message, **envelope_fields)
        return Message(self.peer.key, full(self.db, TOPIC), data)

    async def send(self, *messages: Message | bytes) -> None:
        assert await self.peer.write(self.stream, rpc(publish=messages))

    async def is_heard(self, stream: int | None = None, word: str = "good") -> None:
        """Check that the next event that the node delivers is a good one sent now: the control of each test."""
        assert await self.peer.write(stream or self.stream, rpc(publish=[self.event(word)]))
        event = await self.events.get(15)
        assert (event.message, event.from_peer) == (word, self.peer.key.peer_id)


@asynccontextmanager
async def attack(transport: str = "tcp-noise") -> AsyncIterator[Attack]:
    other = Keypair.generate()
    async with (
        raw(transport) as peer,
        victim(peer.key.wallet, other.wallet) as db,
        db.subscribe(TOPIC) as events,
    ):
        link, stream = await gossiping(peer, address_of(db.node, transport.partition("-")[0]), full(db, TOPIC))
        await eventually(lambda: db.topic_peers(TOPIC) == [peer.key.peer_id])
        yield Attack(peer, other, db, events, link, stream)
        assert state_of(db.node) is NodeState.RUNNING


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_c8_what_is_not_signed_by_its_author_is_not_delivered(transport: str) -> None:
    async with attack(transport) as a:
        good = a.event("bad")
        defects = [
            good.but(signature=bytes(64)),
            good.but(signature=b""),
            good.but(signature=b"short"),
            good.but(author=a.other),
            good.but(number=None),
            good.but(number=b"1234"),
            good.but(number=b"123456789"),
            good.but(nameless=True),
            good.but(nameless=True, number=None, signature=b""),
            good.but(named_key=bytes.fromhex("08011220") + bytes(a.other.wallet)),
            good.but(signature=bytes(good)[-64:], data="of another text"),
            good.but(signature=bytes(good)[-64:], topic=full(a.db, "another topic")),
        ]
        await a.send(*defects)
        await a.is_heard()
        assert a.events.stats.delivered == 1
        assert reasons(a.db.node, "dropped_total") == {"signature": len(defects)}


def reads(message: bytes) -> bool:
    """Whether bytes have the form of a message: what has not may end the stream that it came on."""
    try:
        fields = list(parts(message))
        topic = dict(fields)[4]
        return (
            [number for number, _ in fields] == [1, 2, 3, 4, 5]
            and b"".join(part(*one) for one in fields) == message
            and isinstance(topic, bytes)
            and bool(topic.decode())
        )
    except (IndexError, KeyError, UnicodeDecodeError):
        return False


@pytest.mark.parametrize("unreadable", [40, pytest.param(4_000, marks=pytest.mark.slow)])
@pytest.mark.timeout(300)
async def test_w9_no_byte_of_an_event_can_be_changed_on_the_way(unreadable: int, malformed: Counter[str]) -> None:
    async with attack() as a:
        good = a.event("whole", id="w9")
        whole = bytes(good)
        torn = []
        for at in range(len(whole)):
            changed = [whole[:at] + bytes([byte]) + whole[at + 1 :] for byte in range(256) if byte != whole[at]]
            torn += [one for one in changed if not reads(one)]
            assert await a.peer.write(a.stream, b"".join(rpc(publish=[one]) for one in changed if reads(one)))
            assert a.peer.said("read-end") == [], at
            malformed["GossipSub"] += sum(map(reads, changed))
        assert len(torn) < 0.2 * 255 * len(whole)
        for one in random.sample(torn, min(unreadable, len(torn))):
            link, stream = await gossiping(a.peer, address_of(a.db.node, "tcp"), full(a.db, TOPIC))
            await a.peer.write(stream, rpc(publish=[one]))
            malformed["GossipSub"] += 1
            a.peer.tell("hang-up", link=link)
            await a.peer.wait("ended", link=link)
        # And none of them makes the node take the true one for seen.
        _, stream = await gossiping(a.peer, address_of(a.db.node, "tcp"), full(a.db, TOPIC))
        assert await a.peer.write(stream, rpc(publish=[good]))
        event = await a.events.get(60)
        assert (event.id, event.message, event.from_peer) == ("w9", "whole", a.peer.key.peer_id)
        await a.is_heard(stream)
        assert a.events.stats.delivered == 2
        assert set(reasons(a.db.node, "dropped_total")) == {"signature"}


async def test_w9_a_changed_copy_that_comes_first_does_not_push_out_the_true_one() -> None:
    async with attack() as a:
        for _ in range(20):
            good = a.event("true")
            await a.send(good.but(signature=bytes(64)), good)
            assert (await a.events.get(15)).message == "true"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_w5_w7_a_prune_for_longer_than_time_itself_ends_nothing(transport: str) -> None:
    endless = [0, 1, 3600, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**63 - 100, 2**63, 2**64 - 1]
    async with attack(transport) as a:
        topic = full(a.db, TOPIC)
        for topics in (topic, full(a.db, "not subscribed"), "", "\x00"):
            for backoff in (*endless, None):
                assert await a.peer.write(a.stream, rpc(control=graft(topics) + prune(topics, backoff)))
        # Faulty versions ended with the frame itself, or with a heartbeat that came upon it up to 74 s later. There is
        # one a second: the next three are waited for here, the others below.
        began = a.db.node.status().uptime
        await eventually(lambda: a.db.node.status().uptime > began + 3)
        await a.is_heard()


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_w5_w7_ninety_seconds_after_such_a_prune_the_node_still_runs() -> None:
    """A prune until the last second that there is: faulty versions kept it, and a heartbeat added a second of its own.

    That second can be told from how long the machine runs, and whoever does not know that tries all.
    """
    async with attack() as a:
        topic = full(a.db, TOPIC)
        last = 2**63 - 1 - int(monotonic())
        for backoff in range(last - 30, last + 30):  # ascending: a later end takes the place of an earlier one
            assert await a.peer.write(a.stream, rpc(control=graft(topic) + prune(topic, backoff)))
        began = a.db.node.status().uptime
        await eventually(lambda: a.db.node.status().uptime > began + 90, within=120)
        await a.is_heard()


SUBMESSAGE = part(3, part(3, part(3, part(3, b"nested"))))
FRAMES = {
    "16 MiB announced": varint(16 << 20) + bytes(100_000),
    "endless length": b"\xff" * 9 + b"\x01",
    "a length that never ends": b"\xff" * 64,
    "more than may be": framed(part(2, bytes(1_200_000))),
    "no message": framed(b"\xff" * 1000),
    "a field that is cut off": framed(part(2, bytes(100))[:-50]),
    "a wire type that there is not": framed(bytes([2 << 3 | 7]) + bytes(50)),
    "a field with number zero": framed(b"\x02\x00"),
    "text that is no text": framed(part(1, part(1, 1) + part(2, b"\xff\xfe\xfd"))),
}
HARMLESS = {
    "nothing": framed(b""),
    "unknown fields": framed(part(100, b"unknown") + part(101, 2**64 - 1)),
    "unknown fields in the control part": framed(part(3, part(99, b"unknown"))),
    "nested where nothing nests": framed(SUBMESSAGE),
    "an extension": framed(part(3, part(6, part(1, 1)))),
}


@pytest.mark.parametrize("case", HARMLESS)
async def test_w5_a_frame_is_taken_that_has(case: str) -> None:
    async with attack() as a:
        for _ in range(100):
            assert await a.peer.write(a.stream, HARMLESS[case])
        await a.is_heard()


@pytest.mark.parametrize("case", FRAMES)
async def test_w5_a_frame_ends_at_most_its_stream_that_has(case: str) -> None:
    async with attack() as a:
        await a.is_heard()
        await a.peer.write(a.stream, FRAMES[case])
        # A new stream takes the place of the old one: the connection has not suffered.
        stream = await a.peer.open(a.link)
        await a.is_heard(stream, "on a new stream")
        assert a.peer.said("ended") == []
        assert counted(a.db.node, "connections_total") == 1


@pytest.mark.parametrize("times", [500, pytest.param(20_000, marks=pytest.mark.slow)])
@pytest.mark.timeout(300)
async def test_w5_frames_with_bytes_changed_at_random_do_not_end_the_node(times: int, malformed: Counter[str]) -> None:
    start = random.randrange(2**32)
    print("random start value", start)
    chance = random.Random(start)
    async with attack() as a:
        topic = full(a.db, TOPIC)
        sample = rpc(
            subscribe=[topic, "other"],
            unsubscribe=["other"],
            publish=[a.event("sample"), a.event("another")],
            control=graft(topic) + prune(topic, 60) + graft("other"),
        )
        link, stream = a.link, a.stream
        for number in range(times):
            changed = bytearray(sample)
            for _ in range(chance.randint(1, 8)):
                changed[chance.randrange(len(changed))] = chance.randrange(256)
            if not await a.peer.write(stream, bytes(changed)) or number % 50 == 49:
                a.peer.tell("hang-up", link=link)
                await a.peer.wait("ended", link=link)
                link, stream = await gossiping(a.peer, address_of(a.db.node, "tcp"), topic)
        malformed["GossipSub"] += times
        stream = await a.peer.open(link)
        assert await a.peer.write(stream, rpc(publish=[a.event("last")]))
        while (await a.events.get(15)).message != "last":
            pass
