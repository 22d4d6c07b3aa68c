"""Roles of a process with many nodes: `python -m benches.support.fleet`, driven as `benches/support/node.py`."""

from __future__ import annotations

import asyncio
import statistics
import sys
from contextlib import AsyncExitStack
from functools import partial
from time import monotonic, perf_counter, process_time
from typing import TYPE_CHECKING

from benches.support.node import SETTLE, TOPIC, Spec, fields_of, main
from benches.support.peer import STALLED, Credit, Usage, say
from depinmesh import Keypair, connect
from depinmesh.testing import network
from tests.faults import lab, test_partitions, test_restarts
from tests.faults.test_partitions import everywhere
from tests.integration.revocations import revoke

if TYPE_CHECKING:
    from depinmesh import Event

SEEN = 32
"""A node of a crowd tells how far it is after so many events."""


async def crowd(spec: Spec) -> None:
    """Run a node for each of the keys, for other processes to connect to, until a line comes."""
    keys = [Keypair.from_base58(secret) for secret in spec["secrets"]]
    async with AsyncExitStack() as stack:
        databases = [
            await stack.enter_async_context(connect(**{**fields_of(spec), "private_key": key})) for key in keys
        ]
        if "count" in spec:
            counter = Counter(Credit(spec["credit"]), spec["count"], len(databases))
            for number, database in enumerate(databases):
                await database.subscribe(TOPIC, partial(counter.add, number))
        elif spec.get("subscribed"):
            for database in databases:
                await database.subscribe(TOPIC, ignore)
        say("listening", addresses=[one.node.bootstrap_entries()[0] for one in databases])
        await asyncio.to_thread(sys.stdin.readline)


def ignore(_: Event) -> None:
    """Take an event."""


class Counter:
    """Tells a publisher how many events the slowest of several nodes has."""

    def __init__(self, credit: Credit, count: int, nodes: int) -> None:
        self._credit, self._count, self._seen = credit, count, [0] * nodes
        self._usage = Usage()
        credit.set(0)

    def add(self, number: int, _: Event) -> None:
        """Count an event of a node; all have theirs: say the result."""
        if not any(self._seen):
            self._usage = Usage()
        self._seen[number] += 1
        if self._seen[number] % SEEN == 0 or self._seen[number] == self._count:
            self._credit.set(least := min(self._seen))
            if least == self._count:
                say("received", **self._usage.until_now(sum(self._seen)))


async def mesh(spec: Spec) -> None:
    """Publish in a mesh of one process: how long until each event is everywhere."""
    began = perf_counter()
    async with network(spec["nodes"], tcp=False, timeout=300) as databases:
        joined = perf_counter() - began
        events = [await one.subscribe(TOPIC) for one in databases]
        await asyncio.gather(*(one.wait_for_peers(TOPIC, len(databases) - 1, 120) for one in databases))
        await asyncio.sleep(SETTLE)  # until the meshes stand
        times: list[float] = []
        used = process_time()
        for number in range(spec["events"]):
            publisher = number % len(databases)
            sent = perf_counter()
            await databases[publisher].publish(TOPIC, number)
            others = [one for index, one in enumerate(events) if index != publisher]
            await asyncio.gather(*(one.get(STALLED) for one in others))
            times.append((perf_counter() - sent) * 1e3)
        used = process_time() - used
    cpu = used * 1e6 / (spec["events"] * (spec["nodes"] - 1))
    everywhere_ms = {"everywhere_ms": statistics.median(times), "everywhere_max_ms": max(times)}
    say("mesh", **everywhere_ms, cpu_us_per_delivery=cpu, join_seconds=joined)


async def revocation(spec: Spec) -> None:
    """Take a wallet off the list of a fleet, and put it on again."""
    outcome = await revoke(spec["nodes"], 1, retries=3)
    closed = {"closed_p50_ms": outcome.closed_p50 * 1e3, "closed_p99_ms": outcome.closed_p99 * 1e3}
    say("revocation", **closed, heard_again_ms=outcome.heard_again * 1e3)


async def restarts(spec: Spec) -> None:
    """Kill a node of five, and start it again: how long until it hears all others, and they hear it."""
    took = []
    async with test_restarts.fleet(5) as made:
        for round_ in range(spec["rounds"]):
            number = round_ % 5
            await made.kill(number)
            began = monotonic()
            made.nodes[number] = await made.start(number)
            await everywhere(made.nodes, within=15)
            took.append(monotonic() - began)
    say("restarts", p50_seconds=statistics.median(took), max_seconds=max(took))


async def heal(spec: Spec) -> None:
    """Split a network of four nodes in halves, in network namespaces, and make it whole again."""
    took = []
    if reason := lab.missing():
        say("heal", missing=reason)
        return
    async with lab.lab(4) as place, test_partitions.fleet(place) as nodes:
        await everywhere(nodes, within=15)
        for _ in range(spec["rounds"]):
            await place.split(place.hosts[:2], place.hosts[2:])
            await asyncio.sleep(spec["seconds"])
            await place.heal()
            took.append(await everywhere(nodes, within=15))
    say("heal", p50_seconds=statistics.median(took), max_seconds=max(took))


if __name__ == "__main__":
    main({role.__name__: role for role in (crowd, mesh, revocation, restarts, heal)})
