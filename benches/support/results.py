"""What was measured: a line of JSON for each run, written at once, so that a run that breaks off keeps what it has."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Line = dict[str, Any]


class Results:
    """The lines so far, and the file that they go to."""

    def __init__(self, file: Path | None) -> None:
        self.lines: list[Line] = []
        self._file = file

    def add(self, bench: str, values: Mapping[str, object], *, system: str = "ours", **about: object) -> None:
        """Note what one run of a system showed.

        Args:
            bench: What was measured.
            values: The figures, by name; the name has the unit.
            system: Of whom.
            about: How: transport, size, block and the like.
        """
        self.write({"bench": bench, "system": system, **about, "values": dict(values)})

    def write(self, line: Line) -> None:
        """Note a line of any other make."""
        self.lines.append(line)
        if self._file:
            with self._file.open("a", encoding="utf-8") as opened:
                opened.write(json.dumps(line) + "\n")


def read(file: Path) -> list[Line]:
    """Read what a run has written."""
    return [json.loads(text) for text in file.read_text(encoding="utf-8").splitlines()]
