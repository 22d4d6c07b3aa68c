"""A node that goes and comes back with the same key and the same ports."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depinmesh import Keypair, connect
from tests.support import LISTEN, WAIT, eventually, fields_of, free_ports, soon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from depinmesh import Database

RECEIVES_AGAIN = 5.0
"""Seconds after its start that a restarted node receives again."""

RECEIVER = Path(__file__).parent / "scripts" / "receiver.py"


@asynccontextmanager
async def publishing(db: Database) -> AsyncIterator[None]:
    """Publish a number every 20 ms."""

    async def publish() -> None:
        for number in range(10**9):
            await db.publish("t", number)
            await asyncio.sleep(0.02)

    task = asyncio.create_task(publish())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_node_that_was_closed_and_made_anew_receives_again() -> None:
    key, other_key, (quic, tcp) = Keypair.generate(), Keypair.generate(), free_ports()
    wallets = [key.wallet, other_key.wallet]
    async with connect(**fields_of(key, wallets)) as db, publishing(db):
        again: dict[str, Any] = fields_of(other_key, wallets, bootstrap_nodes=db.node.bootstrap_entries())
        again["listen"] = {**LISTEN, "quic_port": quic, "tcp_port": tcp}
        for _ in range(3):
            began = time.monotonic()
            async with connect(**again) as other, other.subscribe("t") as events:
                await events.get(WAIT)
                assert time.monotonic() - began < RECEIVES_AGAIN
            await eventually(lambda: not db.is_ready)


async def test_a_node_whose_process_was_killed_and_started_anew_receives_again() -> None:
    key, seed, (quic, tcp) = Keypair.generate(), os.urandom(32), free_ports()
    wallets = [key.wallet, Keypair.from_seed(seed).wallet]
    async with connect(**fields_of(key, wallets)) as db, publishing(db):
        given = {"seed": seed.hex(), "wallets": wallets, "quic_port": quic, "tcp_port": tcp}
        given["entries"] = db.node.bootstrap_entries()
        for _ in range(2):
            process = await asyncio.create_subprocess_exec(
                sys.executable, str(RECEIVER), json.dumps(given), stdout=asyncio.subprocess.PIPE
            )
            try:
                assert process.stdout is not None
                assert await soon(process.stdout.readline()) == b"up\n"
                began = time.monotonic()
                assert int(await soon(process.stdout.readline())) >= 0
                assert time.monotonic() - began < RECEIVES_AGAIN
            finally:
                process.kill()
                await process.wait()
