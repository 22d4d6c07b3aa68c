"""A node that closes right after it has published: its peers get all of it, and it waits for nobody for long."""

from __future__ import annotations

import time

import pytest

from tests.interop.peers import GO, TOPIC, full, join, ours, peer_of
from tests.support import eventually

PIECES, SIZE = 20, 50_000
WAITED = 1.5
FAREWELL = 3.0
"""Seconds that a node waits for peers that do not answer the end of a stream."""


@pytest.mark.parametrize(
    ("kind", "transport"), [*((kind, "quic") for kind in GO), *((kind, "tcp-noise") for kind in (*GO, "js", "py"))]
)
async def test_what_was_published_before_the_end_arrives(kind: str, transport: str) -> None:
    async with peer_of(kind, transport=transport) as peer, ours(peer.key.wallet, transport=transport) as db:
        topic = full(db)
        await peer.ask("subscribe", "subscribed", topic=topic)
        await join(db, peer, "we dial")
        await db.wait_for_peers(TOPIC, 1, 15)
        for number in range(PIECES):
            await db.publish(TOPIC, [number, "x" * SIZE])
        began = time.monotonic()
        await db.node.close()
        took = time.monotonic() - began
        await eventually(lambda: len(peer.messages(topic)) == PIECES)
        print(f"{kind}: closed after {took:.2f} s")
        assert took < WAITED + (0 if kind in GO else FAREWELL)
