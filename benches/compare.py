"""Variants of depinmesh beside each other: `python -m benches.compare VARIANT VARIANT ...`.

A variant is a name, and what its processes find changed: variables of the environment, or the event loop. Another
build is a folder with the package, as `make bench-build` leaves one in `bench` below Cargo's target folder. Other
systems of the benches can take part: the runs of a round lie within a minute, those of a block ten minutes apart.

    export PYTHONPATH=target/bench
    python -m benches.compare base "fat PYTHONPATH=/tmp/fat" "uvloop loop=uvloop"
    python -m benches.compare "raw system=raw" base

In each round every variant runs once, in shuffled order. What an event costs both sides in processor time holds on a
busy machine too, where rates do not; ratios are taken inside a round, to the first variant.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from benches.network import throughput
from benches.support.machine import Load
from benches.support.processes import heed_termination
from benches.support.statistics import spread
from benches.support.systems import SYSTEMS, Ours, Setup, System

FIGURES = (("cpu_us", "us/event"), ("events_per_second", "events/s"), ("subscriber_peak_mib", "peak MiB"))


@dataclass(frozen=True)
class Variant:
    """One way to run it."""

    name: str
    system: System
    loop: str

    @classmethod
    def parse(cls, text: str) -> Variant:
        """Read a name, and pairs of a variable and its value."""
        name, *words = text.split()
        pairs = dict(word.split("=", 1) for word in words)
        loop, wanted = pairs.pop("loop", "asyncio"), pairs.pop("system", "ours")
        system = next((one for one in SYSTEMS if one.name == wanted), None)
        if system is None:
            known = ", ".join(one.name for one in SYSTEMS)
            raise argparse.ArgumentTypeError(f"{text!r}: there is no system {wanted!r}, but {known}")
        if isinstance(system, Ours):
            system = replace(system, environment=pairs)
        elif pairs or loop != "asyncio":
            raise argparse.ArgumentTypeError(
                f"{text!r}: only depinmesh has an event loop and an environment of its own"
            )
        return cls(name, system, loop)

    def run(self, setup: Setup, transport: str, seconds: float) -> dict[str, float]:
        """Measure it once."""
        return throughput(replace(setup, loop=self.loop), self.system, transport, seconds)[0]


def main() -> int:
    """Run all of them, and print how each compares with the first."""
    parser = argparse.ArgumentParser(description="Variants of depinmesh beside each other.")
    parser.add_argument("variants", nargs="+", type=Variant.parse)
    parser.add_argument("--target", type=Path, default=Path("target"), help="Cargo's folder")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of a run, on a quiet machine")
    parser.add_argument("--transports", nargs="+", choices=("quic", "tcp"), default=("quic", "tcp"))
    parser.add_argument("--unpinned", action="store_true", help="let the kernel choose the cores")
    given = parser.parse_args()
    heed_termination()
    rng, load = random.Random(0), Load()
    found: dict[tuple[str, str], dict[int, dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        setup = Setup(given.target, Path(folder), pinned=not given.unpinned)
        for variant in given.variants:
            if missing := variant.system.missing(setup):
                parser.error(f"{variant.system.label} is not there: {missing}")
        for round_ in range(given.rounds):
            runs = [
                (transport, variant)
                for transport in given.transports
                for variant in given.variants
                if transport in variant.system.transports
            ]
            rng.shuffle(runs)
            for transport, variant in runs:
                try:
                    values = variant.run(setup, transport, given.seconds)
                except RuntimeError as error:  # such as two that lost each other, where others leave no time to answer
                    print(f"round {round_}, {transport}, {variant.name}: FAILED: {error}", file=sys.stderr)
                    continue
                found.setdefault((transport, variant.name), {})[round_] = values
                print(f"round {round_}, {transport}, {variant.name}: {values['cpu_us']:.1f} us", file=sys.stderr)
    print(f"others used {load.others():.0%} of the machine")
    for (transport, name), rounds in sorted(found.items()):
        first = found.get((transport, given.variants[0].name), {})
        both = sorted(rounds.keys() & first.keys())
        for value, unit in FIGURES:
            figure = spread([one[value] for one in rounds.values()])
            ratio = spread([rounds[round_][value] / first[round_][value] for round_ in both], suffix="x")
            print(f"{transport:4}  {name:16} {unit:9} {figure:32} {ratio}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
