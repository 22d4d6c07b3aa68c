"""`depinmesh node`: run a node with its databases until it is told to stop."""

import asyncio
import logging
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Annotated, Literal

from cyclopts import Parameter

from depinmesh import Event, Node, Ready
from depinmesh.cli.app import Seconds, app, first_of, run
from depinmesh.cli.settings import Settings
from depinmesh.cli.streams import StdoutError, drop_stdout
from depinmesh.errors import ConfigError, ConfigProblem, shown
from depinmesh.logs import JsonFormatter, TextFormatter
from depinmesh.signals import until_stopped
from depinmesh.systemd import notifying

APP = app("node")

_LOG = logging.getLogger("depinmesh.node")
_FORMATTERS: dict[str, type[logging.Formatter]] = {"text": TextFormatter, "json": JsonFormatter}


def main(arguments: Sequence[str]) -> int:
    """Run it."""
    return run(APP, arguments)


@APP.default
async def node(
    *,
    ops: str | None = None,
    topic: Annotated[tuple[str, ...], Parameter(name=("--topic", "-t"), show_default=False)] = (),
    min_peers: int = 1,
    status_interval: Seconds = 30.0,
    log_level: Literal["debug", "info", "warning", "error"] = "info",
    log_format: Literal["text", "json"] = "text",
    settings: Annotated[Settings, Parameter()] = Settings(),
) -> None:
    """Run a node with all databases of the configuration, until Ctrl-C or SIGTERM.

    When it listens, it prints its bootstrap entries for the other nodes, one a line. systemd hears of it as of a
    service of the type notify, with a watchdog when the unit asks for one.

    Args:
        ops: Where health, metrics and status are served, such as 127.0.0.1:8081 (extra `ops`).
        topic: Topics that the node takes part in, so that their events travel through it; can be repeated. Others are
            forwarded by those only who subscribe to them.
        min_peers: How many peers /readyz asks for.
        status_interval: Seconds between two lines of status in the log; 0 turns them off.
        log_level: The lowest level that is written to stderr.
        log_format: How log lines look.
    """
    config = settings.load().config
    place = None if ops is None else _place(ops)
    _log_to_stderr(log_level, log_format)

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            one = await stack.enter_async_context(Node(config))
            if place is not None:
                from depinmesh.ops import OpsServer

                host, port = place
                server = OpsServer(one, host=host, port=port, min_peers=min_peers)
                _LOG.info("ops at %s", (await stack.enter_async_context(server)).url)
            for name in (config.database, *config.databases):
                database = await one.database(name)  # closed with the node, after its peers
                for carried in dict.fromkeys(topic):
                    await database.subscribe(carried, _ignore)
            _print_entries(one)
            await stack.enter_async_context(notifying(one))
            await first_of(_report(one, status_interval), _failure(one))

    await until_stopped(serve())


def _ignore(_: Event) -> None:
    """Take an event that is only to be forwarded, which the core does by itself."""


def _print_entries(one: Node) -> None:
    try:
        for entry in one.bootstrap_entries():
            print(entry, flush=True)
    except (StdoutError, BrokenPipeError) as error:  # no reason for a node to end
        drop_stdout()
        _LOG.warning("the bootstrap entries cannot be printed: %s", error)


def _log_to_stderr(level: str, form: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_FORMATTERS[form]())
    # Who reads these lines, perhaps as JSON, reads those of asyncio, uvicorn and Python's warnings among them.
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(handlers=[handler], level=max(logging.WARNING, number), force=True)
    logging.captureWarnings(capture=True)
    logger = logging.getLogger("depinmesh")
    logger.handlers = [handler]
    logger.setLevel(number)
    logger.propagate = False


def _place(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal():
        reason = "is not of the form host:port"
        raise ConfigError.of([ConfigProblem("", shown(text), reason, "such as 127.0.0.1:8081, or [::1]:8081", "--ops")])
    return host.strip("[]") or "127.0.0.1", int(port)


async def _failure(one: Node) -> None:
    """Wait until the core of the node fails, and raise why: whoever started the process can start it anew."""
    async for _ in one.events(Ready):
        pass


async def _report(one: Node, interval: float) -> None:
    """Write a line of status now and then, and never return."""
    while True:
        await asyncio.sleep(interval if interval > 0 else 3600)
        if interval > 0:
            status = one.status()
            _LOG.info(
                "Status: %s, %d peers, %d topics, registry age %s s, %d drops",
                "ready" if status.is_ready else "not ready",
                status.peers,
                sum(len(database.topics) for database in status.databases),
                "-" if status.registry_age is None else f"{status.registry_age:.0f}",
                sum(value for name, value in status.counters.items() if "dropped" in name),
            )
