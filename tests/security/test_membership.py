"""Fleets that come all at once, and fleets of which every wallet is replaced: everybody hears everybody."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from depinmesh import Keypair, build_info, connect
from depinmesh.testing import MockRegistry
from tests.security.attack import counted
from tests.support import LISTEN, eventually

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from depinmesh import Database, Subscription

T = TypeVar("T")

optimised = pytest.mark.skipif(
    build_info()["profile"] == "debug",
    reason="SKIPPED: 50 nodes in one process want an optimised core: PYTHONPATH to `bench` below Cargo's target folder,"
    " after `make bench-build`",
)

TOPIC = "t"
DELIVERED = 15.0
"""Seconds from the start of a whole fleet until everybody hears everybody."""
SLACK = 3
PACE = 0.2
"""Seconds between two events of a member."""
PATIENCE = 200.0
SETTLED = 60.0
DIALS = 5
"""That a node makes in a second at most, a minute after its start."""


class Member:
    """A node of the fleet, and what it has heard."""

    def __init__(self, db: Database, events: Subscription) -> None:
        self.db = db
        self.heard: list[Any] = []
        self._hearing = asyncio.create_task(self._hear(events))

    async def _hear(self, events: Subscription) -> None:
        async for event in events:
            self.heard.append(event.message)

    async def leave(self) -> None:
        await self.db.close()
        await self._hearing


async def enter(stack: AsyncExitStack, registry: MockRegistry, key: Keypair, entries: list[str]) -> Member:
    fields: dict[str, Any] = {"private_key": key, "authorized_wallets": registry, "bootstrap_nodes": entries}
    gate = {"refresh_interval": 1.0, "min_interval": 0.2, "negative_ttl": 0.2}
    db = await stack.enter_async_context(connect(**fields, listen=LISTEN, gate=gate))
    return Member(db, await db.subscribe(TOPIC))


def dials(members: list[Member]) -> float:
    names = ("connections_total", "dial_failures_total")
    return sum(counted(member.db.node, name) for member in members for name in names)


@pytest.mark.parametrize(
    ("nodes", "watched"),
    [
        (6, 0.0),
        pytest.param(20, 10.0, marks=pytest.mark.slow),
        pytest.param(50, 10.0, marks=[pytest.mark.slow, optimised]),
    ],
)
@pytest.mark.timeout(400)
async def test_m5_a_fleet_that_starts_all_at_once_hears_itself(nodes: int, watched: float) -> None:
    registry, keys = MockRegistry(), [Keypair.generate() for _ in range(nodes)]
    registry.add(*(key.wallet for key in keys))
    async with AsyncExitStack() as stack:
        first = await enter(stack, registry, keys[0], [])
        began, entries = monotonic(), first.db.node.bootstrap_entries()
        members = [first, *await asyncio.gather(*(enter(stack, registry, key, entries) for key in keys[1:]))]

        # Each says again and again who it is, and hears all others, most of them by others: few know everybody by then.
        async def introduce(number: int, member: Member) -> None:
            while True:
                await member.db.publish(TOPIC, number)
                await asyncio.sleep(1)

        introducing = [asyncio.create_task(introduce(number, member)) for number, member in enumerate(members)]
        everybody = set(range(nodes))
        await eventually(
            lambda: all({*member.heard, number} == everybody for number, member in enumerate(members)), PATIENCE
        )
        took = monotonic() - began
        for task in introducing:
            task.cancel()
        print(f"{nodes} nodes: everybody has heard everybody after {took:.1f} s")
        assert took < DELIVERED * SLACK
        if watched:
            await asyncio.sleep(max(0, SETTLED - took))
            before = dials(members)
            await asyncio.sleep(watched)
            rate = (dials(members) - before) / watched / nodes
            print(f"then {rate:.2f} dials a second and node")
            assert rate < DIALS


@dataclass
class Fleet:
    """Those who are members now, and how much they have said."""

    stack: AsyncExitStack
    registry: MockRegistry = field(default_factory=MockRegistry)
    members: list[Member] = field(default_factory=list)
    said: int = 0

    async def come(self) -> Member:
        """Start one more; it is no member before all know of it."""
        key = Keypair.generate()
        self.registry.add(key.wallet)
        entries = [entry for member in self.members for entry in member.db.node.bootstrap_entries()]
        member = await enter(self.stack, self.registry, key, entries)
        await member.db.wait_for_peers(TOPIC, len(self.members), 60)
        await eventually(lambda: all(member.db.node.peer_id in one.db.topic_peers(TOPIC) for one in self.members), 60)
        return member

    async def go(self, member: Member) -> None:
        """Take the wallet of one who is no member any more off the list, and stop its node."""
        self.registry.remove(member.db.node.wallet)
        await asyncio.gather(*(one.db.node.gate.refresh() for one in self.members))
        await eventually(lambda: not any(member.db.node.peer_id in one.db.topic_peers(TOPIC) for one in self.members))
        await member.leave()

    async def lose_nothing(self, during: Coroutine[Any, Any, T]) -> T:
        """Let all members say something, until this is done; check that all of them hear all of it, and each once."""
        members, doing = list(self.members), asyncio.create_task(during)
        sent: dict[int, Member] = {}
        while not doing.done() or not sent:
            for member in members:
                sent[self.said] = member
                await member.db.publish(TOPIC, self.said)
                self.said += 1
            await asyncio.wait([doing], timeout=PACE)
        wanted = {member: {number for number, author in sent.items() if author is not member} for member in members}
        await eventually(lambda: all(others <= set(member.heard) for member, others in wanted.items()), 60)
        assert all(len(member.heard) == len(set(member.heard)) for member in members)
        return await doing


@pytest.mark.parametrize("nodes", [3, pytest.param(10, marks=pytest.mark.slow)])
@pytest.mark.timeout(400)
async def test_m7_every_wallet_is_replaced_and_those_who_stay_lose_nothing(nodes: int) -> None:
    async with AsyncExitStack() as stack:
        fleet = Fleet(stack)
        for _ in range(nodes):
            fleet.members.append(await fleet.come())
        first = set(fleet.members)
        for _ in range(nodes):
            newcomer = await fleet.lose_nothing(fleet.come())
            fleet.members.append(newcomer)
            await fleet.lose_nothing(asyncio.sleep(PACE))
            await fleet.lose_nothing(fleet.go(fleet.members.pop(0)))
        assert not first & set(fleet.members)
        print(f"{nodes} wallets replaced one by one, {fleet.said} events: none was lost")
