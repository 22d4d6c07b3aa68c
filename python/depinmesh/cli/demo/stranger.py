"""The stranger of the demonstration, in a process of its own."""

from __future__ import annotations

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
    lines: Lines, stranger: Stranger, topic: str, nodes: list[str], seconds: float, wants: int | None
) -> Visit:
    """Knock; with `wants` leave as soon as it has heard so many events and said something itself."""
    told = False

    def enough(visit: Visit) -> bool:
        nonlocal told
        if not told and (visit.ends or visit.identified):
            told = True
            lines.report("knocked")
        return wants is not None and visit.events_received >= wants and visit.events_sent > 0

    return await stranger.visit(nodes, topic, seconds=seconds, until=enough)


if __name__ == "__main__":
    sys.exit(run(_main))
