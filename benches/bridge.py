"""The bridge alone, without a network: how many events a second come out of `async for`, each of them decoded.

    make bench                          builds what this needs, and runs it with the other benches
    python -m benches.bridge --quick    when that has been built

A thread of the core feeds synthetic events through the real ring and mailbox; the real pump and the real subscription
take them. The class that does so, `BridgeBench`, is only in an extension that was built with `--features bench`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import contextvars
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, thread_time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from benches.support.machine import Load, describe
from benches.support.table import Figure, percentile, short, show, spread
from depinmesh import _core
from depinmesh._pump import Pump
from depinmesh.subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Callable

# With this message an event is 200 bytes on the wire.
MESSAGE = {"t": 1_234_567_890_123_456, "n": 123_456, "pad": "x" * 14}
MUST, GOAL = 500_000, 1_000_000
QUEUE = 4096
EVERY = 0.002  # seconds between two looks of the task that stands for the rest of a program


@dataclass
class Run:
    """What one run showed."""

    rate: float
    cpu_us: float
    """Of the thread of the loop, which other programs do not change much."""
    in_push_us: float
    longest_push_us: float
    lags_us: list[float]


def bench_class() -> Callable[..., Any]:
    """Return `BridgeBench`, or end with what has to be done."""
    found: Callable[..., Any] | None = getattr(_core, "BridgeBench", None)
    if found is None:
        sys.exit(
            "The compiled module has no BridgeBench: `make bench` builds it, in release profile and beside the one of"
            " .venv.\nBy hand: cargo build --release -p depinmesh-binding --features bench"
        )
    return found


async def run(events: int, rate: float) -> Run:
    """Take so many events by iteration while another task looks at the clock."""
    bench = bench_class()(QUEUE)
    # What the pump asks of a node and the bench does not have: answers to the core's questions, which never come.
    core: Any = SimpleNamespace(
        answer_failed=lambda *_: False,
        **{name: getattr(bench, name) for name in ("wake_fd", "clear_wake", "drain", "abort")},
    )
    pump = Pump(
        core,
        context=contextvars.copy_context(),
        on_wallets=_never,
        on_bootstrap=_never,
        on_event=lambda *_: None,
        on_stopped=lambda _: None,
    )
    pump.start()
    subscription = Subscription("bench", bench, pump, lambda _: None)
    lags: list[float] = []
    watching = asyncio.create_task(_watch(lags))
    try:
        taken, cpu, began = 0, thread_time(), perf_counter()
        bench.feed(events, MESSAGE, rate)
        async for event in subscription:
            if event.message is None:
                raise AssertionError("an event without its message")
            taken += 1
            if taken == events:
                break
        took, cpu = perf_counter() - began, thread_time() - cpu
        _, in_push, longest = bench.fed()
    finally:
        watching.cancel()
        await subscription.close()
        pump.stop()
    return Run(events / took, cpu / events * 1e6, in_push / events * 1e6, longest * 1e6, lags)


async def _watch(lags: list[float]) -> None:
    """Note how much later than asked a sleeping task gets its turn."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + EVERY
        await asyncio.sleep(EVERY)
        lags.append((loop.time() - due) * 1e6)


async def _never(*_: object) -> Any:
    raise AssertionError("the bench asks nothing")


def loops() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Return the event loops that are there."""
    found: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    with contextlib.suppress(ImportError):
        import uvloop

        found["uvloop"] = uvloop.new_event_loop
    return found


def main() -> None:
    """Run it on each loop, flooded and at a steady rate, in turns."""
    parser = argparse.ArgumentParser(description="The bridge alone, without a network.")
    parser.add_argument("--events", type=int, default=1_000_000, help="events of one run")
    parser.add_argument("--blocks", type=int, default=5, help="runs of each kind")
    parser.add_argument("--quick", action="store_true", help="less of all: some seconds")
    parser.add_argument("--json", type=Path, help="add the results to this file, a JSON line each")
    options = parser.parse_args()
    if options.quick:
        options.events, options.blocks = 200_000, 2
    bench_class()
    steady = 20_000
    rows: list[list[str]] = []
    results: list[dict[str, object]] = []
    runs: dict[tuple[str, float], list[Run]] = {}
    load = Load()
    for block in range(options.blocks):
        for name, factory in loops().items():
            for rate in (float("inf"), steady):
                print(f"block {block + 1} of {options.blocks}: {name}, {_pace(rate)}", file=sys.stderr, flush=True)
                events = options.events if rate > steady else steady
                with asyncio.Runner(loop_factory=factory) as runner:
                    runs.setdefault((name, rate), []).append(runner.run(run(events, rate)))
    others = load.others()
    for (name, rate), all_runs in runs.items():
        figure = Figure(name, must=MUST, goal=GOAL, more_is_better=True, ours=[one.rate for one in all_runs])
        lags = [lag for one in all_runs for lag in one.lags_us]
        rows.append(
            [
                f"{name}, {_pace(rate)}",
                spread(figure.ours),
                figure.verdict if rate > steady else "",
                spread([one.cpu_us for one in all_runs]),
                spread([one.in_push_us for one in all_runs]),
                short(max(one.longest_push_us for one in all_runs)),
                " / ".join(short(percentile(lags, at)) for at in (50, 99, 100)),
            ]
        )
        results += [
            {"bench": "bridge", "loop": name, "pace": _pace(rate), **vars(one), "lags_us": None} for one in all_runs
        ]
    columns = [
        "loop, pace",
        "events/s",
        f"must {MUST:,}, goal {GOAL:,}",
        "loop's CPU us/event",
        "feeder in push us/event",
        "longest push us",
        "lag of another task us: p50/p99/max",
    ]
    show("The bridge alone, 200-byte events, each decoded: median [min..max]", columns, rows)
    print(f"{describe()}; other programs used {others:.0%} of it")
    print("Where others leave no core to the feeder, its longest push has the time in which it was not running.")
    if options.json:
        with options.json.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(result) + "\n" for result in results)


def _pace(rate: float) -> str:
    return "flooded" if rate == float("inf") else f"{rate:,.0f}/s"


if __name__ == "__main__":
    main()
