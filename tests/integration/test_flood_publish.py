"""`pubsub.flood_publish`: who gets an event from its author, and who only hears that there is one."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from tests.security.attack import address_of, full, victim
from tests.security.raw import gossiping, raw
from tests.security.rpc import parts, published
from tests.support import WAIT, eventually

if TYPE_CHECKING:
    from tests.security.raw import Raw

TOPIC = "t"
PEERS = 8
MESH = 6
"""To how many an event goes at once: the others hear of it within a second, and may ask for it."""


def frames(peer: Raw) -> list[bytes]:
    """Return what it was told on gossip streams."""
    return [bytes.fromhex(line["hex"]) for line in peer.said("frame")]


def has_event(peer: Raw) -> bool:
    return any(published(frame) for frame in frames(peer))


def has_heard_of_it(peer: Raw) -> bool:
    controls = [value for frame in frames(peer) for number, value in parts(frame) if number == 3]
    return any(number == 1 for control in controls if isinstance(control, bytes) for number, _ in parts(control))


@pytest.mark.parametrize(("flood", "sent"), [(True, PEERS), (False, MESH)])
async def test_an_event_goes_to_every_subscriber_at_once_where_the_configuration_says_so(
    flood: bool, sent: int
) -> None:
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(raw()) for _ in range(PEERS)]
        wallets = [peer.key.wallet for peer in peers]
        db = await stack.enter_async_context(victim(*wallets, pubsub={"flood_publish": flood}))
        for peer in peers:
            await gossiping(peer, address_of(db.node, "tcp"), full(db, TOPIC))
        await db.publish(TOPIC, "once", min_peers=PEERS, timeout=WAIT)
        await eventually(lambda: all(has_event(peer) or has_heard_of_it(peer) for peer in peers))
        assert sum(has_event(peer) for peer in peers) == sent
