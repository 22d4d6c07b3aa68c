"""Thousands of topics on both sides: the first message between Go and us names them all, and each of them works."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from tests.interop.peers import GO, full, go_peer, join, ours
from tests.support import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

TRIED = 10


@pytest.mark.parametrize("n", [1_000, 10_000])
@pytest.mark.parametrize("who_dials", ["we dial", "they dial"])
@pytest.mark.parametrize("pins", GO)
async def test_every_topic_of_many_is_known_to_the_other_side(pins: str, who_dials: str, n: int) -> None:
    async with go_peer(pins) as peer, ours(peer.key.wallet) as db, AsyncExitStack() as stack:
        subscriptions = [await stack.enter_async_context(db.subscribe(f"ours {number}")) for number in range(n)]
        await peer.ask("subscribe", "subscribed", topic=full(db, "theirs "), count=n, within=60)
        await join(db, peer, who_dials)
        for number in range(0, n, n // TRIED):
            await eventually(lambda number=number: db.topic_peers(f"theirs {number}") == [peer.peer_id])  # type: ignore[misc]
            await db.publish(f"theirs {number}", number)
            line = await peer.wait("message", topic=full(db, f"theirs {number}"))
            assert line["read"]["message"] == number

            topic = full(db, f"ours {number}")
            while await peer.topic_peers(topic) != [db.node.peer_id]:
                pass
            await peer.publish(topic, number)  # it listens to none of ours: these go to whom it knows there
            assert (await subscriptions[number].get(15)).message == number
