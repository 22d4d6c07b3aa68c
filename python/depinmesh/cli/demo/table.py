"""What the demonstration prints."""

from __future__ import annotations

from typing import TYPE_CHECKING

from depinmesh.cli.demo.result import LINKS, NODES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from depinmesh.cli.demo.result import Result, Scene

_NAMES = {"quic": "QUIC", "tcp": "TCP"}


def table(result: Result, topic: str) -> str:
    """Return the whole output, the last line of which says how to go on."""
    first = result.first_delivery
    lines = [
        f"Three nodes in three processes on 127.0.0.1, {result.profile} build",
        "",
        *_nodes(result),
        "",
        *_links(result),
        "",
        f"1. Each node sends {result.each} events on the topic '{topic}'",
        *_events(None, result.alone),
        "",
        "2. A stranger, raw libp2p without our gate, is not listed; the nodes send as many again",
        *_events(result.alone, result.unlisted),
        "",
        "3. The control: the same stranger is listed; the nodes send as many again",
        *_events(result.unlisted, result.listed),
        "",
        ""
        if first is None
        else f"From process start to first delivery: {first:.2f} s. All of it: {result.took:.1f} s.",
        "To go on: `depinmesh keygen` makes a key, and README.md has a first program of 20 lines.",
    ]
    return "\n".join(lines)


def _nodes(result: Result) -> list[str]:
    rows = [("node", "wallet", "listens on")]
    rows += [(name, result.wallets[name], result.listens[name]) for name in NODES]
    return _aligned([*rows, ("stranger", result.wallets["stranger"], "nothing")])


def _links(result: Result) -> list[str]:
    rows = [("link", "transport")]
    for one, other in LINKS:
        transport = result.alone.seen[one].links.get(other, "")
        rows.append((f"{one} - {other}", _NAMES.get(transport, "none")))
    return _aligned(rows)


def _events(before: Scene | None, scene: Scene) -> list[str]:
    """One row for each, with what was added since the scene before."""
    rows: list[tuple[str, ...]] = [("", "events sent", "received")]
    if before is None:
        rows += [(name, str(seen.sent), str(seen.of_nodes())) for name, seen in scene.seen.items()]
        return _aligned(rows)
    rows[0] += ("from the stranger", "the stranger was")
    for name, seen in scene.seen.items():
        earlier = before.seen[name]
        refusals = [f"refused {_times(count)}: {reason}" for reason, count in seen.refused.items()]
        outcome = f"let in over {_NAMES[seen.let_in]}" if seen.let_in else ", ".join(refusals)
        strange = seen.received.get("stranger", 0)
        sent, received = seen.sent - earlier.sent, seen.of_nodes() - earlier.of_nodes()
        rows.append((name, str(sent), str(received), str(strange), outcome))
    sent_by = f"{scene.events_sent} of {scene.events_published}"
    rows.append(("stranger", sent_by, str(scene.events_received), "", f"let in by {scene.identified} of {len(NODES)}"))
    return _aligned(rows)


def _times(count: int) -> str:
    """Return the count as a word."""
    return "once" if count == 1 else f"{count} times"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Two blanks between the columns; those of numbers to the right."""
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    numbers = [all(cell[:1].isdigit() or not cell for cell in column[1:]) for column in columns]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if is_number else cell.ljust(width)
            for cell, width, is_number in zip(row, widths, numbers, strict=True)
        ]
        lines.append(("  " + "  ".join(cells)).rstrip())
    return lines
