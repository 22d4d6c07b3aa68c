"""The known advisories that apply, as one pack: `python -m tests.security.advisories` names the tests that replay them.

`scenarios.toml` has them by their numbers: replayed by tests, and held off by the least version that may be
locked; of some, such as those of PyO3, the latter is all there is to show.
"""

from __future__ import annotations

import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[2]
CATALOGUE = tomllib.loads((ROOT / "tests" / "security" / "scenarios.toml").read_text())

REPLAYED: dict[str, list[str]] = CATALOGUE["advisories"]
FLOORS: dict[str, dict[str, str]] = CATALOGUE["floors"]

Version = tuple[int, ...]


def version(text: str) -> Version:
    """Return what can be compared; what stands behind a plus or a minus does not count."""
    return tuple(int(part) for part in text.partition("+")[0].partition("-")[0].split("."))


def too_old(lock: str) -> dict[str, list[str]]:
    """Return what of a lock file is below the floor of an advisory: the packages, by its number."""
    packages = [(package["name"], package["version"]) for package in tomllib.loads(lock)["package"]]
    found = {
        number: [f"{name} {has}" for name, has in packages if name in floors and version(has) < version(floors[name])]
        for number, floors in FLOORS.items()
    }
    return {number: names for number, names in found.items() if names}


if __name__ == "__main__":
    print(*sorted(set(chain.from_iterable(REPLAYED.values()))))
