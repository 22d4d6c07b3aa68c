"""The gate on instructions: `make instructions`. A clock says little on a busy machine, a count of instructions all.

Each operation runs twice under valgrind's callgrind, so many times and three times as many; the difference is what it
costs. More than 5 % above `benches/instructions.json` fails. Counts hold for one version of rustc: another one has no
baseline until `make instructions INSTRUCTIONS_ARGS=--write`.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

BASELINE = Path(__file__).with_suffix(".json")
TIMES = 2_560
ALLOWED = 1.05


def instructions(program: Path, operation: str, times: int) -> int:
    """Count what a run executes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "callgrind"
        valgrind = ("valgrind", "--quiet", "--tool=callgrind", f"--callgrind-out-file={file}")
        subprocess.run((*valgrind, program, operation, str(times)), check=True)
        found = re.search(r"^(?:summary|totals): (\d+)", file.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"callgrind counted nothing of {operation}")
    return int(found[1])


def main() -> int:
    """Count, and compare."""
    parser = argparse.ArgumentParser(description="The gate on instructions.")
    parser.add_argument("program", type=Path)
    parser.add_argument("--write", action="store_true", help="make this the baseline of this rustc")
    given = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("SKIPPED: the gate on instructions, as valgrind is not installed")
        return 0
    rustc = subprocess.run(("rustc", "--version"), capture_output=True, text=True, check=True).stdout.split()[1]
    baselines: dict[str, dict[str, int]] = json.loads(BASELINE.read_text(encoding="utf-8"))
    names = subprocess.run((given.program,), capture_output=True, text=True, check=True).stdout.split()
    counted = {
        name: round(
            (instructions(given.program, name, 3 * TIMES) - instructions(given.program, name, TIMES)) / (2 * TIMES)
        )
        for name in names
    }
    if given.write:
        baselines[rustc] = counted
        BASELINE.write_text(json.dumps(baselines, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    known = baselines.get(rustc, {})
    if not known:
        print(f"SKIPPED: there is no baseline for rustc {rustc}: `make instructions INSTRUCTIONS_ARGS=--write`")
    failed = False
    for name, count in counted.items():
        before = known.get(name)
        more = count > before * ALLOWED if before else False
        failed |= more
        change = f"{count / before - 1:+.1%} of {before}" if before else "no baseline"
        print(f"{name:16} {count:7,} instructions, {change}{': TOO MANY' if more else ''}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
