"""`depinmesh version`: the versions of depinmesh and of what it stands on."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from depinmesh.cli.exits import OK, USAGE

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str]) -> int:
    """Show the versions."""
    parser = argparse.ArgumentParser(prog="depinmesh version", description=__doc__)
    try:
        parser.parse_args(arguments)
    except SystemExit as end:  # after --help, or a wrong argument
        return USAGE if end.code else OK
    from depinmesh.build import build_info

    info = build_info()
    width = max(map(len, info))
    for name, value in info.items():
        print(f"{name:<{width}}  {value}")
    return OK
