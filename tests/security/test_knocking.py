"""What honest peers notice while strangers knock: a figure, printed, and that nothing of theirs is lost."""

from __future__ import annotations

import asyncio
import shutil
from statistics import quantiles
from time import monotonic
from typing import TYPE_CHECKING

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
AT_ONCE = 16


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


@pytest.mark.parametrize("seconds", [pytest.param(30, marks=pytest.mark.slow)])
@pytest.mark.timeout(300)
async def test_r1_honest_events_arrive_while_hundreds_of_strangers_a_second_knock(seconds: int) -> None:
    key = Keypair.generate()
    core = ("taskset", "-c", "0") if shutil.which("taskset") else ()
    async with target(key.wallet, before=core) as node:
        entry = node.at("quic")
        wallet = node.wallet
        async with connect(**fields_of(key, [key.wallet, wallet], bootstrap_nodes=[entry])) as db:
            await eventually(lambda: len(db.topic_peers(TOPIC)) == 1)
            quiet = await deliver(db, node, int(seconds / EVERY), "quiet")
            before = await node.report()
            async with attacker(
                *("flood", "--address", node.at("tcp"), "--count", 1_000 * seconds, "--concurrency", AT_ONCE),
                *("--security", "noise", "--hold-ms", 2_000),
            ) as flood:
                await flood.wait("flood")
                stormy = await deliver(db, node, int(seconds / EVERY), "stormy")
                reached = flood.said("flood")[-1]
            after = await node.report()
            refused = after["metrics"]["refused_total"] - before["metrics"].get("refused_total", 0)
            print(
                {
                    "one core": bool(core),
                    "strangers/s": round(reached["started"] / reached["seconds"]),
                    "refused": refused,
                    "quiet": shown(quiet),
                    "under the flood": shown(stormy),
                    "rss MiB": [before["rss"] >> 20, after["rss"] >> 20],
                }
            )
            assert len(stormy) == len(quiet) == int(seconds / EVERY)
            assert refused > 0
            assert after["rss"] < MEMORY
            assert after["wallets"] == [key.wallet]
