"""Roles of a process with depinmesh in which one thing is measured: `python -m benches.support.single`.

As in `benches/support/node.py`, a line of JSON says what to do, and the answers are such lines.
"""

from __future__ import annotations

import asyncio
import sys
from time import monotonic, perf_counter, process_time
from typing import TYPE_CHECKING

from benches.support.node import SETTLE, TOPIC, Spec, fields_of, main
from benches.support.peer import STALLED, say
from depinmesh import Keypair, Node, connect
from tests.leaks.meters import held, resident, slope

if TYPE_CHECKING:
    from depinmesh import Database

PATIENCE = 60.0
"""Seconds until the others of a bench must be there."""
LOCAL = {"hosts": ["127.0.0.1"], "quic_port": 0, "tcp_port": None}


def alone() -> Node:
    """Return a node that nobody knows."""
    key = Keypair.generate()
    return Node(private_key=key, authorized_wallets=[key.wallet], listen=LOCAL)


async def idle(spec: Spec) -> None:
    """Have peers, and nothing to do."""
    async with connect(**fields_of(spec)) as database, database.subscribe(TOPIC):
        await has_peers(database, len(spec["bootstrap"]))
        await asyncio.sleep(SETTLE)
        used, began = process_time(), monotonic()
        await asyncio.sleep(spec["seconds"])
        share = (process_time() - used) / (monotonic() - began)
        say("idle", cpu_per_cent=share * 100, rss_mib=resident() / 2**20)


async def topics(spec: Spec) -> None:
    """Subscribe to many topics beside a peer that publishes on the last one."""
    async with connect(**fields_of(spec)) as database:
        await has_peers(database, 1)
        before, began = resident(), perf_counter()
        made = [await database.subscribe(f"t{number}") for number in range(spec["count"])]
        seconds = perf_counter() - began
        await made[-1].get(STALLED)
        delivered = perf_counter() - began
        each = (resident() - before) / 1024 / spec["count"]
        say("topics", seconds=seconds, delivered_seconds=delivered, kib_each=each)


async def publish_on(spec: Spec) -> None:
    """Publish one event on a topic as soon as somebody is there, and stay."""
    async with connect(**fields_of(spec)) as database:
        say("listening", address=database.node.bootstrap_entries()[0])
        await database.publish(spec["topic"], 0, min_peers=1, timeout=PATIENCE)
        await asyncio.to_thread(sys.stdin.readline)


async def memory(spec: Spec) -> None:
    """Show what one more node adds to a process."""
    async with alone():
        await asyncio.sleep(SETTLE)
        one = resident()
        nodes = [alone() for _ in range(spec["nodes"])]
        await asyncio.gather(*(node.start() for node in nodes))
        await asyncio.sleep(SETTLE)
        per_node = (resident() - one) / len(nodes)
        await asyncio.gather(*(node.close() for node in nodes))
    say("memory", node_mib=per_node / 2**20)


async def connections(spec: Spec) -> None:
    """Show what a connection costs the node that has many."""
    async with connect(**fields_of(spec)) as database, database.subscribe(TOPIC):
        await asyncio.sleep(SETTLE)
        before = resident()
        say("listening", address=database.node.bootstrap_entries()[0])
        await has_peers(database, spec["count"])
        await asyncio.sleep(SETTLE)
        say("connections", connection_kib=(resident() - before) / 1024 / spec["count"])


async def cycles(spec: Spec) -> None:
    """Start and stop nodes, and show what is left of them."""
    sizes, count = [], spec["count"]
    for cycle in range(count + 10):
        async with alone():
            pass
        if cycle == 9:  # what is kept for the next one is there by now
            before = held()
        if cycle >= 9 + count // 4 and cycle % max(1, count // 20) == 0:
            sizes.append((cycle, resident()))
    until = monotonic() + STALLED
    while held() != before and monotonic() < until:  # noqa: ASYNC110  # what ends tells nobody
        await asyncio.sleep(0.05)
    after = held()
    left = sum(getattr(after, name) - getattr(before, name) for name in ("descriptors", "threads", "tasks"))
    say("cycles", left=left, bytes_each=slope(sizes))


async def close(spec: Spec) -> None:
    """Close a node that has peers, and events that nobody took."""
    async with connect(**fields_of(spec)) as database:
        events = await database.subscribe(TOPIC, queue_size=spec["count"], queue_bytes=64 * 2**20)
        say("listening", address=database.node.bootstrap_entries()[0])
        await has_peers(database, spec["peers"])
        until = monotonic() + PATIENCE
        while events.stats.pending < spec["count"]:
            if monotonic() > until:
                raise TimeoutError(f"{events.stats} of {spec['count']} events")
            await asyncio.sleep(0.01)
        began = perf_counter()
        await database.close()
        say("closed", ms=(perf_counter() - began) * 1e3, dropped=events.stats.dropped)


async def fill(spec: Spec) -> None:
    """Publish so many events to one peer, and stay until a line comes."""
    async with connect(**fields_of(spec)) as database:
        await database.wait_for_peers(TOPIC, 1, STALLED)
        for number in range(spec["count"]):
            await database.publish(TOPIC, number)
            if number % 500 == 0:  # its queues towards the network hold fewer than all
                await asyncio.sleep(0.1)
        await asyncio.to_thread(sys.stdin.readline)


async def gate(spec: Spec) -> None:
    """Be knocked at, and count how often that makes the registry be asked."""
    calls = 0

    async def registry() -> list[str]:
        nonlocal calls
        calls += 1
        wallets: list[str] = spec["wallets"]
        return wallets

    roomy = {"max_per_ip": 1_000, "max_pending_per_ip": 1_000}
    async with connect(**{**fields_of(spec), "authorized_wallets": registry, "connections": roomy}) as database:
        used, began, before = process_time(), monotonic(), calls
        say("listening", address=database.node.addresses[0])
        await asyncio.to_thread(sys.stdin.readline)
        refused = database.node.status().counters["refused_total"]
        took = monotonic() - began
        # What is asked for without anybody at the door, and one call for each interval that has begun.
        allowed = took // 30 + took // 1 + 1
        cpu = (process_time() - used) * 1e6 / max(1, refused)
        say("gate", calls=calls - before, allowed_calls=allowed, refused=refused, seconds=took, cpu_us=cpu)


async def has_peers(database: Database, count: int) -> None:
    """Wait until it has so many peers."""
    until = monotonic() + PATIENCE
    while len(database.peers()) < count:
        if monotonic() > until:
            raise TimeoutError(f"{len(database.peers())} of {count} peers came")
        await asyncio.sleep(0.01)


if __name__ == "__main__":
    main({role.__name__: role for role in (idle, topics, publish_on, memory, connections, cycles, close, fill, gate)})
