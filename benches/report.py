"""Writes what a run has measured into `docs/performance.md`, with plots: `python -m benches.report RESULTS`.

The results are kept beside the document, in `docs/performance.jsonl`. Parts stand between `<!-- measured: NAME -->` and
`<!-- end -->`. With `--check` nothing is written: the exit code is 1 when the document and its results differ.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from benches.asked import PLOTS
from benches.support.figures import Blocks
from benches.support.results import read
from benches.support.statistics import spread
from benches.support.systems import ROOT
from benches.table import NOTES, TABLES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benches.support.results import Line

DOCUMENT = ROOT / "docs" / "performance.md"
KEPT = DOCUMENT.with_suffix(".jsonl")
NOTHING = "Not measured yet."
_PART = re.compile(r"(<!-- measured: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def conditions(lines: Sequence[Line]) -> str:
    """Return what the figures stand on."""
    if not lines:
        return NOTHING
    head = next(line for line in lines if line["bench"] == "run")
    blocks = Blocks(lines)
    others = [line["others"] for line in lines if "others" in line]
    calibrated = [line["calibration"] for line in lines if "calibration" in line]
    told = {name: version for line in lines for name, version in line.get("versions", {}).items()}
    linked = {name: version for name, version in {**head["versions"], **told}.items() if name != "depinmesh-core"}
    text = [
        f"Measured on {head['date']}, commit {head['commit']}: {head['machine']}, {head['rustc']}.",
        f"What is in Rust was built {head['built']}, see above.",
        f"Others used {_middle(others):.0%} of the machine in the median, {max(others, default=0):.0%} at most.",
        *_calibration(calibrated),
        *_awake(lines),
        (
            f"{len(blocks.moved)} blocks; a signature moved by {max(blocks.moved.values(), default=0):.0%} at most"
            f" within one{_left_out(blocks)}."
        ),
        *_waited(lines),
        "Versions: " + ", ".join(f"{name} {version}" for name, version in sorted(linked.items())) + ".",
    ]
    if head["quick"]:
        text.append("**A rehearsal: one short block.**")
    return "\n".join(f"* {sentence}" for sentence in text)


def _awake(lines: Sequence[Line]) -> list[str]:
    kept = [line["awake"] for line in lines if "awake" in line]
    if not kept:
        return []
    return [f"For latency the cores were {'' if all(kept) else 'not '}kept from falling asleep."]


def _waited(lines: Sequence[Line]) -> list[str]:
    waited = [line["waited"] for line in lines if "waited" in line]
    if not waited:
        return []
    return [f"Runs waited for a quicker moment of the machine, {sum(waited)} s in all."]


def _calibration(calibrated: Sequence[Mapping[str, float]]) -> list[str]:
    if not calibrated:
        return []
    verify, wake, stream = (
        spread([one[name] for one in calibrated]) for name in ("verify_us", "wake_us", "stream_mb_per_second")
    )
    return [
        f"Calibration: a signature is checked in {verify} us, a thread woken in {wake} us, TCP moves {stream} MB/s."
    ]


def _left_out(blocks: Blocks) -> str:
    if blocks.shaky:
        return ", too much for any to count: **all are shown nevertheless**"
    return f", and {len(blocks.left_out)} do not count for that" if blocks.left_out else ""


def _middle(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2] if values else 0.0


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def part_of(name: str, lines: Sequence[Line]) -> str:
    """Return what stands in a part of the document."""
    if name == "conditions":
        return conditions(lines)
    if name == "plots":
        benches = {line["bench"] for line in lines}
        links = [f"![{row.name}]({file})" for file, row in PLOTS.items() if row.bench in benches]
        return "\n\n".join(links) or NOTHING
    columns, rows = TABLES[name](lines)
    if not rows:
        return NOTHING
    note = NOTES[name](lines) if name in NOTES else ""
    return "\n\n".join(filter(None, (markdown(columns, rows), note)))


def measured(text: str, lines: Sequence[Line]) -> str:
    """Return the document with its parts as the results have them."""
    return _PART.sub(lambda match: f"{match[1]}\n{part_of(match[2], lines)}\n\n{match[3]}", text)


def main() -> int:
    """Write the document and its plots, or check the document."""
    parser = argparse.ArgumentParser(description="Write what a run has measured into docs/performance.md.")
    parser.add_argument("results", type=Path, nargs="?", default=KEPT)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when something is out of date")
    given = parser.parse_args()
    lines = read(given.results) if given.results.exists() else []
    text = DOCUMENT.read_text(encoding="utf-8")
    now = measured(text, lines)
    if given.check:
        print(f"{DOCUMENT.name} is {'up to date' if now == text else 'out of date'}")
        return 0 if now == text else 1
    from benches.plots import plot  # its library is in the dependency group `bench` alone

    if given.results != KEPT:
        shutil.copy(given.results, KEPT)
    DOCUMENT.write_text(now, encoding="utf-8")
    for file in plot(lines, DOCUMENT.parent):
        print(f"{file.relative_to(ROOT)} is written")
    print(f"{DOCUMENT.relative_to(ROOT)} is written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
