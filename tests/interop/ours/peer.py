"""A node of ours in a process of its own, driven by JSON lines as the Go node beside it."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

from depinmesh import Keypair, MeshError, connect

if TYPE_CHECKING:
    from depinmesh import Database, Event

POLL = 0.01


def say(event: str, **fields: Any) -> None:
    """Write a line."""
    print(json.dumps({"event": event, **fields}), flush=True)


class Peer:
    """A database, and the topics of it by their names on the wire."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.tasks: set[asyncio.Task[None]] = set()

    def topic(self, full: str) -> str:
        return full.removeprefix(f"{self.database.name}_")

    async def dial(self, address: str) -> None:
        started, error = time.monotonic(), None
        try:
            await self.database.node.dial(address)
        except MeshError as failure:
            error = str(failure)
        say("dialled", addresses=[address], error=error, ms=(time.monotonic() - started) * 1000)

    async def subscribe(self, full: str) -> None:
        def receive(event: Event) -> None:
            read = {"id": event.id, "from_peer": event.from_peer, "message": event.message}
            say("message", topic=full, author=event.from_peer, read=read)

        await self.database.subscribe(self.topic(full), receive)
        task = asyncio.create_task(self.watch(full))
        self.tasks.add(task)
        say("subscribed", topic=full)

    async def watch(self, full: str) -> None:
        """Tell who comes to the topic."""
        known: set[str] = set()
        while True:
            for peer in set(self.database.topic_peers(self.topic(full))) - known:
                known.add(peer)
                say("graft", topic=full, peer=peer)
            await asyncio.sleep(POLL)

    async def obey(self, command: dict[str, Any]) -> None:
        match command["cmd"]:
            case "dial":
                await self.dial(command["addresses"][0])
            case "subscribe":
                await self.subscribe(command["topic"])
            case "publish":
                event = await self.database.publish(self.topic(command["topic"]), command["message"])
                say("published", topic=command["topic"], id=event.id, error=None)
            case other:
                raise SystemExit(f"unknown command: {other}")


def read(loop: asyncio.AbstractEventLoop, queue: asyncio.Queue[dict[str, Any]]) -> None:
    """Hand on the commands."""
    for line in sys.stdin:
        loop.call_soon_threadsafe(queue.put_nowait, json.loads(line))


async def main(secret: str, listen: str, guest: str) -> None:
    """Run until it is killed."""
    queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    threading.Thread(target=read, args=(asyncio.get_running_loop(), queue), daemon=True).start()
    ports: dict[str, int | None] = {"quic_port": None, "tcp_port": None}
    ports["quic_port" if "/udp/" in listen else "tcp_port"] = 0
    here = {"hosts": ["127.0.0.1"], **ports}
    key = Keypair.from_base58(secret)
    async with connect(private_key=key, authorized_wallets=[key.wallet, guest], listen=here) as database:
        peer = Peer(database)
        node = database.node
        addresses = [one if "/p2p/" in one else f"{one}/p2p/{node.peer_id}" for one in node.addresses]
        say("started", peer_id=node.peer_id, addresses=addresses, versions={})
        while True:
            await peer.obey(await queue.get())


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--key", required=True)
    arguments.add_argument("--listen", required=True)
    arguments.add_argument("--gate", required=True, help="the wallet that may connect")
    given = arguments.parse_args()
    asyncio.run(main(given.key, given.listen, given.gate))
