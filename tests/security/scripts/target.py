"""A node in a process of its own, to be attacked and measured: what it is given and what it says are JSON lines."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import sys
from pathlib import Path
from typing import Any

from depinmesh import Database, Keypair, connect
from tests.leaks.meters import allocated, held, resident


def tell(event: str, **fields: Any) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)


class Told(logging.Handler):
    """Every record of the log, as a line."""

    def emit(self, record: logging.LogRecord) -> None:
        tell("log", logger=record.name, level=record.levelname, text=record.getMessage())


async def commands() -> asyncio.StreamReader:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    return reader


def report(db: Database) -> None:
    use = resource.getrusage(resource.RUSAGE_SELF)
    metrics: dict[str, float] = {}
    for metric in db.node.metrics():
        metrics[metric.name] = metrics.get(metric.name, 0) + metric.value
        for reason in (value for name, value in metric.labels.items() if name == "reason"):
            metrics[f"{metric.name}:{reason}"] = metric.value
    tell(
        "report",
        rss=resident(),
        allocated=allocated(),
        descriptors=held().descriptors,
        cpu=use.ru_utime + use.ru_stime,
        state=str(db.node.state.value),
        wallets=[peer.wallet for peer in db.peers()],
        heard=db.topic_peers(given["topic"]),
        metrics=metrics,
    )


async def main() -> None:
    for name, limit in given["limits"].items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (limit, limit))
    key = Keypair.from_base58(given["secret"])
    fields: dict[str, Any] = {"private_key": key, "authorized_wallets": given["wallets"], **given["fields"]}
    async with connect(**fields) as db, db.subscribe(given["topic"]) as events:
        tell("started", addresses=db.node.addresses, database=db.name)

        async def hear() -> None:
            async for event in events:
                tell("got", author=event.from_peer, message=event.message)

        async with asyncio.TaskGroup() as tasks:
            hearing = tasks.create_task(hear())
            reader = await commands()
            while line := await reader.readline():
                command = json.loads(line)
                if command["cmd"] == "report":
                    report(db)
                elif command["cmd"] == "publish":
                    for _ in range(command["times"]):
                        await db.publish(given["topic"], "x" * command["size"])
                    tell("published")
            hearing.cancel()


logging.getLogger().addHandler(Told())
given = json.loads(Path(sys.argv[1]).read_text())
asyncio.run(main())
