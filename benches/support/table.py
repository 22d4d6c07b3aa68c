"""Figures, and the table that they are printed in."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Judged = Literal["ours", "ratio", "difference"]


@dataclass
class Figure:
    """One row: what was measured in each block, of us and of the raw pair, and what design asks for."""

    name: str
    unit: str = ""
    judged: Judged = "ours"
    """What `must` and `goal` are about: our value, ours divided by raw, or ours less raw."""
    must: float | None = None
    goal: float | None = None
    more_is_better: bool = False
    ours: list[float] = field(default_factory=list)
    raw: list[float] = field(default_factory=list)

    def add(self, ours: float, raw: float | None = None) -> None:
        """Note the values of one block."""
        self.ours.append(ours)
        if raw is not None:
            self.raw.append(raw)

    @property
    def judgement(self) -> list[float]:
        """What is compared with must and goal, block by block."""
        if self.judged == "ours":
            return self.ours
        pairs = list(zip(self.ours, self.raw, strict=False))
        return [ours / raw if self.judged == "ratio" else ours - raw for ours, raw in pairs]

    @property
    def verdict(self) -> str:
        """How the median stands to what is asked for."""
        if not self.judgement or self.must is None:
            return ""
        median = statistics.median(self.judgement)
        reached = [wanted is not None and self._holds(median, wanted) for wanted in (self.must, self.goal)]
        return "goal" if reached[1] else "must" if reached[0] else "MISSED"

    def _holds(self, value: float, wanted: float) -> bool:
        return value >= wanted if self.more_is_better else value <= wanted

    def cells(self) -> list[str]:
        """Return the row as text."""
        return [
            f"{self.name} [{self.unit}]" if self.unit else self.name,
            spread(self.ours),
            spread(self.raw),
            self._ratio(),
            self._wanted(self.must),
            self._wanted(self.goal),
            self.verdict,
        ]

    def as_json(self) -> dict[str, object]:
        """Return the row for a file."""
        return {
            "figure": self.name,
            "unit": self.unit,
            "ours": self.ours,
            "raw": self.raw,
            "judged": self.judged,
            "must": self.must,
            "goal": self.goal,
            "verdict": self.verdict,
        }

    def _ratio(self) -> str:
        if not self.raw:
            return ""
        if self.judged == "difference":
            return spread(self.judgement, sign="+")
        return spread([ours / raw for ours, raw in zip(self.ours, self.raw, strict=False)], suffix="x")

    def _wanted(self, value: float | None) -> str:
        if value is None:
            return ""
        number = short(value)
        return {"ours": number, "ratio": f"{value:.2f}x", "difference": f"+{number}"}[self.judged]


def spread(values: Sequence[float], *, suffix: str = "", sign: str = "") -> str:
    """Median, and the range when there is one."""
    if not values:
        return ""
    texts = [
        (f"{value:.2f}{suffix}" if suffix else f"{'+' if sign and value >= 0 else ''}{short(value)}")
        for value in (statistics.median(values), min(values), max(values))
    ]
    return texts[0] if len(values) == 1 else f"{texts[0]} [{texts[1]}..{texts[2]}]"


def short(value: float) -> str:
    """Three digits that matter."""
    magnitude = abs(value)
    return f"{value:,.0f}" if magnitude >= 100 else f"{value:.1f}" if magnitude >= 10 else f"{value:.2f}"


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows under each other."""
    widths = [max(len(cell) for cell in column) for column in zip(columns, *rows, strict=True)]
    print(f"\n{title}\n")
    for row in (columns, ["-" * width for width in widths], *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    print(flush=True)


def percentile(values: Sequence[float], per_cent: float) -> float:
    """Return the value below which so many are."""
    ordered = sorted(values)
    return ordered[int((len(ordered) - 1) * per_cent / 100)]
