"""What an admitted peer sends to one node, and what of it that node passes on to the next."""

from __future__ import annotations

import contextlib
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair, MeshTimeoutError
from tests.security.attack import Attacker, address_of, counted, envelope, full, intruder, reasons, victim
from tests.security.raw import gossiping, raw
from tests.security.rpc import Message, rpc
from tests.support import eventually, heard

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from depinmesh import Database, Subscription, Wallet

TOPIC = "rooms"
MANY = 100


@dataclass
class Chain:
    """The attacker, connected to the first node alone, and the second, connected to the first alone."""

    guest: Attacker
    key: Keypair
    first: Database
    at_first: Subscription
    second: Database
    at_second: Subscription
    listed_at_second: list[Wallet]
    """What the registry of the second node gives."""

    async def send(self, data: str, times: int = 1) -> None:
        sent = await self.guest.publish(full(self.first, TOPIC), data, times)
        assert sent["accepted"] == times

    def links(self) -> tuple[int, int]:
        """Return how many connections both ever had."""
        return tuple(int(counted(db.node, "connections_total")) for db in (self.first, self.second))  # type: ignore[return-value]


@asynccontextmanager
async def chain(*, listed_at_second: bool) -> AsyncIterator[Chain]:
    one, two = Keypair.generate(), Keypair.generate()
    async with intruder() as (guest, key):
        known = [one.wallet, two.wallet, *([key.wallet] if listed_at_second else [])]

        async def registry() -> list[Wallet]:
            return list(known)

        async with (
            victim(two.wallet, key.wallet, key=one) as first,
            victim(key=two, authorized_wallets=registry, bootstrap_nodes=first.node.bootstrap_entries()) as second,
            first.subscribe(TOPIC) as at_first,
            second.subscribe(TOPIC) as at_second,
        ):
            await heard(first, second, TOPIC)
            await guest.dial(address_of(first.node, "tcp"), hold_ms=0)
            await guest.wait("peer-subscribed", topic=full(first, TOPIC))
            yield Chain(guest, key, first, at_first, second, at_second, known)


@pytest.mark.timeout(60)
async def test_what_a_node_does_not_deliver_it_does_not_pass_on_either() -> None:
    async with chain(listed_at_second=True) as c:
        # The control, and the sign that the way to the second node is open: a good event gets there.
        passed = False
        while not passed:
            await c.send(envelope(c.key.peer_id, "on the way"))
            with contextlib.suppress(MeshTimeoutError):
                passed = (await c.at_second.get(0.2)).from_peer == c.key.peer_id

        bad = [envelope(Keypair.generate().peer_id, "forged"), "{", envelope("", 1, id=""), envelope("", "\ud800")]
        for data in bad:
            await c.send(data, times=MANY)
        await c.send(envelope(c.key.peer_id, "last"))
        while (await c.at_second.get(15)).message != "last":
            pass
        assert sum(reasons(c.first.node, "dropped_total").values()) == MANY * len(bad)
        assert reasons(c.second.node, "dropped_total") == {}  # it would have counted every one
        assert c.links() == (2, 1)


@pytest.mark.timeout(60)
async def test_an_author_unknown_to_a_node_is_not_heard_there_and_who_passed_it_on_is_not_to_blame() -> None:
    async with chain(listed_at_second=False) as c:
        while not reasons(c.second.node, "dropped_total"):
            await c.send(envelope(c.key.peer_id, "on the way"))
            await c.at_first.get(15)
        before = reasons(c.second.node, "dropped_total")["author-not-listed"]
        for number in range(MANY):
            await c.send(envelope(c.key.peer_id, number))
            await c.at_first.get(15)
        await eventually(lambda: reasons(c.second.node, "dropped_total")["author-not-listed"] >= before + MANY)
        assert set(reasons(c.second.node, "dropped_total")) == {"author-not-listed"}
        assert (c.at_second.stats.delivered, c.at_second.stats.pending) == (0, 0)


@pytest.mark.timeout(60)
async def test_the_events_of_a_wallet_that_was_removed_are_counted_where_others_pass_them_on() -> None:
    async with chain(listed_at_second=True) as c:
        heard_there = False
        while not heard_there:  # the control
            await c.send(envelope(c.key.peer_id, "on the way"))
            with contextlib.suppress(MeshTimeoutError):
                heard_there = (await c.at_second.get(0.2)).from_peer == c.key.peer_id
        c.listed_at_second.remove(c.key.wallet)
        await c.second.node.gate.refresh()
        assert not c.second.node.gate.is_authorized(c.key.wallet)
        delivered = c.at_second.stats.delivered + c.at_second.stats.pending
        for number in range(MANY):
            await c.send(envelope(c.key.peer_id, number))
        await eventually(lambda: reasons(c.second.node, "dropped_total") == {"author-not-listed": MANY})
        assert c.at_second.stats.delivered + c.at_second.stats.pending == delivered

        # The link between the two is as good as ever.
        await c.first.publish(TOPIC, "from the first itself")
        assert (await c.at_second.get(15)).message == "from the first itself"
        assert c.links() == (2, 1)


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.timeout(300)
async def test_g7_a_thousand_events_of_unlisted_authors_stop_at_the_first_node(count: int) -> None:
    """The forwarder is listed, and the next node lists the author: whatever came so far would be heard there."""
    one, two, author = Keypair.generate(), Keypair.generate(), Keypair.generate()
    async with (
        raw() as forwarder,
        victim(two.wallet, forwarder.key.wallet, key=one) as first,
        victim(
            *(one.wallet, forwarder.key.wallet, author.wallet),
            key=two,
            bootstrap_nodes=first.node.bootstrap_entries(),
        ) as second,
        first.subscribe(TOPIC) as at_first,
        second.subscribe(TOPIC) as at_second,
    ):
        await heard(first, second, TOPIC)
        topic = full(first, TOPIC)
        _, stream = await gossiping(forwarder, address_of(first.node, "tcp"), topic)
        for at in range(0, count, 100):
            unlisted = [Message(author, topic, envelope(author.peer_id, number)) for number in range(at, at + 100)]
            assert await forwarder.write(stream, rpc(publish=unlisted))
        # The control: what the forwarder itself says after them reaches both.
        last = Message(forwarder.key, topic, envelope(forwarder.key.peer_id, "last"))
        assert await forwarder.write(stream, rpc(publish=[last]))
        for events in (at_first, at_second):
            event = await events.get(60)
            assert (event.message, event.from_peer) == ("last", forwarder.key.peer_id)
        assert reasons(first.node, "dropped_total") == {"author-not-listed": count}
        assert (at_first.stats.delivered, at_second.stats.delivered) == (1, 1)
        assert reasons(second.node, "dropped_total") == {}
        # And the author is one whom the second node would hear.
        _, direct = await gossiping(forwarder, address_of(second.node, "tcp"), topic)
        assert await forwarder.write(direct, rpc(publish=[Message(author, topic, envelope(author.peer_id, "heard"))]))
        assert (await at_second.get(15)).from_peer == author.peer_id
        print(f"unlisted authors: 0 of {count:,} delivered or passed on")
