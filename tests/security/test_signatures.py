"""An event that nobody has signed is nobody's, whoever it names."""

from __future__ import annotations

import pytest

from depinmesh import Keypair
from tests.security.attack import address_of, counted, envelope, full, intruder, reasons, victim
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
