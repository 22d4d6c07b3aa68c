"""Messages that no Go node would send: dropped and counted, and the connection that they came on stays."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair
from tests.interop.exchange import Inbox, inbox
from tests.interop.peers import GO, Peer, address_of, full, go_peer, ours
from tests.security.attack import counted, envelope, reasons
from tests.support import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from depinmesh import Database
    from tests.program import Line

pytestmark = [pytest.mark.slow, pytest.mark.timeout(60)]

BYSTANDER = Keypair.generate()
"""Listed, and not there."""


@dataclass
class Sender:
    """A Go host without GossipSub that sends RPCs as it is told."""

    peer: Peer
    db: Database
    box: Inbox
    number: int

    async def signed(self, data: str, *, by: Keypair | None = None, named: Keypair | None = None) -> Line:
        """Make a message; `named` is its author in the place of whose key signs it."""
        self.number += 1
        key = by or self.peer.key
        order = {"secret": key.to_base58(), "topic": full(self.db), "seqno": f"{self.number:016x}", "data": data}
        if named is not None:
            order["from"] = named.peer_id
        return await self.peer.ask("sign", "signed", signed=order)

    async def send(self, *messages: str) -> None:
        """Send messages in one RPC."""
        await self.peer.ask("rpc", "sent", peer=self.db.node.peer_id, rpc={"publish": messages})

    async def event(self, message: object, event_id: str = "") -> str:
        """Make a good event."""
        author = self.peer.peer_id
        other = {"id": event_id} if event_id else {}
        made: str = (await self.signed(envelope(author, message, **other)))["message"]
        return made


@asynccontextmanager
async def sending(pins: str) -> AsyncIterator[Sender]:
    async with (
        go_peer(pins, "-raw") as peer,
        ours(peer.key.wallet, BYSTANDER.wallet) as db,
        inbox(db) as box,
    ):
        await peer.dial(address_of(db.node))
        await eventually(db.peers)
        yield Sender(peer, db, box, time.time_ns())
        # The control: what is good gets through, over the same connection.
        n = len(box.events)
        drops = reasons(db.node, "dropped_total")
        sender = Sender(peer, db, box, time.time_ns())
        await sender.send(await sender.event("good"))
        await eventually(lambda: len(box.events) == n + 1)
        assert box.events[-1].message == "good"
        assert reasons(db.node, "dropped_total") == drops
        assert counted(db.node, "connections_total") == 1
        assert peer.said("disconnected") == []


@pytest.mark.parametrize("pins", GO)
async def test_an_unsigned_message_is_dropped(pins: str) -> None:
    async with sending(pins) as sender:
        made = await sender.signed(envelope(sender.peer.peer_id, 1))
        await sender.send(made["unsigned"])
        await eventually(lambda: reasons(sender.db.node, "dropped_total") == {"signature": 1})
        assert sender.box.events == []


@pytest.mark.parametrize("pins", GO)
async def test_a_message_with_a_wrong_signature_is_dropped(pins: str) -> None:
    async with sending(pins) as sender:
        message = bytes.fromhex((await sender.signed(envelope(sender.peer.peer_id, 1)))["message"])
        await sender.send((message[:-1] + bytes([message[-1] ^ 1])).hex())
        await eventually(lambda: reasons(sender.db.node, "dropped_total") == {"signature": 1})
        assert sender.box.events == []


@pytest.mark.parametrize("pins", GO)
async def test_a_message_in_the_name_of_another_is_dropped(pins: str) -> None:
    async with sending(pins) as sender:
        made = await sender.signed(envelope(BYSTANDER.peer_id, 1), named=BYSTANDER)
        await sender.send(made["message"])
        await eventually(lambda: reasons(sender.db.node, "dropped_total") == {"signature": 1})
        own = await sender.signed(envelope(BYSTANDER.peer_id, 1))
        await sender.send(own["message"])
        await eventually(lambda: reasons(sender.db.node, "dropped_total") == {"signature": 1, "wrong-from-peer": 1})
        assert sender.box.events == []
        # The control: signed by the one whom it names, it may come from anybody.
        await sender.send((await sender.signed(envelope(BYSTANDER.peer_id, "mine"), by=BYSTANDER))["message"])
        await eventually(lambda: [event.from_peer for event in sender.box.events] == [BYSTANDER.peer_id])


@pytest.mark.parametrize("pins", GO)
async def test_a_message_of_an_unlisted_author_is_dropped(pins: str) -> None:
    stranger = Keypair.generate()
    async with sending(pins) as sender:
        await sender.send((await sender.signed(envelope(stranger.peer_id, 1), by=stranger))["message"])
        await eventually(lambda: reasons(sender.db.node, "dropped_total") == {"author-not-listed": 1})
        assert sender.box.events == []


@pytest.mark.parametrize("pins", GO)
async def test_a_message_counts_once_however_often_it_comes(pins: str) -> None:
    async with sending(pins) as sender:
        first = await sender.event("once", "an id")
        await sender.send(first, first)
        await sender.send(first)
        await sender.send(await sender.event("once", "an id"))  # under another number, signed anew
        await eventually(lambda: reasons(sender.db.node, "dropped_total") == {"duplicate": 1})
        await eventually(lambda: sender.box.events)  # the core counts before the loop has its turn
        assert [event.message for event in sender.box.events] == ["once"]
