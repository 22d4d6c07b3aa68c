"""Records of the core on their way to the standard logging."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from typing import TYPE_CHECKING

import pytest

from depinmesh import connect
from depinmesh.logs.forward import forwarder
from depinmesh.logs.standard import Text
from tests.support import WAIT, alone, eventually, heard, mesh_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from depinmesh import Database


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


async def test_a_logger_that_would_end_the_thread_ends_it_for_nobody() -> None:
    threads: set[str] = set()

    class Deadly(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if threading.current_thread() is not threading.main_thread():
                threads.add(threading.current_thread().name)
                raise SystemExit

    logger, seen = logging.Logger("app", logging.DEBUG), Collector()  # noqa: LOG001  # not among those of the process
    logger.addHandler(Deadly())
    async with connect(**alone(logger=logger)):
        await eventually(lambda: threads == {"depinmesh-logs"})
    other = logging.Logger("other", logging.DEBUG)  # noqa: LOG001  # the same
    other.addHandler(seen)
    async with connect(**alone(logger=other)):
        await eventually(lambda: any("starting to listen" in record.getMessage() for record in seen.records))


async def test_a_node_that_comes_as_another_has_ended_is_heard_from_its_start() -> None:
    for _ in range(20):
        seen = Collector()
        logger = logging.Logger("next", logging.DEBUG)  # noqa: LOG001  # not among those of the process
        logger.addHandler(seen)
        async with connect(**alone(logger=logging.LoggerAdapter(logger))) as db:
            address = db.node.addresses[0]
        await eventually(lambda: any(address in record.getMessage() for record in seen.records))  # noqa: B023


async def test_the_logger_of_a_closed_node_is_let_go_while_another_node_logs() -> None:
    def logger(seen: Collector) -> logging.Logger:
        made = logging.Logger("app", logging.DEBUG)  # noqa: LOG001  # not among those of the process
        made.addHandler(seen)
        return made

    open_, closed = Collector(), Collector()
    async with connect(**alone(logger=logger(open_))) as db:

        async def chatter() -> None:
            while True:
                await db.publish("t", 1)  # which is logged
                await asyncio.sleep(0.02)

        talking = asyncio.create_task(chatter())
        async with connect(**alone(logger=logger(closed))):
            await eventually(lambda: closed.records)
        await eventually(lambda: not forwarder._left)
        left, written = len(closed.records), len(open_.records)
        await eventually(lambda: len(open_.records) > written + 20)  # the control
        assert len(closed.records) == left
        talking.cancel()
        await asyncio.wait({talking})


@pytest.mark.timeout(60)
async def test_a_hundred_thousand_records_for_a_slow_logger_hold_up_no_event() -> None:
    """Twenty records for each event, made within seconds: the handler would need half an hour for them."""

    class Slow(logging.Handler):
        records = 0

        def emit(self, record: logging.LogRecord) -> None:
            self.records += 1
            time.sleep(0.01)

    events, goal = 10_000, 100_000
    handler = Slow()
    logger = logging.Logger("depinmesh", 1)  # noqa: LOG001  # not among those of the process
    logger.addHandler(handler)
    async with mesh_of(2, logger=logger) as (one, two), two.subscribe("t", queue_size=events) as sub:
        await heard(one, two, "t")
        before, began = dropped_records(two), time.monotonic()
        for number in range(events):
            await one.publish("t", number)
        for number in range(events):
            assert (await sub.get(WAIT)).message == number
        took = time.monotonic() - began
        # Its last words are those of the loss: what stands in the ring would take the handler a minute.
        logger.handlers.clear()
        dropped = dropped_records(two) - before
        print(f"{events / took:,.0f} events/s, {dropped / took:,.0f} records/s dropped, {handler.records} written")
        assert dropped > goal
        assert handler.records < dropped / 10
        assert sub.stats.dropped == 0


def dropped_records(db: Database) -> float:
    """Return how many records of the core were lost."""
    (count,) = (metric.value for metric in db.node.metrics() if metric.name == "log_records_dropped_total")
    return count


async def test_a_logger_that_raises_reaches_neither_the_network_nor_the_program() -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("the disk is full")

    logger = logging.Logger("depinmesh", logging.DEBUG)  # noqa: LOG001  # not among those of the process
    logger.addHandler(Broken())
    async with mesh_of(2, logger=logger) as (one, two), two.subscribe("t") as sub:
        await one.publish("t", 1, min_peers=1, timeout=WAIT)
        assert (await sub.get(WAIT)).message == 1
        await eventually(lambda: any(m.name == "log_errors_total" and m.value > 0 for m in two.node.metrics()))


async def test_what_operators_look_for_is_logged_with_its_keys() -> None:
    """The events and keys that a node of the Go library logs too, so that one search finds both."""
    seen = Collector()
    logger = logging.Logger("depinmesh", logging.DEBUG)  # noqa: LOG001  # not among those of the process
    logger.addHandler(seen)
    async with mesh_of(2, logger=logger) as (one, two):
        sub = await two.subscribe("t")
        await one.publish("t", 1, min_peers=1, timeout=WAIT)
        await sub.get(WAIT)
        await sub.close()
    expected: dict[tuple[str, str], set[str]] = {
        ("starting to listen", "INFO"): {"quic_port", "tcp_port", "peer_id"},
        ("the node listens", "INFO"): {"addresses", "peer_id"},
        ("opened a database", "INFO"): {"database_name", "peer_id"},
        ("found bootstrap nodes", "INFO"): {"count"},
        ("the node is ready: it has a peer", "INFO"): {"peer_count"},
        ("the node is no longer ready: it has no peer", "INFO"): {"peer_count"},
        ("admitted a listed peer", "INFO"): {"peer_id", "direction"},
        ("a peer is connected", "INFO"): {"peer_id", "addrs", "direction"},
        ("a connection is open", "DEBUG"): {"peer_id", "remote_addr"},
        ("subscribed to a topic", "INFO"): {"topic", "full_topic_name", "database"},
        ("unsubscribed from a topic", "INFO"): {"topic", "database"},
        ("published an event", "DEBUG"): {"topic", "full_topic_name", "event_id", "database"},
        ("received an event", "DEBUG"): {"topic", "from", "event_id", "timestamp"},
        ("wallet list in force", "DEBUG"): {"authorized_wallets_count", "database"},
        ("a peer is gone", "INFO"): {"peer_id", "reason"},
    }

    def missing() -> set[tuple[str, str]]:
        found = {
            (record.msg.alone, record.levelname)
            for record in list(seen.records)
            if isinstance(record.msg, Text)
            and (keys := expected.get((record.msg.alone, record.levelname))) is not None
            and keys <= set(record.__dict__["fields"])
        }
        return set(expected) - found

    await eventually(lambda: not missing())
