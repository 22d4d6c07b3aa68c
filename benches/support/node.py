"""A process with one node, for the benches: the public interface of the package and nothing beside it.

It is told what to do by a line of JSON on its standard input, and answers in such lines, as `depinmesh-raw-peer` does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from time import perf_counter, process_time, sleep
from typing import TYPE_CHECKING, Any

from benches.support.peer import LOOK, STALLED, Credit, Events, Received, Usage, Window, on_schedule, say
from depinmesh import BackpressureError, Node, connect
from depinmesh.build import version

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

TOPIC = "events"
SETTLE = 2.0
"""Seconds that two nodes take until they know each other and all that follows from it."""

Spec = dict[str, Any]


def fields_of(spec: Spec) -> Any:
    """Return the configuration: one transport, on loopback."""
    ports = {"quic_port": None, "tcp_port": None, f"{spec['transport']}_port": 0}
    return {
        "private_key": spec["key"],
        "authorized_wallets": spec["wallets"],
        "bootstrap_nodes": spec.get("bootstrap", []),
        "database": "bench",
        "listen": {"hosts": ["127.0.0.1"], **ports},
        **spec.get("more", {}),
    }


async def receive(spec: Spec) -> None:
    """Take the events by iteration, decode each, and tell how far it is."""
    received = Received(Credit(spec["credit"]), spec["count"], spec["warmup"], latency=bool(spec["rate"]))
    async with connect(**fields_of(spec)) as database, database.subscribe(TOPIC) as events:
        say("listening", address=database.node.bootstrap_entries()[0], versions={"depinmesh": version()})
        async for event in events:
            if received.add(event.message["t"]):
                break
        received.say(dropped=events.stats.dropped)
        await asyncio.sleep(spec["linger"])


async def send(spec: Spec) -> None:
    """Publish as fast as the window allows, or on a schedule."""
    async with connect(**fields_of(spec)) as database:
        await database.wait_for_peers(TOPIC, len(spec["bootstrap"]), STALLED)
        window, events = Window(Credit(spec["credit"]), spec["window"]), Events(database.node.peer_id, spec["size"])

        async def fast(total: int) -> None:
            while (room := window.room(total)) is not None:
                for _ in range(room):
                    await database.publish(TOPIC, events.message(window.sent, 0))
                    window.sent += 1
                await asyncio.sleep(0.001)

        def due(instant: int) -> None:
            message = events.message(window.sent, instant)
            while True:
                try:
                    database.publish_nowait(TOPIC, message)
                except BackpressureError:  # it leaves late, which its latency shows
                    sleep(LOOK)
                else:
                    break
            window.sent += 1

        await fast(spec["warmup"])
        usage = Usage()
        if spec["rate"]:
            await asyncio.to_thread(on_schedule, spec["rate"], spec["count"] / spec["rate"], due)
            await fast(window.sent)
        else:
            await fast(spec["warmup"] + spec["count"])
        say("sent", **usage.until_now(window.sent - spec["warmup"]), cpu_ms=process_time() * 1e3)
        await asyncio.sleep(spec["linger"])


async def dial(spec: Spec) -> None:
    """Connect once, and say how long it took."""
    async with Node(**fields_of(spec)) as node, node.database():
        began = perf_counter()
        await node.dial(spec["address"])
        say("connected", ms=(perf_counter() - began) * 1e3)


def main(roles: Mapping[str, Callable[[Spec], Coroutine[Any, Any, None]]]) -> None:
    """Do what the first line of the input says."""
    spec: Spec = json.loads(sys.stdin.readline())
    factory = None
    if spec.get("loop") == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(roles[spec["role"]](spec))


if __name__ == "__main__":
    main({role.__name__: role for role in (receive, send, dial)})
