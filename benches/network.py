"""One publisher, one subscriber, through loopback: depinmesh beside other systems, in the same run.

All publish signed events over encrypted links. A credit window in shared memory keeps the publisher from running ahead,
so nothing is dropped, and the figure is the highest rate without loss. One block measures everything once, in shuffled
order; ratios are taken inside a block. Each side has a core to itself. Before each run the machine is calibrated; while
it is slow for the moment, the run waits, and a block in which it moved too much all the same does not count.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import inf
from statistics import median
from time import monotonic_ns, sleep
from typing import TYPE_CHECKING, Any

from benches.support.machine import Load, awake, memory_of, seconds_of
from benches.support.processes import Child
from benches.support.progress import Step
from benches.support.systems import MAIN, Ours, Plan

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benches.support.results import Results
    from benches.support.systems import Setup, System

SIZE = 200
SIZES = (4096, 65536, 1_000_000)
SHARES = (10, 50, 80)
"""Per cent of its own highest rate, at which the latency of a system is measured too."""
MOVED = 0.25
"""How much slower than its fastest a signature may be checked within a block."""
SLOW = 0.12
"""The same, beyond which a run waits for the machine to become quick again."""
PATIENCE = 60
"""Seconds that the runs of a block wait for that, together, at most."""

Values = dict[str, float]


@dataclass(frozen=True)
class Lengths:
    """How long the runs are."""

    seconds: float = 3.0
    """Of a run for the rate."""
    latency_seconds: int = 6
    """Whole, so that a peer that divides by the rate and multiplies again has the same number of events."""
    idle_seconds: float = 10.0


class Network:
    """Measures pairs."""

    def __init__(self, setup: Setup, results: Results, systems: Sequence[System], lengths: Lengths) -> None:
        self._setup, self._results, self._systems, self._lengths = setup, results, systems, lengths
        self._verify_us: dict[int, list[float]] = {}
        self._waited: dict[int, int] = {}

    def blocks(self, count: int, *, seed: int, full: bool) -> list[Step]:
        """Return the steps of so many blocks."""
        rng = random.Random(seed)
        return [step for block in range(count) for step in self._block(block, rng, full=full)]

    def _block(self, block: int, rng: random.Random, *, full: bool) -> list[Step]:
        steps = []
        for system in self._systems:
            for transport in system.transports:
                steps += [
                    self._step(block, system, transport, "throughput", self._lengths.seconds + 2, self._throughput()),
                    self._step(block, system, transport, "latency", self._lengths.latency_seconds + 2, self._latency()),
                    self._step(block, system, transport, "start", 1, self._start),
                ]
                if block == 0:
                    steps.append(
                        self._step(block, system, transport, "idle", self._lengths.idle_seconds + 3, self._idle)
                    )
                if full:
                    steps += [
                        self._step(
                            block, system, transport, "throughput", self._lengths.seconds + 2, self._throughput(size)
                        )
                        for size in SIZES
                        if system.name not in {"py", "nats"} or size < SIZES[-1]  # beyond their limits
                    ]
        rng.shuffle(steps)
        if full:  # after the rates of which they are a part
            steps += [
                self._step(block, system, transport, "latency", 10, self._latency(share), f" at {share} %")
                for system in self._systems
                if system.name in MAIN
                for transport in system.transports
                for share in SHARES
            ]
        return [*steps, Step(f"block {block}", 0, lambda: self._ended(block))]

    def _step(
        self,
        block: int,
        system: System,
        transport: str,
        kind: str,
        seconds: float,
        measure: Callable[[System, str], tuple[Values, dict[str, Any], str]],
        detail: str = "",
    ) -> Step:
        def run() -> str:
            calibration = self._calibrate(block)
            load = Load()
            values, about, said = measure(system, transport)
            common = {"transport": transport, "block": block, "calibration": calibration, "others": load.others()}
            self._results.add(kind, values, system=system.name, **common, **about)
            return said

        return Step(f"block {block}, {kind}{detail}, {transport}, {system.label}", seconds, run)

    def _calibrate(self, block: int) -> Values:
        """Measure the machine, once it is no longer slow for the moment: what a run meets counts, not the wait."""
        times = self._verify_us.setdefault(block, [])
        found = self._machine()
        while found["verify_us"] > min(times, default=inf) * (1 + SLOW) and self._waited.get(block, 0) < PATIENCE:
            sleep(1)
            self._waited[block] = self._waited.get(block, 0) + 1
            found = self._machine()
        times.append(found["verify_us"])
        return found

    def _machine(self) -> Values:
        with Child([str(self._setup.raw_peer), "calibrate"]) as child:
            found = child.line("calibrated")
        del found["event"]
        return found

    def _ended(self, block: int) -> str:
        times, waited = self._verify_us[block], self._waited.get(block, 0)
        moved = max(times) / min(times) - 1
        counts = moved <= MOVED
        self._results.write({"bench": "block", "block": block, "moved": moved, "waited": waited, "counts": counts})
        verdict = "it counts" if counts else "it does not count"
        said = f"a signature is checked in {median(times):.1f} us, which moved by {moved:.0%}"
        return f"{said}, after {waited} s of waiting: {verdict}"

    def _throughput(self, size: int = SIZE) -> Callable[[System, str], tuple[Values, dict[str, Any], str]]:
        def measure(system: System, transport: str) -> tuple[Values, dict[str, Any], str]:
            values, about = throughput(self._setup, system, transport, self._lengths.seconds, size)
            said = f"{values['events_per_second']:,.0f} events/s, {values['cpu_us']:.1f} us each"
            return values, {"size": size, **about}, said

        return measure

    def _latency(self, share: int = 0) -> Callable[[System, str], tuple[Values, dict[str, Any], str]]:
        def measure(system: System, transport: str) -> tuple[Values, dict[str, Any], str]:
            rate = self._highest(system, transport) * share // 100 if share else system.latency_rate
            plan = Plan(transport, rate * self._lengths.latency_seconds, warmup=rate, rate=rate)
            # Where it is a share of the highest rate, it is none of the common figures.
            paced = {"share": share} if share else {"size": SIZE, "rate": rate}
            try:
                with awake() as kept:
                    _, received, about = pair(self._setup, system, plan)
            except RuntimeError as error:
                if not share or isinstance(system, Ours):
                    raise
                # Others may: go-libp2p's queues hold 32 events.
                return {}, paced, f"it loses events at that rate: {error}"
            values = {name: received[name] for name in ("p50_us", "p99_us", "p999_us", "max_us")}
            said = f"median {values['p50_us']:,.0f} us, p99 {values['p99_us']:,.0f} us"
            return values, {**paced, "samples": plan.count, "awake": kept, **about}, said

        return measure

    def _highest(self, system: System, transport: str) -> int:
        wanted = {"bench": "throughput", "system": system.name, "transport": transport, "size": SIZE}
        rates = [line["values"]["events_per_second"] for line in self._results.lines if wanted.items() <= line.items()]
        return int(median(rates)) if rates else system.rate

    def _start(self, system: System, transport: str) -> tuple[Values, dict[str, Any], str]:
        """From the start of a process to its first event delivered to a peer that runs already."""
        plan = Plan(transport, 1)
        with system.receiver(self._setup, plan) as receiver:
            address = receiver.line("listening")["address"]
            began = monotonic_ns()
            with system.sender(self._setup, plan, address) as sender:
                receiver.line("received")
                values = {"ms": (monotonic_ns() - began) / 1e6}
                if isinstance(system, Ours):
                    values["cpu_ms"] = sender.line("sent")["cpu_ms"]
        values["connect_ms"] = self._dial(system, transport)
        return values, {}, f"{values['ms']:.0f} ms, dial to connected {values['connect_ms']:.1f} ms"

    def _dial(self, system: System, transport: str) -> float:
        """The first dial of a process."""
        plan = Plan(transport, 1)
        with system.receiver(self._setup, plan) as receiver:
            address = receiver.line("listening")["address"]
            with (
                system.dialler(self._setup, plan, address)
                if isinstance(system, Ours)
                else system.sender(self._setup, plan, address)
            ) as dialler:
                ms: float = dialler.line("connected")["ms"]
            receiver.end()
        return ms

    def _idle(self, system: System, transport: str) -> tuple[Values, dict[str, Any], str]:
        """What a node with one peer costs while nothing happens, seen from outside."""
        seconds = self._lengths.idle_seconds
        plan = Plan(transport, 1, linger=seconds + 4)
        with system.receiver(self._setup, plan) as receiver:
            address = receiver.line("listening")["address"]
            with system.sender(self._setup, plan, address) as sender:
                receiver.line("received")
                sleep(2)
                used = seconds_of(receiver.pid)
                sleep(seconds)
                used = seconds_of(receiver.pid) - used
                values = {"cpu_per_cent": used / seconds * 100, "rss_mib": memory_of(receiver.pid)}
                for child in (sender, receiver):
                    child.end()
        return values, {"seconds": seconds}, f"{values['cpu_per_cent']:.2f} % of a core, {values['rss_mib']:.1f} MiB"


def pair(setup: Setup, system: System, plan: Plan) -> tuple[Values, Values, dict[str, Any]]:
    """Run both sides; return what the publisher says, what the subscriber says, and the versions of the system."""
    with system.receiver(setup, plan) as receiver:
        listening = receiver.line("listening")
        with system.sender(setup, plan, listening["address"]) as sender:
            # In this order: a sender notices within seconds that nothing arrives any more, a receiver waits.
            sent, received = sender.line("sent"), receiver.line("received")
    for lost in ("dropped", "missing"):
        if received.get(lost):
            raise RuntimeError(f"{received[lost]} events were {lost}, inside the window")
    return sent, received, {"versions": listening.get("versions", {})}


def throughput(
    setup: Setup, system: System, transport: str, seconds: float, size: int = SIZE
) -> tuple[Values, dict[str, Any]]:
    """Publish as fast as the window allows; return what it comes to, and the versions of the system."""
    # Larger events are fewer: as many bytes as 20 kB events would be at the rate of small ones.
    count = max(200, int(system.rate * seconds / max(1, size / 4096)))
    plan = Plan(transport, count, warmup=max(50, count // 20), size=size)
    sent, received, about = pair(setup, system, plan)
    broker = received.get("broker_us_per_event", 0.0)
    values = {
        "events_per_second": received["events_per_second"],
        "megabytes_per_second": received["events_per_second"] * size / 1e6,
        "cpu_us": sent["cpu_us_per_event"] + received["cpu_us_per_event"] + broker,
        "publisher_cpu_us": sent["cpu_us_per_event"],
        "subscriber_cpu_us": received["cpu_us_per_event"],
        "broker_cpu_us": broker,
        "waits": sent["waits_per_event"] + received["waits_per_event"],
        "subscriber_peak_mib": received["max_rss_kib"] / 1024,
        "seconds": received["seconds"],
        "lost": sent.get("lost", 0),
    }
    return values, about
