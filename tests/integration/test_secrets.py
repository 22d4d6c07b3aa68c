"""The secret of a node is nowhere to be seen; `make test-secrets` looks for it in what all the other tests show."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback

import pytest

from depinmesh import Config, ConfigError, Keypair, connect
from depinmesh.logs import JsonFormatter, TextFormatter
from depinmesh.ops import OpsServer
from tests.secrecy import Secrets
from tests.support import LISTEN, WAIT, eventually, fields_of

FORMATTERS = (JsonFormatter(), TextFormatter(), logging.Formatter("%(message)s %(args)s %(fields)s"))


class Output(logging.Handler):
    """All that is shown, as text."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        record.__dict__.setdefault("fields", {})
        self.lines += [formatter.format(record) for formatter in FORMATTERS]

    def show(self, value: object) -> None:
        self.lines += [str(value), repr(value), f"{value}"]

    def shown(self) -> bytes:
        return "\n".join(list(self.lines)).encode(errors="surrogateescape")


async def test_a_whole_life_at_trace_shows_the_secret_nowhere() -> None:
    output = Output()
    logger = logging.Logger("depinmesh", 1)  # noqa: LOG001  # not among those of the process
    logger.addHandler(output)
    keys = [Keypair.generate(), Keypair.generate()]
    secrets = Secrets()
    for key in keys:
        secrets.add(key)
    listed = [key.wallet for key in keys]
    config = Config(**fields_of(keys[0], listed, logger=logger))
    async with connect(config) as db, OpsServer(db.node, port=0) as ops:
        known = db.node.bootstrap_entries()
        async with connect(**fields_of(keys[1], listed, logger=logger, bootstrap_nodes=known)) as other:
            async with other.subscribe("t") as events:
                event = await db.publish("t", "x", min_peers=1, timeout=WAIT)
                await events.get(WAIT)
            for page in ("status", "metrics", "readyz?verbose", "livez?verbose"):
                output.show(await _page(ops, page))
            for value in (config, db, db.node, other, event, db.node.status(), db.node.metrics(), db.peers(), keys):
                output.show(value)
        await db.node.gate.refresh()
    output.show(config.model_dump(exclude={"logger"}))
    output.show(json.dumps(Config.model_json_schema(), default=str))
    await eventually(lambda: sum("gossip" in line for line in list(output.lines)) > 20)  # it is at TRACE
    assert secrets.found(output.shown()) == set()
    output.show(keys[0].to_base58())
    assert secrets.found(output.shown()) == {"base58"}


@pytest.mark.parametrize("wrong", [{"database": ""}, {"listen": {**LISTEN, "hosts": ["203.0.113.1"]}}, {"tmeout": 1}])
async def test_an_error_with_all_its_locals_does_not_show_the_secret(wrong: dict[str, object]) -> None:
    """As services show it that collect errors; a key that is given as a text is in the locals of who gives it."""
    key = Keypair.generate()
    secrets = Secrets()
    secrets.add(key)
    with pytest.raises((ConfigError, OSError)) as raised:
        await connect(**{**fields_of(key, [key.wallet]), **wrong})
    shown = "".join(traceback.TracebackException.from_exception(raised.value, capture_locals=True).format())
    assert repr(key) in shown
    assert secrets.found(shown.encode()) == set()


async def _page(ops: OpsServer, page: str) -> str:
    host, port = ops.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET /{page} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    assert b"200 OK" in answer
    return answer.decode()
