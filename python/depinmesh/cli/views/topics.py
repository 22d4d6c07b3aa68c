"""`depinmesh topics`: the topics of a running node."""

from collections.abc import Sequence

from depinmesh.cli.app import app, run
from depinmesh.cli.output import AsJson, print_json, print_table
from depinmesh.cli.views.report import DEFAULT_OPS, Ops, fetch

APP = app("topics")


def main(arguments: Sequence[str]) -> int:
    """Run it."""
    return run(APP, arguments)


@APP.default
def topics(*, ops: Ops = DEFAULT_OPS, as_json: AsJson = False) -> None:
    """Show the topics that a running node subscribes to, with the peers that do so too, and what was received."""
    found = [
        {"database": database["name"], **topic} for database in fetch(ops)["databases"] for topic in database["topics"]
    ]
    if as_json:
        print_json(found)
        return
    head = ("database", "topic", "peers", "delivered", "dropped", "pending")
    print_table(
        head,
        (
            (
                topic["database"],
                topic["topic"],
                len(topic["peers"]),
                *(sum(one[name] for one in topic["subscriptions"]) for name in ("delivered", "dropped", "pending")),
            )
            for topic in found
        ),
    )
