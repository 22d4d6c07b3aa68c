"""All benches: `python -m benches`, or a part of them. `make bench` builds what they need, and runs them.

    make bench                              the main table: 15 minutes
    make bench BENCH_ARGS=--quick           one short block
    make bench-full                         nine blocks, all systems, all sizes: two hours

Results go to a file of JSON lines; `python -m benches.report` makes tables and plots of it.
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from benches.bridge import Bridge
from benches.flood import Flood
from benches.network import Lengths, Network
from benches.nodes import Nodes
from benches.support.machine import describe
from benches.support.processes import heed_termination
from benches.support.progress import Step, run_all
from benches.support.results import Results
from benches.support.systems import MAIN, ROOT, SYSTEMS, Setup, System, versions
from benches.table import show

PARTS = ("bridge", "network", "nodes", "flood")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    names = [system.name for system in SYSTEMS]
    parser = argparse.ArgumentParser(description="All benches, or a part of them.")
    parser.add_argument("--target", type=Path, default=Path("target"), help="Cargo's folder")
    parser.add_argument("--results", type=Path, help="add a JSON line for each run to this file")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, default=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}"
    )
    parser.add_argument("--systems", nargs="+", choices=[*names, "all"], default=MAIN, metavar="SYSTEM")
    parser.add_argument("--blocks", type=int, help="3 by default, 9 with --full")
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--unpinned", action="store_true", help="let the kernel choose the cores")
    parser.add_argument("--seed", type=int, default=0, help="of the order")
    parser.add_argument("--quick", action="store_true", help="one short block")
    parser.add_argument("--full", action="store_true", help="all systems, nine blocks, other sizes and rates")
    given = parser.parse_args()
    if given.full:
        given.systems = ["all"]
    if given.quick:
        given.blocks = 1
    given.blocks = given.blocks or (9 if given.full else 3)
    return given


def there(setup: Setup, wanted: list[str]) -> list[System]:
    """Return the wanted systems that can run; name the others."""
    found = []
    for system in SYSTEMS:
        if system.name not in wanted and "all" not in wanted:
            continue
        if missing := system.missing(setup):
            print(f"SKIPPED: {system.label} is not there: {missing}", file=sys.stderr)
        else:
            found.append(system)
    return found


def head(given: argparse.Namespace, setup: Setup) -> dict[str, object]:
    """Return what the figures stand on."""

    def output(*command: str) -> str:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    return {
        "bench": "run",
        "date": datetime.now(UTC).date().isoformat(),
        "machine": describe(),
        "kernel": platform.release(),
        "commit": output("git", "rev-parse", "--short", "HEAD"),
        "rustc": output("rustc", "--version"),
        "built": (setup.built / "built").read_text(encoding="utf-8").strip(),
        "versions": versions(),
        "quick": given.quick,
        "blocks": given.blocks,
        "seed": given.seed,
        "loop": given.loop,
        "pinned": not given.unpinned,
    }


def main() -> int:
    """Run the parts, and print the tables."""
    given = arguments()
    heed_termination()
    results = Results(given.results)
    with tempfile.TemporaryDirectory() as folder:
        setup = Setup(given.target.absolute(), Path(folder), pinned=not given.unpinned, loop=given.loop)
        if not setup.raw_peer.is_file():
            sys.exit(f"{setup.raw_peer} is missing: `make bench-build` builds it")
        results.write(head(given, setup))
        steps: list[Step] = []
        if "bridge" in given.only:
            steps += Bridge(results, 200_000 if given.quick else 1_000_000).steps(given.blocks)
        if "network" in given.only:
            lengths = Lengths(1.0, 2, 2.0) if given.quick else Lengths()
            network = Network(setup, results, there(setup, given.systems), lengths)
            steps += network.blocks(given.blocks, seed=given.seed, full=given.full)
        if "nodes" in given.only:
            steps += Nodes(setup, results, quick=given.quick, full=given.full).steps()
        if "flood" in given.only:
            steps += Flood(setup, results, 5 if given.quick else 60, full=given.full).steps()
        failed = run_all(steps)
    show(results.lines)
    for name in failed:
        print(f"FAILED: {name}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
