"""A peer whose handshake is honest and whose streams carry whatever a test wants, and a node that can be measured."""

from __future__ import annotations

import json
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from depinmesh import Keypair
from tests.program import PATIENCE, Line, Program
from tests.security.attack import ROOMY, TRANSPORTS, Attacker, binary
from tests.security.rpc import GOSSIP, rpc
from tests.support import LISTEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from depinmesh import Wallet

ROOT = Path(__file__).parents[2]


class Raw(Attacker):
    """The attacker, told byte by byte."""

    key: Keypair

    async def connect(self, address: str, **more: Any) -> int:
        """Connect, and wait until the other side has asked who is there; return the number of the connection."""
        before = len(self.lines)
        self.tell("connect", address=address, **more)
        link: int = (await self.first("connected", "connect-failed", after=before))["link"]
        if not more.get("mute"):
            await self.wait("asked", link=link, protocol="/ipfs/id/1.0.0")
        return link

    async def first(self, *events: str, after: int, within: float = PATIENCE) -> Line:
        """Wait for the first line about one of the events; the first of them is the one that is hoped for."""
        await self.wait_for(lambda: any(line["event"] in events for line in self.lines[after:]), within)
        line = next(line for line in self.lines[after:] if line["event"] in events)
        assert line["event"] == events[0], line
        return line

    async def open(self, link: int, protocol: str = GOSSIP, **more: Any) -> int:
        """Open a stream on which the other side agrees to a protocol; return its number."""
        opened = await self.ask("open", "opened", link=link, protocol=protocol, **more)
        assert opened["agreed"] == more.get("times", 1), opened
        stream: int = opened["stream"]
        return stream

    async def write(self, stream: int, data: bytes, times: int = 1, *, within: float = PATIENCE) -> bool:
        """Write to a stream; whether all of it could be written."""
        before = len(self.lines)
        self.write_only(stream, data, times)

        def ended() -> Line | None:
            lines = self.lines[before:]
            ends = ("written", "broken", "command-failed")
            return next(
                (line for line in lines if line["event"] in ends and line.get("stream", stream) == stream), None
            )

        await self.wait_for(lambda: ended() is not None, within)
        line = ended()
        return line is not None and line["event"] == "written"

    def write_only(self, stream: int, data: bytes, times: int = 1) -> None:
        """Write to a stream without waiting for the end of it: the other side may never take it all."""
        self.tell("write", stream=stream, hex=data.hex(), times=times)


@asynccontextmanager
async def raw(transport: str = "tcp-noise", key: Keypair | None = None) -> AsyncIterator[Raw]:
    """Start a raw peer."""
    key = key or Keypair.generate()
    async with Raw.run(binary(), "raw", "--key", key.to_base58(), *TRANSPORTS[transport]) as process:
        process.key = key
        await process.wait("started")
        yield process


async def gossiping(peer: Raw, address: str, *topics: str) -> tuple[int, int]:
    """Connect and open a gossip stream, subscribed to topics; return the numbers of connection and stream."""
    link = await peer.connect(address)
    stream = await peer.open(link)
    assert await peer.write(stream, rpc(subscribe=topics))
    return link, stream


class Target(Program):
    """A node in a process of its own."""

    addresses: list[str]
    database: str
    wallet: Wallet

    def at(self, transport: str) -> str:
        """Return where it listens for one of `TRANSPORTS`."""
        part = "/quic-v1/" if transport == "quic" else "/tcp/"
        return next(address for address in self.addresses if part in address)

    async def report(self) -> Line:
        """Return what it holds and has counted."""
        return await self.ask("report", "report")


@asynccontextmanager
async def target(
    *guests: Wallet,
    topic: str = "rooms",
    limits: dict[str, int] | None = None,
    before: tuple[str, ...] = (),
    **more: Any,
) -> AsyncIterator[Target]:
    """Start a node that lists itself and the guests; the words of `before` stand before its command."""
    key = Keypair.generate()
    given = {
        "secret": key.to_base58(),
        "wallets": [key.wallet, *guests],
        "topic": topic,
        "limits": limits or {},
        "fields": {"listen": LISTEN, "connections": ROOMY, **more},
    }
    script = Path(__file__).parent / "scripts" / "target.py"
    with TemporaryDirectory() as folder:
        path = Path(folder) / "given.json"
        path.write_text(json.dumps(given))
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        async with Target.run(*before, sys.executable, script, path, env=env) as process:
            started = await process.wait("started")
            process.addresses, process.database = started["addresses"], started["database"]
            process.wallet = key.wallet
            yield process
