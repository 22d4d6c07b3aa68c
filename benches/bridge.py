"""The bridge alone, without a network: how many events a second come out of `async for`, each of them decoded.

A thread of the core feeds synthetic events through the real ring and mailbox; the real pump and the real subscription
take them. The class that does so, `BridgeBench`, is only in an extension that was built with `--features bench`.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from dataclasses import dataclass
from time import perf_counter, thread_time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from benches.support.machine import Load
from benches.support.progress import Step
from benches.support.statistics import percentile
from depinmesh import _core
from depinmesh._pump import Pump
from depinmesh.subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Callable

    from benches.support.results import Results

# With this message an event is 200 bytes on the wire.
MESSAGE = {"t": 1_234_567_890_123_456, "n": 123_456, "pad": "x" * 14}
STEADY = 20_000
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
    """Return `BridgeBench`, or raise with what has to be done."""
    found: Callable[..., Any] | None = getattr(_core, "BridgeBench", None)
    if found is None:
        raise RuntimeError("the compiled module has no BridgeBench: `make bench-build` makes one that has")
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


class Bridge:
    """Measures the bridge on each loop, flooded and at a steady rate."""

    def __init__(self, results: Results, events: int) -> None:
        self._results, self._events = results, events

    def steps(self, blocks: int) -> list[Step]:
        """Return so many rounds."""
        return [
            self._step(block, name, factory, rate)
            for block in range(blocks)
            for name, factory in loops().items()
            for rate in (float("inf"), STEADY)
        ]

    def _step(self, block: int, name: str, factory: Callable[[], asyncio.AbstractEventLoop], rate: float) -> Step:
        pace = "flooded" if rate > STEADY else f"{STEADY:,}/s"

        def measure() -> str:
            load = Load()
            with asyncio.Runner(loop_factory=factory) as runner:
                done = runner.run(run(self._events if rate > STEADY else STEADY, rate))
            values = {
                "events_per_second": done.rate,
                "cpu_us": done.cpu_us,
                "in_push_us": done.in_push_us,
                "longest_push_us": done.longest_push_us,
                **{f"lag_p{at}_us": percentile(done.lags_us, at) for at in (50, 99, 100)},
            }
            self._results.add("bridge", values, loop=name, pace=pace, round=block, others=load.others())
            return f"{done.rate:,.0f} events/s"

        return Step(f"bridge {block}, {name}, {pace}", 2, measure)
