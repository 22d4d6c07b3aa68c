"""The tables that are made of the lines of a run, for a terminal and for the document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from benches.asked import ASKED, FLEET, FLOOD, RAW, RAW_BESIDE_PY
from benches.network import SHARES, SIZES
from benches.support.figures import COLUMNS, Blocks, Row, cells
from benches.support.statistics import short, spread
from benches.support.systems import SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benches.support.results import Line

Table: TypeAlias = tuple[Sequence[str], list[list[str]]]

_SMALL = {"size": 200}
_COMPARED = (
    Row("events/s", "", "throughput", "events_per_second", where=_SMALL),
    Row("CPU us/event", "", "throughput", "cpu_us", where=_SMALL),
    Row("p50 us", "", "latency", "p50_us", where=_SMALL),
    Row("p99 us", "", "latency", "p99_us", where=_SMALL),
    Row("start ms", "", "start", "ms"),
    Row("idle % of a core", "", "idle", "cpu_per_cent"),
    Row("idle MiB", "", "idle", "rss_mib"),
)
_SIZES = tuple(
    Row(f"{size:,} B, {unit}", "", "throughput", value, where={"size": size})
    for size in SIZES
    for unit, value in (("events/s", "events_per_second"), ("MB/s", "megabytes_per_second"))
)
_LOADS = tuple(
    Row(f"{name} at {share} %", "", "latency", value, where={"share": share})
    for share in SHARES
    for name, value in (("p50 us", "p50_us"), ("p99 us", "p99_us"))
)


def _asked(lines: Sequence[Line]) -> Table:
    return COLUMNS, cells(Blocks(lines), ASKED)


def _reachable(lines: Sequence[Line]) -> str:
    """Return what raw rust-libp2p reaches of py-libp2p's rate, which is what there is to reach."""
    rows = cells(Blocks(lines), [RAW_BESIDE_PY])
    reached = ", ".join(f"{compared} over {transport}" for _, transport, _, _, compared, *_ in rows)
    return f"Of the rate of py-libp2p {RAW} itself, without any Python, reaches {reached}." if rows else ""


def _beside(rows: Sequence[Row]) -> Callable[[Sequence[Line]], Table]:
    """Return what makes a table of all systems, with these columns."""

    def table(lines: Sequence[Line]) -> Table:
        blocks, found = Blocks(lines), []
        for system in SYSTEMS:
            for transport in system.transports:
                values = [spread(list(blocks.values(row, system.name, transport).values())) for row in rows]
                if any(values):
                    found.append([system.label, transport.upper(), *values])
        return ("system", "over", *(row.name for row in rows)), found

    return table


def _fleet(lines: Sequence[Line]) -> Table:
    return ("figure", "depinmesh"), [[row[0], row[2]] for row in cells(Blocks(lines), FLEET)]


def _flood(lines: Sequence[Line]) -> Table:
    floods = [line for line in lines if line["bench"] == "flood"]
    columns = [f"{line['seconds']} s{', batching' if line['batching'] else ''}" for line in floods]
    rows = [[name, *(short(line["values"][value]) for line in floods)] for name, value in FLOOD] if floods else []
    return ("", *columns), rows


TABLES: Mapping[str, Callable[[Sequence[Line]], Table]] = {
    "asked": _asked,
    "systems": _beside(_COMPARED),
    "sizes": _beside(_SIZES),
    "loads": _beside(_LOADS),
    "fleet": _fleet,
    "flood": _flood,
}
"""By the names of their parts of the document."""

NOTES: Mapping[str, Callable[[Sequence[Line]], str]] = {"asked": _reachable}
"""What stands beneath them, where anything does."""


def show(lines: Sequence[Line]) -> None:
    """Print all tables that have a row."""
    for name, table in TABLES.items():
        columns, rows = table(lines)
        if rows:
            print(f"\n{name}: median [95 % interval]\n")
            _print(columns, rows)
            if name in NOTES and (note := NOTES[name](lines)):
                print(f"\n{note}")


def _print(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(cell) for cell in column) for column in zip(columns, *rows, strict=True)]
    for row in (columns, ["-" * width for width in widths], *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
