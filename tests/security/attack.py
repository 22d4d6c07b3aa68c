"""The attacker as a process of its own, driven by JSON lines, and the nodes that it attacks.

The attacker is plain rust-libp2p without a gate and shares no code with depinmesh. What it says about a connection
comes from the bytes it saw, so these tests do not take the word of the node under attack for anything.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair, connect
from tests.program import PATIENCE, Line, Program
from tests.support import fields_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from depinmesh import Database, Node, PeerId, Wallet

TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or Path(__file__).parents[2] / "target")
BINARY = TARGET / "debug" / f"depinmesh-attacker{'.exe' if os.name == 'nt' else ''}"

ROOMY = {"max_per_ip": 1_000, "max_pending_per_ip": 1_000}
"""Limits for each address far above what a test does: one that hits them would prove nothing about what it tests."""

TRANSPORTS = {
    "quic": ("--transport", "quic"),
    "tcp-noise": ("--transport", "tcp", "--security", "noise"),
    "tcp-tls": ("--transport", "tcp", "--security", "tls"),
}
"""How the attacker can be told to come: each of these alone."""


class Attacker(Program):
    """A running attacker and everything it has said so far."""

    async def dial(self, address: str, *, times: int = 1, within: float = PATIENCE, **fields: Any) -> Line:
        """Let it dial; return what all the tries came to. The last connection stays when nobody closes it."""
        return await self.ask("dial", "dial-done", address=address, times=times, within=within, **fields)

    async def publish(self, topic: str, data: str, times: int = 1) -> Line:
        """Let it sign and publish any text under the full name of a topic."""
        return await self.ask("publish", "published", topic=topic, data=data, times=times)

    async def report(self) -> Line:
        """Return its counters since its start."""
        return await self.ask("report", "report")

    async def finish(self, event: str, within: float) -> Line:
        """Wait for its last line, as those modes say that end by themselves."""
        line = await self.wait(event, within=within)
        async with asyncio.timeout(PATIENCE):
            assert await self.process.wait() == 0
        return line


def binary() -> Path:
    """Return where the attacker was built to."""
    if not BINARY.exists():
        pytest.skip(f"{BINARY} is missing: cargo build -p depinmesh-attacker")
    return BINARY


@asynccontextmanager
async def attacker(*arguments: object) -> AsyncIterator[Attacker]:
    """Start an attacker; it ends with the block, whatever happens in it."""
    async with Attacker.run(binary(), *arguments) as program:
        yield program


@asynccontextmanager
async def intruder(*arguments: object, key: Keypair | None = None) -> AsyncIterator[tuple[Attacker, Keypair]]:
    """Start an attacker that can be told what to do, with a key of its own, which is as valid as any."""
    key = key or Keypair.generate()
    async with attacker("node", "--key", key.to_base58(), *arguments) as process:
        started = await process.wait("started")
        assert started["peer_id"] == key.peer_id
        yield process, key


@asynccontextmanager
async def victim(*guests: Wallet, key: Keypair | None = None, **more: Any) -> AsyncIterator[Database]:
    """Run a node that lists itself and the guests."""
    key = key or Keypair.generate()
    fields = fields_of(key, [key.wallet, *guests], **{"connections": ROOMY, **more})
    async with connect(**fields) as database:
        yield database


def address_of(node: Node, transport: str) -> str:
    """Return where the node listens for one of `TRANSPORTS`."""
    part = "/quic-v1/" if transport == "quic" else "/tcp/"
    return next(address for address in node.addresses if part in address)


def full(database: Database, topic: str) -> str:
    """Return the name of a topic on the wire."""
    return f"{database.name}_{topic}"


def envelope(author: PeerId | str, message: object = None, **other: Any) -> str:
    """Return an event as nodes send it, with other values for some of its keys; `...` leaves a key out."""
    event = {"id": os.urandom(8).hex(), "from_peer": author, "message": message, "timestamp": 1_700_000_000, **other}
    return json.dumps({key: value for key, value in event.items() if value is not ...})


def counted(node: Node, name: str, **labels: str) -> float:
    """Return a counter of the node, summed over the labels that are not named."""
    return sum(
        metric.value
        for metric in node.metrics()
        if metric.name == name and labels.items() <= dict(metric.labels).items()
    )


def reasons(node: Node, name: str) -> dict[str, float]:
    """Return the parts of a counter, those that are zero left out."""
    return {metric.labels["reason"]: metric.value for metric in node.metrics() if metric.name == name and metric.value}
