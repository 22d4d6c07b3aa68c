"""The core of it: Go nodes of both sets of versions and ours exchange events over each transport, whoever dials."""

from __future__ import annotations

import pytest

from tests.interop.exchange import inbox, to_peer, to_us
from tests.interop.peers import GO, TRANSPORTS, full, go_peer, join, met, ours

MANY = 100


@pytest.mark.parametrize("who_dials", ["we dial", "they dial"])
@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("pins", GO)
async def test_events_reach_a_go_node_and_come_from_it(pins: str, transport: str, who_dials: str) -> None:
    async with (
        go_peer(pins, transport=transport) as peer,
        ours(peer.key.wallet, transport=transport) as db,
        inbox(db) as box,
    ):
        await peer.ask("subscribe", "subscribed", topic=full(db))
        await join(db, peer, who_dials)
        await met(db, peer)
        [guest] = db.peers()
        assert not guest.agent.startswith("depinmesh/")  # else we would treat it as one of ours
        [link] = (await peer.ask("connections", "connections"))["connections"]
        assert link["direction"] == ("Inbound" if who_dials == "we dial" else "Outbound")
        assert (link["transport"], link["security"]) == {
            "quic": ("quic-v1", ""),
            "tcp-noise": ("tcp", "/noise"),
            "tcp-tls": ("tcp", "/tls/1.0.0"),
        }[transport]
        await to_peer(db, peer, MANY)
        await to_us(db, peer, box, MANY)
