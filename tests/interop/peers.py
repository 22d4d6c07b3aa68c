"""Peers of other languages as processes of their own, and a node of ours beside them."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair, connect
from tests.program import PATIENCE, Line, Program
from tests.support import eventually, fields_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from depinmesh import Database, Node, PeerId, Wallet

TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or Path(__file__).parents[2] / "target")

GO = ("go-0.31", "go-0.41")
"""The Go peer, built against each set of versions that is in the field."""

TRANSPORTS = {"quic": ("quic", ""), "tcp-noise": ("tcp", "noise"), "tcp-tls": ("tcp", "tls")}
"""What both sides listen on, and what the Go peer offers on it."""

LISTENING = {"quic": "/ip4/127.0.0.1/udp/0/quic-v1", "tcp": "/ip4/127.0.0.1/tcp/0"}
TOPIC = "rooms"


class Peer(Program):
    """A running peer of another language."""

    peer_id: PeerId
    key: Keypair

    @property
    def address(self) -> str:
        """Where it listens; the first of its addresses."""
        started: Line = self.said("started")[0]
        address: str = started["addresses"][0]
        return address

    @property
    def versions(self) -> dict[str, str]:
        """What it was built from, in its own words."""
        versions: dict[str, str] = self.said("started")[0]["versions"]
        return versions

    async def dial(self, *addresses: str, at: float = 0) -> Line:
        """Let it connect, at a moment in Unix seconds if one is given; return what became of it."""
        return await self.ask("dial", "dialled", addresses=addresses, at=int(at * 1000))

    async def publish(self, topic: str, message: object) -> Line:
        """Let it publish an event; the answer has its id."""
        return await self.ask("publish", "published", topic=topic, message=message)

    async def knows(self, peer: PeerId, topic: str) -> None:
        """Wait until it would send events on the topic to the peer."""
        await self.wait("graft", topic=topic, peer=peer)

    async def topic_peers(self, topic: str) -> list[str]:
        """Return who listens to the topic, as far as it knows."""
        peers: list[str] = (await self.ask("topic-peers", "topic-peers", topic=topic))["peers"]
        return peers

    def messages(self, topic: str) -> list[Line]:
        """Return the events that it has read."""
        return self.said("message", topic=topic)


COMMANDS: dict[str, tuple[Path, ...]] = {
    **{pins: (TARGET / "interop" / pins,) for pins in GO},
    "js": (Path("node"), TARGET / "interop" / "js" / "peer.js"),
    "py": (TARGET / "interop" / "py" / "bin" / "python", Path(__file__).with_name("py") / "peer.py"),
    "ours": (Path(sys.executable), Path(__file__).with_name("ours") / "peer.py"),
}
"""How each of them is started."""


@asynccontextmanager
async def peer_of(
    kind: str, *arguments: object, transport: str = "quic", key: Keypair | None = None
) -> AsyncIterator[Peer]:
    """Start a peer of a kind that listens for one of `TRANSPORTS`."""
    command = COMMANDS[kind]
    if missing := [word for word in command if word.is_absolute() and not word.exists()]:
        pytest.skip(f"{missing[0]} is missing: make go-peers js-peer py-peer")
    key = key or Keypair.generate()
    listen, _ = TRANSPORTS[transport]
    settings = ("--key", key.to_base58(), "--listen", LISTENING[listen])
    async with Peer.run(*command, *settings, *arguments) as peer:
        peer.key, peer.peer_id = key, key.peer_id
        assert (await peer.wait("started"))["peer_id"] == key.peer_id
        yield peer


@asynccontextmanager
async def go_peer(
    pins: str, *arguments: object, transport: str = "quic", key: Keypair | None = None
) -> AsyncIterator[Peer]:
    """Start a Go peer that offers one way to encrypt TCP alone."""
    _, security = TRANSPORTS[transport]
    async with peer_of(pins, "-security", security, *arguments, transport=transport, key=key) as peer:
        yield peer


@asynccontextmanager
async def ours(
    *guests: Wallet, transport: str = "quic", key: Keypair | None = None, **more: Any
) -> AsyncIterator[Database]:
    """Run a node that lists itself and the guests and listens for one of `TRANSPORTS` alone."""
    key = key or Keypair.generate()
    port: dict[str, int | None] = {"quic_port": None, "tcp_port": None, f"{TRANSPORTS[transport][0]}_port": 0}
    listen = {"hosts": ["127.0.0.1"], **port}
    async with connect(**fields_of(key, [key.wallet, *guests], **{"listen": listen, **more})) as database:
        yield database


def address_of(node: Node) -> str:
    """Return where the node listens, with its peer id."""
    address = node.addresses[0]
    return address if "/p2p/" in address else f"{address}/p2p/{node.peer_id}"


def full(database: Database, topic: str = TOPIC) -> str:
    """Return the name of a topic on the wire."""
    return f"{database.name}_{topic}"


async def join(database: Database, peer: Peer, who_dials: str) -> None:
    """Connect both, by a dial of one of them."""
    if who_dials == "we dial":
        await database.node.dial(peer.address)
    else:
        assert (await peer.dial(address_of(database.node)))["error"] is None
    await eventually(lambda: [one.peer_id for one in database.peers()] == [peer.peer_id])


async def met(database: Database, peer: Peer, topic: str = TOPIC) -> None:
    """Wait until each of two that listen to a topic sends events on it to the other."""
    await peer.knows(database.node.peer_id, full(database, topic))
    await eventually(lambda: peer.peer_id in database.topic_peers(topic), within=PATIENCE)


def now() -> float:
    """Return the clock of the loop, in seconds."""
    return asyncio.get_running_loop().time()
