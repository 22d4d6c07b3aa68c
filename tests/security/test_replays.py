"""What a listed peer has heard, and sends again in the name of its author."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from depinmesh import Keypair
from tests.security.attack import address_of, envelope, reasons, victim
from tests.security.raw import gossiping, raw
from tests.security.rpc import Message, graft, published, rpc
from tests.security.test_gossip_frames import attack
from tests.support import WAIT, eventually, heard, received

TOPIC = "rooms"

# Gossip forgets a message after 15 s, and we its event after 120 s: from then on the numbers of its author tell.
waits = pytest.mark.parametrize("seconds", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (20, 130))])


@waits
@pytest.mark.timeout(240)
async def test_c7_a_message_that_somebody_else_sends_again_is_delivered_once(seconds: int) -> None:
    one, two = Keypair.generate(), Keypair.generate()
    async with (
        raw() as thief,
        victim(two.wallet, thief.key.wallet, key=one) as author,
        victim(one.wallet, thief.key.wallet, key=two, bootstrap_nodes=author.node.bootstrap_entries()) as reader,
        reader.subscribe(TOPIC) as events,
    ):
        await heard(author, reader, TOPIC)
        topic = f"{author.name}_{TOPIC}"
        link, stream = await gossiping(thief, address_of(author.node, "tcp"), topic)
        assert await thief.write(stream, rpc(control=graft(topic)))
        await eventually(lambda: thief.key.peer_id in author.topic_peers(TOPIC))
        stolen: list[bytes] = []
        count = 0
        while not stolen:
            await author.publish(TOPIC, "once")
            count += 1
            await asyncio.sleep(0.05)
            frames = [bytes.fromhex(line["hex"]) for line in thief.said("frame", link=link) if line["hex"]]
            stolen = [message for frame in frames for message in published(frame)]
        await eventually(lambda: received(events) == count)
        await asyncio.sleep(seconds)
        _, again = await gossiping(thief, address_of(reader.node, "tcp"), topic)
        for message in stolen:
            assert await thief.write(again, rpc(publish=[message]), times=100)
        # The control: what follows on the same stream is delivered, and nothing that was sent before it there.
        end = Message(thief.key, topic, envelope(thief.key.peer_id, "end"))
        assert await thief.write(again, rpc(publish=[end]))
        messages = [(await events.get(15)).message for _ in range(count + 1)]
        assert messages == ["once"] * count + ["end"]
        # The author has not suffered either.
        await author.publish(TOPIC, "last")
        assert (await events.get(15)).message == "last"
        assert received(events) == count + 2
        if seconds:
            assert set(reasons(reader.node, "dropped_total")) <= {"replay", "duplicate"}
            assert reasons(reader.node, "dropped_total")


FORGOTTEN = 15.0
"""Seconds for which gossip drops by itself whatever comes under a number that it has seen."""


@pytest.mark.timeout(60)
async def test_c7_other_words_under_a_number_that_was_heard_are_not_delivered() -> None:
    """What drops them is the node's own memory of numbers: gossip has forgotten this one, and the id is a new one."""
    async with attack() as a:
        first = a.event("first", id="old")
        await a.send(first)
        assert (await a.events.get(WAIT)).message == "first"
        again = first.but(data=envelope(a.peer.key.peer_id, "other words", id="new"))
        until = monotonic() + FORGOTTEN + WAIT
        while not (dropped := reasons(a.db.node, "dropped_total")):
            assert monotonic() < until
            await a.send(again)
            await a.is_heard()  # the control, and nothing is delivered that was sent before it
            await asyncio.sleep(0.2)
        assert dropped == {"replay": 1}
