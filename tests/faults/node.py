"""A node in a process of its own, driven by JSON lines: a command each on stdin, what happens on stdout.

Times are those of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from depinmesh import (
    ListenAddress,
    MeshError,
    Node,
    NotReady,
    PeerConnected,
    PeerDisconnected,
    PeerRefused,
    ReachabilityChanged,
    Ready,
    connect,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from depinmesh import Database, Event

TOPIC = "t"


def say(event: str, **fields: Any) -> None:
    """Write a line."""
    print(json.dumps({"event": event, "at": time.monotonic(), **fields}), flush=True)


def hear(event: Event) -> None:
    """Tell of an event of another node."""
    number = event.message[0] if isinstance(event.message, list) else event.message
    say("heard", number=number, author=event.from_peer)


async def watch(node: Node) -> None:
    """Tell of peers that come and go."""
    async for event in node.events():
        if isinstance(event, PeerConnected):
            say("connected", peer=event.peer.peer_id, transport=event.peer.transport)
        elif isinstance(event, PeerDisconnected):
            say("disconnected", peer=event.peer_id, reason=event.reason)
        elif isinstance(event, PeerRefused):
            say("refused", peer=event.peer_id, reason=event.reason)
        elif isinstance(event, ReachabilityChanged):
            say("reachability", reachability=event.reachability, addresses=event.addresses)
        elif isinstance(event, ListenAddress):
            say("address", address=event.address)
        elif isinstance(event, Ready | NotReady) and event.database is None:
            say("ready" if isinstance(event, Ready) else "not-ready")


async def stream(database: Database, first: int, count: int, interval: float, size: int = 0) -> None:
    """Publish numbers at a pace as soon as anybody listens, each with so many bytes, and tell when all are out."""
    await database.wait_for_peers(TOPIC, 1, 30)
    start = time.monotonic()
    for i in range(count):
        await asyncio.sleep(start + i * interval - time.monotonic())
        await database.publish(TOPIC, [first + i, "x" * size] if size else first + i)
    say("streamed", first=first, count=count)


async def obey(database: Database, command: dict[str, Any], group: asyncio.TaskGroup) -> None:
    """Do one thing."""
    if command["cmd"] == "publish":
        await database.publish(TOPIC, command["number"])
        say("published", number=command["number"])
    elif command["cmd"] == "stream":
        group.create_task(stream(database, **command["stream"]))
    elif command["cmd"] == "peers":
        peers = database.peers()
        say("peers", peers=[peer.peer_id for peer in peers], addresses={peer.peer_id: peer.addresses for peer in peers})
    elif command["cmd"] == "transports":
        say("transports", transports={peer.peer_id: peer.transport for peer in database.peers()})
    elif command["cmd"] == "nat":
        say("nat", **asdict(database.node.status().nat))
    elif command["cmd"] == "counters":
        say("counters", counters=dict(database.node.status().counters), cpu=time.process_time())
    else:
        raise SystemExit(f"unknown command: {command}")


def read(loop: asyncio.AbstractEventLoop, queue: asyncio.Queue[dict[str, Any] | None]) -> None:
    """Hand on the commands."""
    for line in sys.stdin:
        loop.call_soon_threadsafe(queue.put_nowait, json.loads(line))
    loop.call_soon_threadsafe(queue.put_nowait, None)


@asynccontextmanager
async def opened_later(queue: asyncio.Queue[dict[str, Any] | None], fields: dict[str, Any]) -> AsyncIterator[Database]:
    """Run a node, and open its database when that is asked for."""
    async with Node(**fields) as node:
        say("started", peer_id=node.peer_id, entries=node.bootstrap_entries())
        await queue.get()
        async with node.database() as database:
            yield database


async def main() -> None:
    """Run until stdin ends."""
    queue: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()
    threading.Thread(target=read, args=(asyncio.get_running_loop(), queue), daemon=True).start()
    start = await queue.get()
    assert start is not None
    fields: dict[str, Any] = {
        "private_key": start["key"],
        "authorized_wallets": start["wallets"],
        "bootstrap_nodes": start["nodes"],
        "listen": {"hosts": start["hosts"], "quic_port": start["quic"], "tcp_port": start["tcp"]},
        "bootstrap": {"wait": "none"},
        **start.get("more", {}),
    }
    try:
        opening = opened_later(queue, fields) if start.get("opens_later") else connect(**fields)
        async with opening as database:
            watching = asyncio.create_task(watch(database.node))
            if start.get("subscribes", True):
                await database.subscribe(TOPIC, hear)
            say("started", peer_id=database.node.peer_id, entries=database.node.bootstrap_entries())
            async with asyncio.TaskGroup() as group:
                while (command := await queue.get()) is not None:
                    await obey(database, command, group)
            watching.cancel()
    except MeshError as error:
        say("failed", error=type(error).__name__, text=str(error))


asyncio.run(main())
