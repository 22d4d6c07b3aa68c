"""Figures out of the lines of a run: of one system, or of two in the same blocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Literal

from benches.support.statistics import short, spread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from benches.support.results import Line

Judged = Literal["value", "ratio", "difference"]


@dataclass(frozen=True)
class Row:
    """One figure: where it is found, what it is compared with, and what it should be."""

    name: str
    unit: str
    bench: str
    value: str
    must: float | None = None
    goal: float | None = None
    to: str | None = None
    """The system that it is compared with."""
    judged: Judged = "value"
    """What `must` and `goal` are about."""
    more_is_better: bool = False
    system: str = "ours"
    transports: Sequence[str] = ("quic", "tcp")
    where: Mapping[str, object] = field(default_factory=dict)
    """Other fields of its lines."""


class Blocks:
    """The lines of the blocks that count. Where none does, all of them do, and `shaky` says so."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.moved = {line["block"]: line["moved"] for line in lines if line["bench"] == "block"}
        bad = {line["block"] for line in lines if line["bench"] == "block" and not line["counts"]}
        self.shaky = bool(bad) and bad == self.moved.keys()
        self.left_out = set() if self.shaky else bad
        # What a node at rest holds and uses does not hang on how fast the machine is just then.
        self._lines = [line for line in lines if line.get("block") not in self.left_out or line["bench"] == "idle"]

    def values(self, row: Row, system: str, transport: str | None) -> dict[int, float]:
        """Return the median of each block."""
        wanted = {"bench": row.bench, "system": system, **row.where}
        if transport:
            wanted["transport"] = transport
        found: dict[int, list[float]] = {}
        for line in self._lines:
            if wanted.items() <= line.items() and row.value in line["values"]:
                found.setdefault(line.get("block", len(found)), []).append(line["values"][row.value])
        return {block: median(values) for block, values in found.items()}


COLUMNS = ("figure", "over", "depinmesh", "the other", "compared", "must", "goal", "reached")


def cells(blocks: Blocks, rows: Iterable[Row]) -> list[list[str]]:
    """Return the rows as text, one for each transport; what was not measured is left out."""
    found = []
    for row in rows:
        for transport in row.transports or (None,):
            ours = blocks.values(row, row.system, transport)
            other = blocks.values(row, row.to, transport) if row.to else {}
            if ours and (other or row.judged == "value"):
                found.append(_cells(row, transport, ours, other))
    return found


def _cells(row: Row, transport: str | None, ours: dict[int, float], other: dict[int, float]) -> list[str]:
    both = sorted(block for block in ours.keys() & other.keys() if other[block])
    compared = [
        ours[block] - other[block] if row.judged == "difference" else ours[block] / other[block] for block in both
    ]
    judged = list(ours.values()) if row.judged == "value" else compared
    return [
        f"{row.name}, {row.unit}" if row.unit else row.name,
        (transport or "").upper(),
        spread(list(ours.values())),
        spread(list(other.values())),
        spread(compared, plus=True) if row.judged == "difference" else spread(compared, suffix="x"),
        _wanted(row, row.must),
        _wanted(row, row.goal),
        _verdict(row, judged),
    ]


def _wanted(row: Row, value: float | None) -> str:
    if value is None:
        return ""
    number = short(value)
    return {"value": number, "ratio": f"{value:.2f}x", "difference": f"+{number}"}[row.judged]


def _verdict(row: Row, judged: list[float]) -> str:
    if not judged or row.must is None:
        return ""
    value = median(judged)

    def holds(wanted: float | None) -> bool:
        return wanted is not None and (value >= wanted if row.more_is_better else value <= wanted)

    return "goal" if holds(row.goal) else "must" if holds(row.must) else "**no**"
