"""A node of the demonstration, in a process of its own."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from depinmesh.cli.demo.lines import Lines, run
from depinmesh.connecting import connect
from depinmesh.errors import MeshTimeoutError
from depinmesh.events import PeerConnected, PeerRefused
from depinmesh.testing.registry import MockRegistry

if TYPE_CHECKING:
    from depinmesh.database import Database
    from depinmesh.event import Event

_PATIENCE = 10.0


class _Role:
    """What the process knows: its database, and what it has seen."""

    def __init__(self, lines: Lines, topic: str, registry: MockRegistry) -> None:
        self._lines = lines
        self._topic = topic
        self._registry = registry
        self._sent = 0
        self._received: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._let_in: dict[str, str] = {}
        self._first: float | None = None
        self._changed = asyncio.Condition()

    async def play(self, db: Database) -> None:
        """Do what is asked until nobody asks any more."""
        watch = asyncio.create_task(self._watch(db))
        try:
            await db.subscribe(self._topic, self._on_event)
            self._lines.report("listening", entries=db.node.bootstrap_entries())
            while (command := await self._lines.command()) is not None:
                await getattr(self, f"_{command.pop('do')}")(db, **command)
        finally:
            watch.cancel()

    async def _publish(self, db: Database, count: int, peers: int) -> None:
        for number in range(count):
            try:
                await db.publish(self._topic, {"number": number}, min_peers=peers, timeout=_PATIENCE)
            except MeshTimeoutError:
                heard = len(db.topic_peers(self._topic))
                raise RuntimeError(f"{heard} of {peers} others subscribed within {_PATIENCE:g} s") from None
            self._sent += 1
        self._lines.report("published")

    async def _wallets(self, db: Database, wallets: list[str]) -> None:
        self._registry.set(wallets)
        await db.node.gate.refresh()
        self._lines.report("refreshed")

    async def _count(self, db: Database, at_least: dict[str, int], refusals: int) -> None:
        """Report what came, as soon as it is so much of each author and so many refusals, or will not come."""

        def is_enough() -> bool:
            return self._refused.total() >= refusals and all(self._received[who] >= n for who, n in at_least.items())

        try:
            async with asyncio.timeout(_PATIENCE), self._changed:
                await self._changed.wait_for(is_enough)
        except TimeoutError:
            pass  # the numbers say it
        self._lines.report(
            "counted",
            sent=self._sent,
            received=self._received,
            refused=self._refused,
            let_in=self._let_in,
            first=self._first,
            links={peer.wallet: peer.transport for peer in db.peers()},
        )

    async def _on_event(self, event: Event) -> None:
        self._first = self._first or time.time()
        async with self._changed:
            self._received[event.wallet] += 1
            self._changed.notify_all()

    async def _watch(self, db: Database) -> None:
        async for event in db.node.events():
            if isinstance(event, PeerRefused):
                self._refused[f"{event.wallet} {event.reason}"] += event.count
            elif isinstance(event, PeerConnected):
                self._let_in[event.peer.wallet] = event.peer.transport
            async with self._changed:
                self._changed.notify_all()


async def _main(lines: Lines) -> None:
    config: dict[str, Any] | None = await lines.command()
    if config is None:
        return
    registry = MockRegistry(config["wallets"])
    listen = {"hosts": ["127.0.0.1"], "quic_port": 0 if config["quic"] else None, "tcp_port": 0}
    async with connect(
        private_key=config["key"], authorized_wallets=registry, bootstrap_nodes=config["known"], listen=listen
    ) as db:
        await _Role(lines, config["topic"], registry).play(db)


if __name__ == "__main__":
    sys.exit(run(_main))
