"""The command: play, judge, print."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from typing import TYPE_CHECKING

from depinmesh.cli.demo.child import DemoError
from depinmesh.cli.demo.result import Result, problems
from depinmesh.cli.demo.stage import TOPIC, Stage
from depinmesh.cli.demo.table import table
from depinmesh.cli.exits import OK, USAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

_DESCRIPTION = """Run three nodes in three processes on loopback, let them exchange events over QUIC and TCP, and let a
stranger try to get in: first unlisted, then, as the control, with its wallet listed."""


def main(arguments: Sequence[str]) -> int:
    """Show the demonstration."""
    parser = argparse.ArgumentParser(prog="depinmesh demo", description=_DESCRIPTION)
    parser.add_argument(
        "--seconds", type=_seconds, default=15.0, metavar="S", help="how long it may take at most (default: 15)"
    )
    try:
        options = parser.parse_args(arguments)
    except SystemExit as end:  # after --help, or a wrong argument
        return USAGE if end.code else OK
    return run(options.seconds)


def _seconds(text: str) -> float:
    number = float(text)
    if not 1 <= number <= 600:  # noqa: PLR2004  # also refuses nan
        raise argparse.ArgumentTypeError(f"{text} is not between 1 and 600")
    return number


def run(seconds: float) -> int:
    """Play it within the time, print what was seen, and return 0 only when all of it is as promised."""
    progress = _Progress()
    try:
        result = asyncio.run(_play(Stage(progress.say), seconds))
    except TimeoutError:
        return _fail([f"it took longer than {seconds:g} s, and was here: {progress.step}"])
    except (DemoError, OSError) as error:
        return _fail([str(error)])
    if found := problems(result):
        return _fail(found)
    print(table(result, TOPIC))
    return 0


async def _play(stage: Stage, seconds: float) -> Result:
    async with asyncio.timeout(seconds):
        return await stage.play()


class _Progress:
    """Says on stderr what is being done."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self.step = "nothing has begun"

    def say(self, step: str) -> None:
        self.step = step
        print(f"{time.monotonic() - self._began:5.2f} s  {step}", file=sys.stderr, flush=True)


def _fail(found: list[str]) -> int:
    for problem in found:
        print(f"depinmesh demo: {problem}", file=sys.stderr)
    return 1
