"""The command: one look at everything, one line for each thing, and a remedy for what is wrong."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter

from depinmesh import Config, Connecting, Database, connect
from depinmesh._loading.layers import KEY_FIELDS
from depinmesh._text import in_a_line
from depinmesh.cli.app import Seconds, app, run
from depinmesh.cli.doctor import clock, fleet, local
from depinmesh.cli.doctor.finding import KEY_IN_USE, NOT_STARTED, Absence, Finding
from depinmesh.cli.exits import FAILURE, OK
from depinmesh.cli.output import AsJson, print_json
from depinmesh.cli.settings import OwnNode, free_ports
from depinmesh.errors import ConfigError, MeshError

APP = app("doctor")

_MARKS = {"ok": "ok      ", "warning": "WARNING ", "fault": "FAULT   ", "skipped": "skipped "}


def main(arguments: Sequence[str]) -> int:
    """Run it."""
    return run(APP, arguments)


@APP.default
async def doctor(
    *,
    ops: str | None = None,
    topic: Annotated[tuple[str, ...], Parameter(name="--topic", show_default=False)] = (),
    listen: Seconds = 10.0,
    as_json: AsJson = False,
    settings: OwnNode = OwnNode(),
) -> int:
    """Look at the configuration, the key, the ports, the registry, the bootstrap nodes and the clock.

    The exit code is 1 when there is a fault. No secret is shown. While the node of the configuration runs, give another
    listed key, so that the other nodes can be reached in its place.

    Args:
        ops: Where the node serves its status, if it runs.
        topic: Topics on which others publish, for the clock; can be repeated.
        listen: Seconds to listen there.
    """
    found = []
    try:
        async for finding in _examination(settings, ops, topic, listen):
            found.append(finding)
            if not as_json:
                print(_MARKS[finding.verdict] + in_a_line(f"{finding.what}: {finding.detail}"), flush=True)
                if finding.remedy:
                    print(f"        -> {in_a_line(finding.remedy)}", flush=True)
    finally:  # whatever happens, whoever parses it has what was found
        if as_json:
            print_json([asdict(finding) for finding in found])
    return FAILURE if any(finding.verdict == "fault" for finding in found) else OK


async def _examination(
    settings: OwnNode, ops: str | None, topics: Sequence[str], seconds: float
) -> AsyncIterator[Finding]:
    try:
        config = settings.load().config
    except ConfigError as error:
        for problem in error.errors:
            what = "key" if problem.path in KEY_FIELDS else "configuration"
            yield Finding(what, "fault", str(problem), problem.hint or "see docs/configuration.md")
        return
    yield Finding("configuration", "ok", "every value is usable")
    yield Finding("key", "ok", f"of the wallet {config.private_key.wallet}")
    status = None
    if ops is not None:
        finding, status = local.status(ops)
        yield finding
    runs_here = status == config.private_key.wallet
    ports = local.ports(config, runs_here=runs_here) if settings.key is None else []
    for finding in ports:
        yield finding
    registry = await fleet.registry(config)
    for finding in registry.findings:
        yield finding
    async with AsyncExitStack() as stack:
        own: Database | Absence = KEY_IN_USE
        if not runs_here and all(finding.verdict == "ok" for finding in ports):
            try:
                own = await stack.enter_async_context(_own_node(config))
            except MeshError as error:
                own = NOT_STARTED
                yield Finding("own node", "fault", str(error), "let listen.hosts name addresses of this machine")
        async for finding in fleet.bootstrap(config, registry, own):
            yield finding
        yield await clock.clock(own, topics, seconds)


def _own_node(config: Config) -> Connecting[Database]:
    """Start a node that says nothing and dials nobody by itself."""
    quiet = logging.getLogger("depinmesh.doctor")
    quiet.addHandler(logging.NullHandler())
    quiet.propagate = False
    return connect(config, listen=free_ports(config), bootstrap_nodes=(), bootstrap={"wait": "none"}, logger=quiet)
