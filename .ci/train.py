"""What a build is optimised for: run with an instrumented core, it does the work of nodes, and the compiler counts.

Events of several sizes over QUIC and TCP, in batches and without, as fast as it goes and now and then; topics that come
and go; strangers that are refused; nodes that start and stop. Whatever is not done here counts as seldom.
`maturin build --pgo` runs it for wheels, `make bench-build` for benches.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from time import monotonic
from typing import TYPE_CHECKING

from depinmesh import BackpressureError
from depinmesh.testing import Stranger, network

if TYPE_CHECKING:
    from depinmesh import Database

SECONDS = 6.0
"""Of events, for each transport, in batches and without."""
SIZES = (200, 200, 200, 200, 4_096, 65_536)
WINDOW = 512
TIMES = 500
"""How often what takes no time of its own is done."""
WAIT = 30.0


async def quickly(sender: Database, receiver: Database) -> int:
    """Publish as fast as it goes, with some events on the way; return how many were heard."""
    heard = 0
    async with receiver.subscribe("quick", queue_size=2 * WINDOW) as subscription:

        async def take() -> None:
            nonlocal heard
            async for event in subscription:
                heard += bool(event.message)

        await sender.wait_for_peers("quick", 1, WAIT)
        taking = asyncio.create_task(take())
        sent, until = 0, monotonic() + SECONDS
        while monotonic() < until:
            try:
                if sent - heard < WINDOW:
                    sender.publish_nowait("quick", {"number": sent, "text": "x" * SIZES[sent % len(SIZES)]})
                    sent += 1
                    pause = 0.0 if sent % 64 == 0 else None
                else:
                    pause = 0.001
            except BackpressureError:
                pause = 0.001
            if pause is not None:
                await asyncio.sleep(pause)
        taking.cancel()
        await asyncio.wait([taking])
    return heard


async def slowly(sender: Database, receiver: Database) -> int:
    """Publish one by one, as most fleets do; return how many were heard."""
    heard = 0
    async with receiver.subscribe("slow") as subscription:
        await sender.wait_for_peers("slow", 1, WAIT)
        until = monotonic() + SECONDS
        while monotonic() < until:
            await sender.publish("slow", {"load": 0.5})
            await subscription.get(WAIT)
            heard += 1
            await asyncio.sleep(0.002)
    return heard


async def fleet(nodes: list[Database]) -> None:
    """Let one speak to all others, topics come and go, and strangers knock."""
    first, second, *_ = nodes
    async with AsyncExitStack() as stack:
        subscriptions = [await stack.enter_async_context(node.subscribe("fleet")) for node in nodes[1:]]
        await first.wait_for_peers("fleet", len(subscriptions), WAIT)
        for number in range(TIMES):
            await first.publish("fleet", number)
            await asyncio.gather(*(subscription.get(WAIT) for subscription in subscriptions))
        for number in range(TIMES):
            async with second.subscribe(f"topic-{number}"):
                pass
        for _ in range(5):
            await Stranger().visit(first.node.bootstrap_entries(), "fleet", seconds=1)


async def main() -> None:
    """Do all of it over each transport."""
    for transport in ("quic", "tcp"):
        quic, tcp = transport == "quic", transport == "tcp"
        for batching in (False, True):
            async with network(2, quic=quic, tcp=tcp, pubsub={"batching": batching}) as (one, two):
                quick, slow = await asyncio.gather(quickly(one, two), slowly(two, one))
                print(f"{transport}, batching {batching}: heard {quick:,} and {slow:,} events", flush=True)
        async with network(5, quic=quic, tcp=tcp) as nodes:
            await fleet(nodes)
            print(f"{transport}: a fleet of {len(nodes)}", flush=True)


asyncio.run(main())
