"""Records of the core on their way to the standard logging."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from depinmesh import connect
from tests.support import alone, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest


class Collector(logging.Handler):
    """Keeps what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep it."""
        self.records.append(record)


def of_core(records: list[logging.LogRecord]) -> list[logging.LogRecord]:
    """Return the records that come from the core."""
    return [record for record in list(records) if record.name.startswith("depinmesh.core.")]


async def test_records_of_the_core_reach_the_standard_logging(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "depinmesh")
    async with connect(**alone()):
        await eventually(lambda: of_core(caplog.records))
    record = of_core(caplog.records)[0]
    assert "::" not in record.name
    assert record.getMessage()
    assert isinstance(record.__dict__["fields"], dict)
    assert abs(record.created - time.time()) < 60


async def test_the_level_is_followed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "depinmesh")
    async with connect(**alone()):
        assert of_core(caplog.records) == []
        caplog.set_level(logging.DEBUG, "depinmesh")
        # Whatever happens from now on; a new node is never silent at this level.
        async with connect(**alone()):
            await eventually(lambda: of_core(caplog.records))


async def test_records_go_to_the_logger_of_the_configuration() -> None:
    seen = Collector()
    logger = logging.Logger("fleet", logging.DEBUG)  # noqa: LOG001  # not among those of the process
    logger.addHandler(seen)
    async with connect(**alone(logger=logging.LoggerAdapter(logger))):
        await eventually(lambda: seen.records)
    assert {record.name for record in seen.records} == {"fleet"}


async def test_the_thread_ends_with_the_last_node() -> None:
    def threads() -> Iterator[str]:
        return (thread.name for thread in threading.enumerate())

    async with connect(**alone()):
        assert "depinmesh-logs" in threads()
    await eventually(lambda: "depinmesh-logs" not in threads())


async def test_a_node_that_comes_as_another_has_ended_is_heard_from_its_start() -> None:
    for _ in range(20):
        seen = Collector()
        logger = logging.Logger("next", logging.DEBUG)  # noqa: LOG001  # not among those of the process
        logger.addHandler(seen)
        async with connect(**alone(logger=logging.LoggerAdapter(logger))) as db:
            address = db.node.addresses[0]
        await eventually(lambda: any(address in record.getMessage() for record in seen.records))  # noqa: B023
