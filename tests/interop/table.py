"""The table of docs/interop.md: what was run against which versions, and what became of it."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "interop.md"
BEGIN, END = "<!-- written by `make interop-table` -->\n", "<!-- end -->\n"
VERSIONS = "| peer | versions |\n| --- | --- |\n"
RESULTS = (
    "| peer | transport | who dials | we publish | they publish | handshake, median |\n"
    "| --- | --- | --- | --- | --- | --- |\n"
)
CELLS = 6


@dataclass(frozen=True)
class Row:
    """What was run."""

    peer: str
    transport: str
    who_dials: str


@dataclass
class Table:
    """Versions by peer, and verdicts with the time of a handshake by row."""

    versions: dict[str, str] = field(default_factory=dict)
    results: dict[Row, tuple[str, str, str]] = field(default_factory=dict)

    @classmethod
    def committed(cls) -> Table:
        """Read the page."""
        table = cls()
        _, _, written = PAGE.read_text("utf-8").partition(BEGIN)
        for line in written.partition(END)[0].splitlines():
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            if cells[0] in ("peer", "---"):
                continue
            if len(cells) == CELLS:
                peer, transport, who_dials, out, back, time = cells
                table.results[Row(peer, transport, who_dials)] = (out, back, time)
            elif len(cells) > 1:
                table.versions[cells[0]] = cells[1]
        return table

    def write(self) -> None:
        """Put it into the page, in the place of the one before."""
        before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
        _, _, after = rest.partition(END)
        versions = "".join(f"| {peer} | {versions} |\n" for peer, versions in self.versions.items())
        rows = "".join(
            f"| {row.peer} | {row.transport} | {row.who_dials} | {' | '.join(result)} |\n"
            for row, result in self.results.items()
        )
        PAGE.write_text(f"{before}{BEGIN}\n{VERSIONS}{versions}\n{RESULTS}{rows}\n{END}{after}", "utf-8")


def our_versions() -> str:
    """Return what our side of the table was built from."""
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text("utf-8"))
    found = {package["name"]: package["version"] for package in lock["package"]}
    return spelled({name: found[name] for name in ("libp2p", "libp2p-gossipsub", "libp2p-quic")})


def spelled(versions: dict[str, str]) -> str:
    """Write versions as the table does."""
    return ", ".join(f"{name} {version}" for name, version in versions.items())
