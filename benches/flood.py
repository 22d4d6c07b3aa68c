"""A flood: a publisher without any limit, a subscriber that is too slow for it, and another topic that must not suffer.

Memory has to stay within the configured queues, each event that arrived must have been delivered, be waiting, or be
counted as dropped, and the p99 of the other topic, which another node publishes at 100/s, must not double. The flood
takes all that the machine has, so it is compared with three: with a time without a flood; with one in which the
subscriber keeps up, which tells what a slow handler does; and with two nodes aside, a fleet of their own with the same
topic and no flood, which tells what the load of the machine does.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from benches.support.machine import Load, memory_of
from benches.support.processes import Child, python
from benches.support.progress import Step
from depinmesh import Keypair

if TYPE_CHECKING:
    from benches.support.results import Results
    from benches.support.systems import Setup

FLOOD = python("-m", "benches.support.flood")
RATE = 100
SETTLE = 3.0
"""Seconds after which what was on the way has arrived."""


class Flood:
    """Measures it, and in a full run with batching too."""

    def __init__(self, setup: Setup, results: Results, seconds: float, *, full: bool) -> None:
        self._setup, self._results, self._seconds, self._full = setup, results, seconds, full

    def steps(self) -> list[Step]:
        """Return one, or both."""
        long = 1.9 * self._seconds + 10
        return [
            Step(f"flood{', batching' if batching else ''}", long, partial(self._run, batching=batching))
            for batching in ((False, True) if self._full else (False,))
        ]

    def _run(self, *, batching: bool) -> str:
        keys, keys_aside = ([Keypair.generate() for _ in range(count)] for count in (3, 2))
        load = Load()
        common = {"transport": "quic", "loop": self._setup.loop, "more": {"pubsub": {"batching": batching}}}

        def child(role: str, key: Keypair, **spec: Any) -> Child:
            fleet = keys if key in keys else keys_aside
            spec = {"role": role, "key": key.to_base58(), "wallets": [one.wallet for one in fleet], **common, **spec}
            return Child(FLOOD, spec=spec, longest=3 * self._seconds + 120)

        def part(name: str) -> tuple[float, float]:
            """End a part; return the p99 of the other topic at the subscriber and aside."""
            for one in (subscriber, aside):
                one.tell({})
            return subscriber.line(name)["p99_us"], aside.line(name)["p99_us"]

        with ExitStack() as stack:
            subscriber = stack.enter_context(child("subscriber", keys[0]))
            aside = stack.enter_context(child("subscriber", keys_aside[0]))
            bootstrap, bootstrap_aside = ([one.line("listening")["address"]] for one in (subscriber, aside))
            before = self._seconds / 2
            quick = self._seconds / 3
            lasts = before + quick + self._seconds + 30
            steadily = {"rate": RATE, "seconds": lasts}
            calm = stack.enter_context(child("publisher", keys[1], bootstrap=bootstrap, **steadily))
            calm_aside = stack.enter_context(child("publisher", keys_aside[1], bootstrap=bootstrap_aside, **steadily))
            calm.line("publishing")
            calm_aside.line("publishing")
            sleep(before)
            p99_before, aside_before = part("before")
            flooder = stack.enter_context(child("flooder", keys[2], bootstrap=bootstrap))
            flooder.line("flooding")
            sleep(quick)
            p99_quick, _ = part("quick")
            memory = self._watch(subscriber, flooder)
            p99_slow, aside_slow = part("slow")
            flooder.tell({})
            flooded = flooder.line("flooded")
            calm.end()
            calm_aside.end()
            sleep(SETTLE)
            subscriber.tell({})
            after = subscriber.line("after")
            flooder.end()
        arrived = after["delivered"] + after["dropped"] + after["pending"]
        values = {
            "p99_before_us": p99_before,
            "p99_quick_us": p99_quick,
            "p99_us": p99_slow,
            "aside_before_us": aside_before,
            "aside_us": aside_slow,
            "p99_to_before": p99_slow / p99_before,
            "p99_to_quick": p99_slow / p99_quick,
            "p99_to_aside": p99_slow / aside_slow,
            "published": flooded["published"],
            "unsent": flooded["unsent"],
            "arrived": arrived,
            **{name: after[name] for name in ("delivered", "dropped", "pending")},
            "unaccounted": abs(after["unaccounted"]) + abs(flooded["published"] - flooded["unsent"] - arrived),
            **memory,
        }
        self._results.add("flood", values, seconds=self._seconds, batching=batching, others=load.others())
        return ", ".join(f"{name} {value:,.1f}" for name, value in values.items())

    def _watch(self, subscriber: Child, flooder: Child) -> dict[str, float]:
        """Look at the memory while it lasts: of the second half nothing may be left to grow."""
        sizes: list[tuple[float, float]] = []
        began = monotonic()
        while monotonic() - began < self._seconds:
            sizes.append((memory_of(subscriber.pid), memory_of(flooder.pid)))
            sleep(0.5)
        received, published = zip(*sizes, strict=True)
        half = len(sizes) // 2
        return {
            "subscriber_peak_mib": max(received),
            "subscriber_growth_mib": max(received[half:]) - max(received[:half]),
            "publisher_peak_mib": max(published),
            "publisher_growth_mib": max(published[half:]) - max(published[:half]),
        }
