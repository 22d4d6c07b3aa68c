"""What honest peers notice while strangers knock: a figure, printed, and that nothing of theirs is lost."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from statistics import quantiles
from time import monotonic
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair, connect
from tests.security.attack import attacker
from tests.security.raw import Target, target
from tests.support import eventually, fields_of

if TYPE_CHECKING:
    from depinmesh import Database

TOPIC = "rooms"
EVERY = 0.05
MEMORY = 512 << 20
"""Bytes that the node may have of its own: more, and the kernel gives it none, which ends it."""
AT_ONCE = 600
"""Strangers: each waits for the next read of the registry, up to a second."""
JOINS = 5
AFTER = 5
"""Seconds after which what the strangers have cost should be given back."""


async def deliver(db: Database, node: Target, times: int, word: str) -> list[float]:
    """Publish at a steady pace; return how long each event took, in milliseconds."""
    sent: dict[str, float] = {}
    took: dict[str, float] = {}

    async def hear() -> None:
        seen = len(node.said("got"))
        while len(took) < times:
            await node.wait("got", n=seen + 1, within=60)
            message = node.said("got")[seen]["message"]
            if message in sent:
                took[message] = (monotonic() - sent[message]) * 1000
            seen += 1

    hearing = asyncio.create_task(hear())
    for number in range(times):
        sent[name := f"{word} {number}"] = monotonic()
        await db.publish(TOPIC, name)
        await asyncio.sleep(EVERY)
    await hearing
    return list(took.values())


def shown(times: list[float]) -> dict[str, float]:
    cuts = quantiles(times, n=100)
    return {"p50 ms": round(cuts[49], 1), "p99 ms": round(cuts[98], 1), "events": len(times)}


def peak(pid: int) -> int:
    """Return the most bytes that a process has ever had resident."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


async def join(fields: dict[str, Any]) -> float:
    """Return how long a listed node takes until it is in."""
    began = monotonic()
    async with connect(**fields, bootstrap={"wait": "ready"}):
        return (monotonic() - began) * 1000


@pytest.mark.parametrize("seconds", [pytest.param(30, marks=pytest.mark.slow)])
@pytest.mark.timeout(300)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the most that was resident")
async def test_r1_honest_events_arrive_while_hundreds_of_strangers_a_second_knock(seconds: int) -> None:
    key, late = Keypair.generate(), Keypair.generate()
    core = ("taskset", "-c", "0") if shutil.which("taskset") else ()
    if not core:
        print("NOT HELD TO ONE CORE: there is no taskset (util-linux)")
    async with target(key.wallet, late.wallet, before=core, limits={"DATA": MEMORY}) as node:
        listed = [key.wallet, late.wallet, node.wallet]
        entry = {"bootstrap_nodes": [node.at("quic")]}
        async with connect(**fields_of(key, listed, **entry)) as db:
            await eventually(lambda: len(db.topic_peers(TOPIC)) == 1)
            quiet = await deliver(db, node, int(seconds / EVERY), "quiet")
            before = await node.report()
            async with attacker(
                *("flood", "--address", node.at("tcp"), "--count", 10_000 * seconds, "--concurrency", AT_ONCE),
                *("--security", "noise", "--hold-ms", 5_000),
            ) as flood:
                await flood.wait("flood")
                stormy = await deliver(db, node, int(seconds / EVERY), "stormy")
                joins = [await join(fields_of(late, listed, **entry)) for _ in range(JOINS)]
                reached = flood.said("flood")[-1]
                during = await node.report()
            await asyncio.sleep(AFTER)
            after = await node.report()
            refused = during["metrics"]["refused_total"] - before["metrics"].get("refused_total", 0)
            print(
                {
                    "one core": bool(core),
                    "load": os.getloadavg()[0],
                    "strangers/s": round(reached["started"] / reached["seconds"]),
                    "refused/s": round(refused / reached["seconds"]),
                    "quiet": shown(quiet),
                    "under the flood": shown(stormy),
                    "joins ms": [round(took) for took in joins],
                    "cpu s": round(during["cpu"] - before["cpu"], 1),
                    "rss MiB before, peak, after": [
                        one >> 20 for one in (before["rss"], peak(node.process.pid), after["rss"])
                    ],
                }
            )
            assert len(stormy) == len(quiet) == int(seconds / EVERY)
            assert refused > 0
            assert after["wallets"] == [key.wallet]
