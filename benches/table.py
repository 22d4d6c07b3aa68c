"""The tables: each figure beside what it must and what it should reach, and all systems beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from benches.support.figures import COLUMNS, Blocks, Row, cells
from benches.support.statistics import spread
from benches.support.systems import SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from benches.support.results import Line

Table: TypeAlias = tuple[Sequence[str], list[list[str]]]

_SMALL = {"size": 200}
_RATE = ("throughput", "events_per_second")
_US = ("latency", "p50_us")

FIGURES = (
    Row("events/s, beside raw rust-libp2p", "", *_RATE, 0.90, 0.97, "raw", "ratio", True, where=_SMALL),
    Row("events/s, beside go-libp2p as the Go library has it", "", *_RATE, 2, 2.5, "go", "ratio", True, where=_SMALL),
    Row("events/s with batching, beside raw", "", *_RATE, 5, 10, "raw", "ratio", True, "batched", where=_SMALL),
    Row("events/s, beside py-libp2p", "", *_RATE, 30, 40, "py", "ratio", True, where=_SMALL),
    Row("events/s, beside zenoh-python + Ed25519", "", *_RATE, 1, 1.25, "zenoh", "ratio", True, where=_SMALL),
    Row("events/s, beside nats-py + Ed25519", "", *_RATE, 1, 1.25, "nats", "ratio", True, where=_SMALL),
    Row(
        "CPU of an event, both sides, beside raw",
        "us",
        "throughput",
        "cpu_us",
        15,
        4,
        "raw",
        "difference",
        where=_SMALL,
    ),
    Row("median latency at 500/s, beside raw", "us", *_US, 1.3, 1.1, "raw", "ratio", where={"rate": 500}),
    Row("the same with batching", "us", *_US, 1.3, 1.1, "raw", "ratio", system="batched", where={"rate": 500}),
    Row("p99 latency at 500/s, beside raw", "us", "latency", "p99_us", to="raw", judged="ratio", where={"rate": 500}),
    Row(
        "bridge alone, events/s into `async for`, decoded, asyncio",
        "",
        "bridge",
        "events_per_second",
        500_000,
        1_000_000,
        more_is_better=True,
        transports=(),
        where={"loop": "asyncio", "pace": "flooded"},
    ),
    Row(
        "the same, uvloop",
        "",
        "bridge",
        "events_per_second",
        500_000,
        1_000_000,
        more_is_better=True,
        transports=(),
        where={"loop": "uvloop", "pace": "flooded"},
    ),
    Row(
        "feeding thread in a push of an event, 20,000/s",
        "us",
        "bridge",
        "in_push_us",
        transports=(),
        where={"loop": "asyncio", "pace": "20,000/s"},
    ),
    Row("start of a process to its first event delivered", "ms", "start", "ms", 450, 330, "go"),
    Row("the same, CPU of the process", "ms", "start", "cpu_ms"),
    Row(
        "first dial of a process to connected, beside raw",
        "ms",
        "start",
        "connect_ms",
        60,
        10,
        "raw",
        transports=("quic",),
    ),
    Row("first dial of a process to connected, beside raw", "ms", "start", "connect_ms", to="raw", transports=("tcp",)),
    Row("memory of an idle node, beside py-libp2p", "MiB", "idle", "rss_mib", 0.65, 0.5, "py", "ratio"),
    Row("memory of an idle node, beside go-libp2p", "MiB", "idle", "rss_mib", 1.7, 1.4, "go", "ratio"),
    Row("idle CPU with one peer", "% of a core", "idle", "cpu_per_cent", 0.5, 0.25, "go"),
)
"""What is asked for, in the order of the document."""

_COMPARED = (
    ("events/s", _RATE, "size", 200),
    ("CPU us/event", ("throughput", "cpu_us"), "size", 200),
    ("p50 us", _US, "size", 200),
    ("p99 us", ("latency", "p99_us"), "size", 200),
    ("start ms", ("start", "ms"), None, None),
    ("idle % of a core", ("idle", "cpu_per_cent"), None, None),
    ("idle MiB", ("idle", "rss_mib"), None, None),
)


def figures(lines: Sequence[Line]) -> Table:
    """Return the table of what is asked for."""
    return COLUMNS, cells(Blocks(lines), FIGURES)


def systems(lines: Sequence[Line]) -> Table:
    """Return the table of all systems."""
    blocks, rows = Blocks(lines), []
    for system in SYSTEMS:
        for transport in system.transports:
            found = []
            for name, (bench, value), key, wanted in _COMPARED:
                row = Row(name, "", bench, value, where={key: wanted} if key else {})
                found.append(spread(list(blocks.values(row, system.name, transport).values())))
            if any(found):
                rows.append([system.label, transport.upper(), *found])
    return ("system", "over", *(name for name, *_ in _COMPARED)), rows


TABLES: Mapping[str, Callable[[Sequence[Line]], Table]] = {"figures": figures, "systems": systems}
"""By the names of their parts of the document."""


def show(lines: Sequence[Line]) -> None:
    """Print all tables that have a row."""
    for name, table in TABLES.items():
        columns, rows = table(lines)
        if rows:
            print(f"\n{name}: median [95 % interval]\n")
            _print(columns, rows)


def _print(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(cell) for cell in column) for column in zip(columns, *rows, strict=True)]
    for row in (columns, ["-" * width for width in widths], *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
