"""The stranger of the demonstration, in a process of its own."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import asdict

from depinmesh.cli.demo.lines import Lines, run
from depinmesh.identity import Keypair
from depinmesh.testing.stranger import Stranger, Visit

_SHOWN = 8


async def _main(lines: Lines) -> None:
    config = await lines.command()
    if config is None:
        return
    stranger = Stranger(Keypair(config["key"]))
    while (command := await lines.command()) is not None:
        visit = await _visit(lines, stranger, config["topic"], **command)
        ends = list(dict.fromkeys(visit.ends))[:_SHOWN]
        lines.report("visited", **{**asdict(visit), "ends": ends})


async def _visit(
    lines: Lines, stranger: Stranger, topic: str, nodes: list[str], seconds: float, events: int, ends: int
) -> Visit:
    """Knock, and leave when told to, but not before so many events came or so many attempts ended."""
    leaving = asyncio.ensure_future(lines.command())
    told = False

    def enough(visit: Visit) -> bool:
        nonlocal told
        if not told and (visit.ends or visit.identified):
            told = True
            lines.report("knocked")
        return leaving.done() and visit.events_received >= events and len(visit.ends) >= ends

    visit = await stranger.visit(nodes, topic, seconds=seconds, until=enough)
    if not told:
        raise RuntimeError(f"no node has answered within {seconds:g} s")
    await leaving
    return visit


if __name__ == "__main__":
    sys.exit(run(_main))
