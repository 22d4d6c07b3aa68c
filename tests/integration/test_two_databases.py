"""Several databases on one node: what belongs to one never shows in another."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair, Node
from tests.integration.test_discovery import gauge
from tests.support import eventually, fields_of, soon

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from depinmesh import Database, Event

EVENTS = 2_500
"""Of each sender in each database: 10,000 in all."""


async def node(stack: AsyncExitStack, key: Keypair, entries: Iterable[str] = ()) -> Node:
    """Start a node without a database."""
    fields = fields_of(key, [], bootstrap_nodes=list(entries))
    return await stack.enter_async_context(Node(**fields))


async def publish(database: Database, text: str) -> None:
    for number in range(EVENTS):
        await database.publish("t", [text, number])


def into(heard: list[object]) -> Callable[[Event], None]:
    """Return a handler that keeps what it hears."""
    return lambda event: heard.append(event.message)


@pytest.mark.timeout(120)
async def test_ten_thousand_events_of_two_databases_never_cross_and_each_hears_its_own_list_alone() -> None:
    hub_key, one_key, two_key = (Keypair.generate() for _ in range(3))
    everybody = [hub_key.wallet, one_key.wallet, two_key.wallet]
    async with AsyncExitStack() as stack:
        hub = await node(stack, hub_key)
        # The hub lists one of the two in each database; they themselves take part in both.
        one = await hub.database("one", authorized_wallets=[hub_key.wallet, one_key.wallet])
        two = await hub.database("two", authorized_wallets=[hub_key.wallet, two_key.wallet])
        entries = hub.bootstrap_entries()
        senders = [await node(stack, key, entries) for key in (one_key, two_key)]
        opened = [
            [await sender.database(name, authorized_wallets=everybody) for name in ("one", "two")] for sender in senders
        ]
        heard: dict[str, list[object]] = {"one": [], "two": []}
        for database in (one, two):
            await database.subscribe("t", into(heard[database.name]), queue_size=20_000)
        for databases in opened:
            for database in databases:
                await database.wait_for_peers("t", 1, 15)

        began = time.monotonic()
        await asyncio.gather(
            *(
                publish(database, f"{who} in {database.name}")
                for who, databases in zip(("one", "two"), opened, strict=True)
                for database in databases
            )
        )
        await eventually(lambda: [len(heard["one"]), len(heard["two"])] == [EVENTS, EVENTS], 60)
        await eventually(lambda: dropped(hub, "author-not-listed") == 2 * EVENTS)
        print(f"{4 * EVENTS} events in {time.monotonic() - began:.2f} s")
        assert sorted(heard["one"], key=repr) == sorted((["one in one", n] for n in range(EVENTS)), key=repr)
        assert sorted(heard["two"], key=repr) == sorted((["two in two", n] for n in range(EVENTS)), key=repr)


def dropped(node: Node, reason: str) -> float:
    return sum(m.value for m in node.metrics() if m.name == "dropped_total" and m.labels == {"reason": reason})


async def test_each_database_has_a_rendezvous_of_its_own_that_comes_and_goes_with_it() -> None:
    keys = [Keypair.generate() for _ in range(5)]
    hub_wallet, *wallets = (key.wallet for key in keys)
    lists = {"one": [hub_wallet, *wallets[:2]], "two": [hub_wallet, *wallets[2:]]}
    async with AsyncExitStack() as stack:
        hub = await node(stack, keys[0])
        await hub.database("one", authorized_wallets=lists["one"])
        entries = hub.bootstrap_entries()
        members: dict[str, list[Database]] = {"one": [], "two": []}
        for key, name in zip(keys[1:], ["one", "one", "two", "two"], strict=True):
            member = await node(stack, key, entries)
            members[name].append(await member.database(name, authorized_wallets=lists[name]))
        await eventually(lambda: [len(db.peers()) for db in members["one"]] == [2, 2])
        await eventually(lambda: gauge(hub, "provider_records") == 3)
        assert [len(db.peers()) for db in members["two"]] == [0, 0]

        two = await hub.database("two", authorized_wallets=lists["two"])
        await eventually(lambda: [len(db.peers()) for db in members["two"]] == [2, 2])
        await eventually(lambda: gauge(hub, "provider_records") == 6)
        assert [len(db.node.peers()) for db in members["one"]] == [2, 2]

        await soon(two.close())
        await eventually(lambda: [len(db.peers()) for db in members["two"]] == [1, 1])
        await eventually(lambda: gauge(hub, "provider_records") == 3)
        assert [len(db.peers()) for db in members["one"]] == [2, 2]
