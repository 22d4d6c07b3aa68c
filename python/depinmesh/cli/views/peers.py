"""`depinmesh peers`: the peers of a running node."""

from collections.abc import Sequence

from depinmesh.cli.app import app, run
from depinmesh.cli.output import AsJson, print_json, print_table
from depinmesh.cli.views.report import DEFAULT_OPS, Ops, fetch

APP = app("peers")


def main(arguments: Sequence[str]) -> int:
    """Run it."""
    return run(APP, arguments)


@APP.default
def peers(*, ops: Ops = DEFAULT_OPS, as_json: AsJson = False) -> None:
    """Show the connected peers of a running node."""
    found = fetch(ops)["peers"]
    if as_json:
        print_json(found)
        return
    head = ("wallet", "direction", "transport", "rtt ms", "agent", "since")
    print_table(
        head,
        (
            (
                peer["wallet"],
                peer["direction"],
                peer["transport"],
                "-" if peer["rtt"] is None else f"{peer['rtt'] * 1000:.1f}",
                peer["agent"],
                peer["connected_at"],
            )
            for peer in found
        ),
    )
