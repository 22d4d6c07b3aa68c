"""An event that nobody has signed is nobody's, whoever it names."""

from __future__ import annotations

import pytest

from depinmesh import Keypair
from tests.security.attack import address_of, counted, envelope, full, intruder, reasons, victim
from tests.security.raw import gossiping, raw
from tests.security.rpc import Message, published, rpc
from tests.support import eventually

TOPIC = "rooms"
TIMES = 20


@pytest.mark.parametrize("named", ["itself", "another who is listed"])
async def test_an_unsigned_event_is_not_delivered_that_names(named: str) -> None:
    key, other = Keypair.generate(), Keypair.generate()
    author = (key if named == "itself" else other).peer_id
    async with (
        intruder("--unsigned-as", author, key=key) as (guest, _),
        intruder(key=other) as (honest, _),
        victim(key.wallet, other.wallet) as db,
        db.subscribe(TOPIC) as events,
    ):
        for peer in (guest, honest):
            await peer.dial(address_of(db.node, "tcp"), hold_ms=0)
            await peer.wait("peer-subscribed", topic=full(db, TOPIC))
        await guest.publish(full(db, TOPIC), envelope("", "unsigned"), TIMES)
        await eventually(lambda: reasons(db.node, "dropped_total") == {"signature": TIMES})

        # The control: the same words with a signature are heard, and nothing was before them.
        await honest.publish(full(db, TOPIC), envelope("", "signed"))
        event = await events.get(15)
        assert (event.message, event.from_peer) == ("signed", other.peer_id)
        assert counted(db.node, "connections_total") == 2


async def test_what_a_node_sent_before_its_start_is_no_forgery_and_goes_no_further() -> None:
    key = Keypair.generate()
    async with (
        raw() as peer,
        raw() as other,
        victim(peer.key.wallet, other.key.wallet, key=key) as db,
        db.subscribe(TOPIC) as events,
    ):
        topic = full(db, TOPIC)
        link, _ = await gossiping(other, address_of(db.node, "tcp"), topic)
        _, stream = await gossiping(peer, address_of(db.node, "tcp"), topic)
        await eventually(lambda: len(db.topic_peers(TOPIC)) == 2)
        own = Message(key, topic, envelope(key.peer_id, "of before"))
        # The control: what comes after it is delivered, and passed on.
        after = Message(peer.key, topic, envelope(peer.key.peer_id, "after it"))
        assert await peer.write(stream, rpc(publish=[own, own.but(signature=bytes(64)), after]))
        assert (await events.get(15)).message == "after it"

        def passed_on() -> list[bytes]:
            frames = (bytes.fromhex(line["hex"]) for line in other.said("frame", link=link) if line["hex"])
            return [message for frame in frames for message in published(frame)]

        await eventually(lambda: passed_on() == [bytes(after)])
        assert reasons(db.node, "dropped_total") == {"own": 1, "signature": 1}
        # Sent again it is a copy like any other.
        later = Message(peer.key, topic, envelope(peer.key.peer_id, "later"))
        assert await peer.write(stream, rpc(publish=[own, later]))
        assert (await events.get(15)).message == "later"
        assert events.stats.delivered == 2
        await eventually(lambda: passed_on() == [bytes(after), bytes(later)])
        assert reasons(db.node, "dropped_total") == {"own": 1, "signature": 1}
