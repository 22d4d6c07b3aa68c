"""`depinmesh status`: how a running node is."""

from collections.abc import Iterator, Sequence
from typing import Any

from depinmesh.cli.app import app, run
from depinmesh.cli.exits import FAILURE, OK
from depinmesh.cli.output import AsJson, print_json, print_table
from depinmesh.cli.views.report import DEFAULT_OPS, Ops, fetch

APP = app("status")

_FAILED_SHOWN = 5


def main(arguments: Sequence[str]) -> int:
    """Run it."""
    return run(APP, arguments)


@APP.default
def status(*, ops: Ops = DEFAULT_OPS, as_json: AsJson = False) -> int:
    """Show how a running node is; the exit code is 1 when it is not ready."""
    report = fetch(ops)
    if as_json:
        print_json(report)
    else:
        print_table(("what", "is"), _lines(report))
    return OK if all(check["ok"] for check in report["checks"]) else FAILURE


def _lines(report: dict[str, Any]) -> Iterator[tuple[str, object]]:
    node, registry = report["node"], report["registry"]
    yield "wallet", node["wallet"]
    yield "peer id", node["peer_id"]
    yield "state", node["state"]
    yield "uptime", f"{node['uptime']:.0f} s"
    for address in node["addresses"]:
        yield "listens on", address
    nat = node["nat"]
    yield "reachable", f"{nat['reachability']}, {len(nat['mapped_addresses'])} mapped ports, {nat['relays']} relays"
    for address in nat["public_addresses"]:
        yield "reached at", address
    yield "peers", len(report["peers"])
    yield from _bootstrap(node["bootstrap"])
    for database in report["databases"]:
        ready = "ready" if database["is_ready"] else "not ready"
        about = f"{ready}, peers: {len(database['peers'])}, topics: {len(database['topics'])}"
        yield f"database {database['name']}", about
    listed = "our own is listed" if registry["listed"] else "our own is NOT listed"
    wallets = len(registry["wallets"])
    yield "registry", f"{wallets} wallets, {listed}, {_age(registry['age'], is_there=wallets > 0)}"
    for check in report["checks"]:
        yield f"check {check['name']}", f"{'ok' if check['ok'] else 'FAILED'}: {check['detail']}"
    yield "version", f"depinmesh {report['build']['depinmesh']}"


def _bootstrap(nodes: list[dict[str, Any]]) -> Iterator[tuple[str, object]]:
    if nodes:
        yield "bootstrap nodes", f"{sum(node['is_connected'] for node in nodes)} of {len(nodes)} connected"
    failed = [node for node in nodes if node["error"] is not None and not node["is_connected"]]
    for node in failed[:_FAILED_SHOWN]:
        yield f"  {node['wallet']}", node["error"]
    if len(failed) > _FAILED_SHOWN:
        yield "  ...", f"and {len(failed) - _FAILED_SHOWN} more, see --json"


def _age(seconds: float | None, *, is_there: bool) -> str:
    if seconds is None:
        return "a fixed list" if is_there else "never read"
    return f"read {seconds:.0f} s ago"
