"""Roles of the flood: `python -m benches.support.flood`, driven as `benches/support/node.py`."""

from __future__ import annotations

import asyncio
import sys
from time import monotonic_ns
from typing import TYPE_CHECKING

from benches.support.node import SETTLE, Spec, fields_of, main
from benches.support.peer import Events, on_schedule, quantiles_of, say
from depinmesh import connect

if TYPE_CHECKING:
    from depinmesh import Database, Event, Subscription

FLOODED, CALM = "flooded", "calm"
SLOW = 0.005
"""Seconds that the subscriber takes for an event of the flood."""
PATIENCE = 60.0


async def told() -> None:
    """Wait for a line."""
    await asyncio.to_thread(sys.stdin.readline)


async def subscriber(spec: Spec) -> None:
    """Be quick on both topics, and then slow on one of them; a line ends each part."""
    latencies: list[int] = []

    def quick(event: Event) -> None:
        latencies.append(monotonic_ns() - event.message["t"])

    async with connect(**fields_of(spec)) as database:
        flooded, slow = await database.subscribe(FLOODED), asyncio.Event()
        await database.subscribe(CALM, quick)
        say("listening", address=database.node.bootstrap_entries()[0])
        taking = asyncio.create_task(take(flooded, slow))
        await told()
        say("before", **quantiles_of(latencies))
        latencies.clear()
        await told()
        say("quick", **quantiles_of(latencies))
        latencies.clear()
        slow.set()
        await told()
        say("slow", **quantiles_of(latencies))
        await told()
        say("after", **counted(database, flooded))
        taking.cancel()


async def take(events: Subscription, slow: asyncio.Event) -> None:
    """Take events; once it is slow, with a pause after each."""
    async for _ in events:
        if slow.is_set():
            await asyncio.sleep(SLOW)


def counted(database: Database, flooded: Subscription) -> dict[str, int]:
    """Return what became of the flood by its subscription, and what the counters of the node leave open."""
    counters, stats = database.node.status().counters, flooded.stats
    waiting = next(metric.value for metric in database.node.metrics() if metric.name == "queue_events")
    kept = counters["delivered_total"] + counters["queue_overflow_total"] + waiting
    return {
        "delivered": stats.delivered,
        "dropped": stats.dropped,
        "pending": stats.pending,
        "unaccounted": int(counters["accepted_total"] - kept),
    }


async def flooder(spec: Spec) -> None:
    """Publish without a pause until a line comes."""
    stop = asyncio.Event()
    async with connect(**fields_of(spec)) as database:
        await database.wait_for_peers(FLOODED, 1, PATIENCE)
        stopping = asyncio.create_task(told())
        stopping.add_done_callback(lambda _: stop.set())
        say("flooding")
        events, number = Events(database.node.peer_id, 200), 0
        while not stop.is_set():
            await database.publish(FLOODED, events.message(number, 0))
            number += 1
            await asyncio.sleep(0)  # a publish that need not wait lets nobody else run
        await asyncio.sleep(SETTLE)
        counters = database.node.status().counters
        say("flooded", published=number, sent=counters["published_total"], unsent=counters["unsent_total"])
        await told()


async def publisher(spec: Spec) -> None:
    """Publish on the calm topic, at a steady rate."""
    async with connect(**fields_of(spec)) as database:
        await database.wait_for_peers(CALM, 1, PATIENCE)
        events = Events(database.node.peer_id, 200)

        def due(instant: int) -> None:
            database.publish_nowait(CALM, events.message(0, instant))

        say("publishing")
        await asyncio.to_thread(on_schedule, spec["rate"], spec["seconds"], due)


if __name__ == "__main__":
    main({role.__name__: role for role in (subscriber, flooder, publisher)})
