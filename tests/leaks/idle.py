"""A node that subscribes to one topic, has left another and does nothing: `idle.py CONFIG PEERS SECONDS`.

It writes JSON lines.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from typing import TYPE_CHECKING

from depinmesh import connect

if TYPE_CHECKING:
    from depinmesh import Database


def say(event: str, **fields: object) -> None:
    """Write a line."""
    print(json.dumps({"event": event, "at": time.monotonic(), **fields}), flush=True)


class Lines(logging.Handler):
    """Writes what is logged."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write it."""
        say("log", text=record.getMessage())


async def listen(database: Database) -> None:
    """Wait for events that nobody sends."""
    async with database.subscribe("left") as events:
        async for _ in events:
            pass


async def main() -> None:
    """Wait for the peers, then measure."""
    logger = logging.getLogger("depinmesh")
    logger.addHandler(Lines())
    logger.setLevel(logging.INFO)
    async with connect(**json.loads(sys.argv[1])) as database:
        await database.subscribe("presence", lambda _: None)
        while len(database.peers()) < int(sys.argv[2]):  # noqa: ASYNC110  # a peer may come without an event of its own
            await asyncio.sleep(0.1)
        listening = asyncio.create_task(listen(database))
        while "left" not in database.topics():  # noqa: ASYNC110  # nothing tells of it
            await asyncio.sleep(0.01)
        listening.cancel()
        await asyncio.wait([listening])
        assert database.topics() == ["presence"]
        await asyncio.sleep(5)
        began, used = time.monotonic(), time.process_time()
        say("settled")
        await asyncio.sleep(float(sys.argv[3]))
        share = (time.process_time() - used) / (time.monotonic() - began)
        say("done", share=share, peers=len(database.peers()))


asyncio.run(main())
