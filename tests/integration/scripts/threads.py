"""A node on so many cores at most: says on how many, and how many threads its network has."""

from __future__ import annotations

import asyncio
import os
import sys

cores = sorted(os.sched_getaffinity(0))[: int(sys.argv[1])]
os.sched_setaffinity(0, cores)

from depinmesh import Node  # noqa: E402  # the cores are chosen before anything can ask for them
from tests.support import alone, eventually, threads_of_ours  # noqa: E402


def workers() -> int:
    return threads_of_ours().count("depinmesh-net")


async def main() -> None:
    async with Node(**alone()):  # without a list of wallets, for whose check one more is there for ten seconds
        await eventually(lambda: workers() >= min(len(cores), 2))
        print(len(cores), workers())


asyncio.run(main())
