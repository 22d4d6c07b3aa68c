"""Gossip with others beside the plain way of a message: IHAVE and IWANT, IDONTWANT, PRUNE and its back-off."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.interop.exchange import inbox
from tests.interop.peers import GO, TOPIC, address_of, full, go_peer, join, met, now, ours, peer_of
from tests.security.attack import envelope
from tests.support import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from depinmesh import Database
    from tests.interop.exchange import Inbox
    from tests.interop.peers import Peer
    from tests.program import Line

pytestmark = [pytest.mark.slow, pytest.mark.timeout(90)]

UNSUBSCRIBE_BACKOFF = 10
MISSED = 2_500
MANY = 500
"""More messages than this in one RPC are too many for GossipSub in Rust, unless it is told otherwise."""


def rpcs(peer: Peer, way: str, part: str) -> list[str]:
    """Return what the RPCs of a peer held of something, so far."""
    return [one for line in peer.said("rpc", way=way) for one in line.get(part, ())]


@pytest.mark.parametrize("kind", [*GO, "js", "py"])
async def test_a_peer_that_missed_a_message_gets_it_from_us_by_iwant(kind: str) -> None:
    async with (
        go_peer("go-0.41", transport="tcp-noise") as author,
        peer_of(kind, "--leaf", "--trace", transport="tcp-noise") as leaf,
        ours(author.key.wallet, leaf.key.wallet, transport="tcp-noise") as db,
        inbox(db),
    ):
        for peer in (author, leaf):
            await peer.ask("subscribe", "subscribed", topic=full(db))
            await db.node.dial(peer.address)
        await author.knows(db.node.peer_id, full(db))
        await eventually(lambda: full(db) in rpcs(leaf, "out", "prune"))  # its answer to our GRAFT: it is in no mesh
        await author.publish(full(db), "missed")
        got = await leaf.wait("message", topic=full(db))
        assert (got["author"], got["read"]["message"]) == (author.peer_id, "missed")
        assert got["message"] in rpcs(leaf, "in", "ihave")
        assert rpcs(leaf, "out", "iwant") == [got["message"]]  # it had not been sent to it before
        assert len(leaf.messages(full(db))) == 1


@asynccontextmanager
async def beside_a_leaf(kind: str) -> AsyncIterator[tuple[Peer, Database, Inbox]]:
    """Start a node of ours beside a peer that is in no mesh: what it publishes it announces alone."""
    async with (
        peer_of(kind, "--leaf", "--trace", transport="tcp-noise") as leaf,
        ours(leaf.key.wallet, transport="tcp-noise") as db,
        inbox(db) as box,
    ):
        await leaf.ask("subscribe", "subscribed", topic=full(db))
        await db.node.dial(leaf.address)
        await eventually(lambda: full(db) in rpcs(leaf, "out", "prune"))
        yield leaf, db, box


@pytest.mark.parametrize("kind", [*GO, "js", "py"])
async def test_we_get_by_iwant_from_a_peer_what_it_did_not_send_us(kind: str) -> None:
    async with beside_a_leaf(kind) as (leaf, db, box):
        await leaf.publish(full(db), "missed")
        await eventually(lambda: [event.message for event in box.events] == ["missed"])
        # Its answer comes before the event, but what it says of that may come later.
        await eventually(lambda: rpcs(leaf, "out", "publish"))
        [wanted] = rpcs(leaf, "in", "iwant")
        assert wanted in rpcs(leaf, "out", "ihave")
        assert len(rpcs(leaf, "out", "publish")) == 1  # the answer: nothing had been sent before


@pytest.mark.parametrize("kind", [*GO, "js", "py"])
async def test_we_get_all_that_we_missed_of_a_busy_topic_in_one_answer(kind: str) -> None:
    async with beside_a_leaf(kind) as (leaf, db, box):
        for number in range(MISSED):
            leaf.tell("publish", topic=full(db), message=number)
        await eventually(lambda: len(box.events) == MISSED)
        assert sorted(event.message for event in box.events) == [*range(MISSED)]
        answers = [line["publish"] for line in leaf.said("rpc", way="out") if line.get("publish")]
        assert max(map(len, answers)) > MANY


async def test_we_tell_a_new_go_node_which_messages_we_have() -> None:
    """The old one does not know IDONTWANT and is not sent any."""
    async with (
        go_peer("go-0.31", "-trace") as old,
        go_peer("go-0.41", "-trace") as new,
        go_peer("go-0.41") as author,
        ours(old.key.wallet, new.key.wallet, author.key.wallet) as db,
        inbox(db),
    ):
        for peer in (old, new, author):
            await peer.ask("subscribe", "subscribed", topic=full(db))
            await join_one(db, peer)
            await peer.knows(db.node.peer_id, full(db))
        await author.publish(full(db), "x" * 5000)
        got = await new.wait("message", topic=full(db))
        await old.wait("message", topic=full(db))
        await eventually(lambda: rpcs(new, "in", "idontwant") == [got["message"]])
        assert rpcs(old, "in", "idontwant") == []


async def join_one(db: Database, peer: Peer) -> None:
    await db.node.dial(peer.address)
    await eventually(lambda: peer.peer_id in [one.peer_id for one in db.peers()])


async def test_we_do_not_send_a_message_to_a_go_node_that_says_it_has_it() -> None:
    async with (
        go_peer("go-0.41", "-raw") as author,
        go_peer("go-0.41", "-raw") as listener,
        ours(author.key.wallet, listener.key.wallet) as db,
        inbox(db) as box,
    ):
        us = db.node.peer_id
        for peer in (author, listener):
            await peer.dial(address_of(db.node))
        await eventually(lambda: len(db.peers()) == 2)
        await listener.ask("rpc", "sent", peer=us, rpc={"subscribe": [full(db)]})
        await eventually(lambda: full(db) in rpcs(listener, "in", "graft"))
        messages = [await signed(author, db, number) for number in range(3)]
        await listener.ask("rpc", "sent", peer=us, rpc={"idontwant": [messages[1]["id"]]})
        # Nothing says that it was read, save what comes after it on the same stream.
        await listener.ask("rpc", "sent", peer=us, rpc={"subscribe": [f"{full(db)} too"]})
        await eventually(lambda: listener.peer_id in db.topic_peers(f"{TOPIC} too"))
        for message in messages:
            await author.ask("rpc", "sent", peer=us, rpc={"publish": [message["message"]]})
        await eventually(lambda: [event.message for event in box.events] == [0, 1, 2])
        await eventually(lambda: messages[2]["message"] in rpcs(listener, "in", "publish"))
        assert rpcs(listener, "in", "publish") == [messages[0]["message"], messages[2]["message"]]


async def signed(peer: Peer, db: Database, message: object) -> Line:
    order = {
        "secret": peer.key.to_base58(),
        "topic": full(db),
        "seqno": f"{time.time_ns():016x}",
        "data": envelope(peer.peer_id, message),
    }
    return await peer.ask("sign", "signed", signed=order)


async def test_after_a_prune_we_wait_as_long_as_it_says() -> None:
    seconds = 4
    async with go_peer("go-0.41", "-raw") as peer, ours(peer.key.wallet) as db, inbox(db):
        us = db.node.peer_id
        await peer.dial(address_of(db.node))
        await peer.ask("rpc", "sent", peer=us, rpc={"subscribe": [full(db)]})
        await eventually(lambda: rpcs(peer, "in", "graft") == [full(db)])
        pruned = now()
        await peer.ask("rpc", "sent", peer=us, rpc={"prune": {full(db): seconds}})
        await eventually(lambda: rpcs(peer, "in", "graft") == [full(db)] * 2, within=30)
        assert now() - pruned >= seconds


@pytest.mark.parametrize("pins", GO)
async def test_a_go_node_that_subscribes_again_is_not_grafted_before_its_backoff_is_over(pins: str) -> None:
    async with go_peer(pins, "-trace") as peer, ours(peer.key.wallet) as db, inbox(db) as box:
        await peer.ask("subscribe", "subscribed", topic=full(db))
        await join(db, peer, "we dial")
        await met(db, peer)
        left = now()
        await peer.ask("unsubscribe", "unsubscribed", topic=full(db))
        await eventually(lambda: db.topic_peers(TOPIC) == [])
        [prune] = [line["prune"] for line in peer.said("rpc", way="out") if line.get("prune")]
        assert prune == {full(db): UNSUBSCRIBE_BACKOFF}
        await peer.ask("subscribe", "subscribed", topic=full(db))
        await eventually(lambda: db.topic_peers(TOPIC) == [peer.peer_id])
        # Meanwhile events come all the same: ours at once, theirs with their next heartbeat.
        sent = await db.publish(TOPIC, "meanwhile")
        await eventually(lambda: [line["read"]["id"] for line in peer.messages(full(db))] == [sent.id])
        await peer.publish(full(db), "meanwhile")
        await eventually(lambda: [event.message for event in box.events] == ["meanwhile"])
        await peer.wait("graft", n=2, topic=full(db), peer=db.node.peer_id)
        assert now() - left >= UNSUBSCRIBE_BACKOFF


async def test_when_we_unsubscribe_we_ask_for_the_backoff_and_keep_it_ourselves() -> None:
    async with go_peer("go-0.41", "-raw") as peer, ours(peer.key.wallet) as db:
        us = db.node.peer_id
        await peer.dial(address_of(db.node))
        await peer.ask("rpc", "sent", peer=us, rpc={"subscribe": [full(db)]})
        async with inbox(db):
            await eventually(lambda: rpcs(peer, "in", "graft") == [full(db)])
        left = now()
        await eventually(lambda: rpcs(peer, "in", "prune") == [full(db)])
        [prune] = [line["prune"] for line in peer.said("rpc", way="in") if line.get("prune")]
        assert prune == {full(db): UNSUBSCRIBE_BACKOFF}
        async with inbox(db):
            await eventually(lambda: rpcs(peer, "in", "graft") == [full(db)] * 2, within=30)
        assert now() - left >= UNSUBSCRIBE_BACKOFF - 0.1
