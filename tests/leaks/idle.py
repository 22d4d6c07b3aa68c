"""A node that subscribes to one topic and does nothing: `idle.py CONFIG PEERS SECONDS`, JSON lines on stdout."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time

from depinmesh import connect


def say(event: str, **fields: object) -> None:
    """Write a line."""
    print(json.dumps({"event": event, "at": time.monotonic(), **fields}), flush=True)


class Lines(logging.Handler):
    """Writes what is logged."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write it."""
        say("log", text=record.getMessage())


async def main() -> None:
    """Wait for the peers, then measure."""
    logger = logging.getLogger("depinmesh")
    logger.addHandler(Lines())
    logger.setLevel(logging.INFO)
    async with connect(**json.loads(sys.argv[1])) as database:
        await database.subscribe("presence", lambda _: None)
        while len(database.peers()) < int(sys.argv[2]):  # noqa: ASYNC110  # a peer may come without an event of its own
            await asyncio.sleep(0.1)
        await asyncio.sleep(5)
        began, used = time.monotonic(), time.process_time()
        say("settled")
        await asyncio.sleep(float(sys.argv[3]))
        share = (time.process_time() - used) / (time.monotonic() - began)
        say("done", share=share, peers=len(database.peers()))


asyncio.run(main())
