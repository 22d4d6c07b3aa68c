"""Signed batches and a node that cannot read them: while it is on the topic, every event leaves alone."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair, connect
from tests.interop.peers import GO, TOPIC, full, go_peer, met, ours
from tests.support import eventually, fields_of, heard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from depinmesh import Database, Subscription, Wallet
    from tests.interop.peers import Peer

BURST = 20
"""Below the 32 events that a Go subscription holds before it drops some."""


@asynccontextmanager
async def batching(guest: Wallet) -> AsyncIterator[tuple[Database, Subscription]]:
    """Connect a publisher with batches, and a subscriber; the guest may come too."""
    one, two = Keypair.generate(), Keypair.generate()
    async with ours(one.wallet, guest, key=two) as reader, reader.subscribe(TOPIC, queue_size=10_000) as events:
        known = {"bootstrap_nodes": reader.node.bootstrap_entries(), "pubsub": {"batching": True}}
        fields = fields_of(one, [one.wallet, two.wallet, guest], **known)
        async with connect(**fields) as publisher, publisher.subscribe(TOPIC):
            await heard(publisher, reader, TOPIC)
            yield publisher, events


def batches(database: Database) -> int:
    """Return how many it has sent."""
    return int(sum(metric.value for metric in database.node.metrics() if metric.name == "published_batches_total"))


async def burst(publisher: Database, events: Subscription, first: int) -> list[str]:
    """Publish without a pause; check that our own subscriber gets all, and return their ids."""
    sent = [publisher.publish_nowait(TOPIC, first + number) for number in range(BURST)]
    got = [await events.get(15) for _ in sent]
    assert set(got) == set(sent)  # what a Go node passes on may be ahead of others
    return [event.id for event in sent]


async def until_batches(publisher: Database, events: Subscription) -> None:
    """Publish bursts until one has left as a batch, as they do where everybody reads them."""
    before, number = batches(publisher), -BURST
    while batches(publisher) == before:
        await burst(publisher, events, number)
        number -= BURST


def read_by(peer: Peer, name: str) -> dict[str, int]:
    """Return what it has read of what was sent since it came, by id: gossip may bring it something of before."""
    read = [line["read"] for line in peer.messages(name)]
    return {event["id"]: event["message"] for event in read if event["message"] >= 0}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("pins", GO)
async def test_a_topic_turns_plain_when_a_go_node_joins_and_back_when_it_leaves(pins: str) -> None:
    async with go_peer(pins) as peer, batching(peer.key.wallet) as (publisher, events):
        name = full(publisher)
        await until_batches(publisher, events)

        # A Go node that is connected, and not on the topic, is in nobody's way.
        await publisher.node.dial(peer.address)
        await eventually(lambda: peer.peer_id in [one.peer_id for one in publisher.peers()])
        await until_batches(publisher, events)

        await peer.ask("subscribe", "subscribed", topic=name)
        await met(publisher, peer)
        before = batches(publisher)
        for number in range(25):
            sent = await burst(publisher, events, number * BURST)
            await eventually(lambda sent=sent: set(sent) <= set(read_by(peer, name)))  # type: ignore[misc]
        assert sorted(read_by(peer, name).values()) == list(range(25 * BURST))
        assert batches(publisher) == before

        await peer.ask("unsubscribe", "unsubscribed", topic=name)
        await eventually(lambda: peer.peer_id not in publisher.topic_peers(TOPIC))
        await until_batches(publisher, events)
