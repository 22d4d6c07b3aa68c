"""The adapters, each with the real library or with a recorder of the calls that its kind of logger expects."""

from __future__ import annotations

import io
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from loguru import logger as loguru_logger

from depinmesh import ConfigError, Keypair, Node
from depinmesh.logs import (
    Adapter,
    JsonFormatter,
    LiveKitLogger,
    LoguruLogger,
    SlogLogger,
    StdlibLogger,
    StructlogLogger,
    TextFormatter,
    adapt,
)
from depinmesh.logs.adapters import failures
from tests.support import alone

if TYPE_CHECKING:
    from collections.abc import Callable

    from depinmesh.logs.entry import Entry

ROW = (20, "depinmesh_core::gate::state", "a list", {"database": "fleet"}, 1_752_700_000.25)
LEVELS = [(logging.DEBUG, "debug"), (logging.INFO, "info"), (logging.WARNING, "warn"), (logging.ERROR, "error")]


class Slog:
    """Reads its arguments as Go's slog does."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, dict[str, object]]] = []

    def __getattr__(self, method: str) -> Callable[..., None]:
        if method not in {"debug", "info", "warn", "error"}:
            raise AttributeError(method)
        return lambda message, *args: self.calls.append((method, message, self._read(list(args))))

    def _read(self, args: list[object]) -> dict[str, object]:
        fields: dict[str, object] = {}
        while args:
            first = args.pop(0)
            if isinstance(first, str) and args:
                fields[first] = args.pop(0)
            else:
                fields["!BADKEY"] = first
        return fields


class LiveKit:
    """Reads its arguments as the logger of LiveKit's protocol does: for warnings and errors the error comes first."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, object, dict[str, object]]] = []

    def Debugw(self, message: str, *pairs: object) -> None:  # noqa: N802
        self._add("debug", message, None, pairs)

    def Infow(self, message: str, *pairs: object) -> None:  # noqa: N802
        self._add("info", message, None, pairs)

    def Warnw(self, message: str, error: object, *pairs: object) -> None:  # noqa: N802
        self._add("warn", message, error, pairs)

    def Errorw(self, message: str, error: object, *pairs: object) -> None:  # noqa: N802
        self._add("error", message, error, pairs)

    def _add(self, level: str, message: str, error: object, pairs: tuple[object, ...]) -> None:
        assert len(pairs) % 2 == 0
        self.calls.append((level, message, error, dict(zip(pairs[::2], pairs[1::2], strict=True))))  # type: ignore[arg-type]


@pytest.mark.parametrize(("level", "method"), LEVELS)
def test_slog_gets_whole_pairs_at_every_level(level: int, method: str) -> None:
    target = Slog()
    adapter = SlogLogger(target, level=logging.DEBUG)
    adapter.log(level, "a peer came", {"peer_id": "12D3", "count": 3})
    adapter.log(level, "nothing more", {})
    assert target.calls == [
        (method, "a peer came", {"logger": "depinmesh", "peer_id": "12D3", "count": 3}),
        (method, "nothing more", {"logger": "depinmesh"}),
    ]


def test_slog_gets_an_exception_as_the_pair_error() -> None:
    target = Slog()
    SlogLogger(target).log(logging.ERROR, "failed", {"topic": "t"}, OSError("the disk is full"))
    assert target.calls[0][2] == {"logger": "depinmesh", "topic": "t", "error": "the disk is full"}


@pytest.mark.parametrize(("level", "method"), LEVELS)
def test_livekit_gets_the_error_first_and_then_whole_pairs(level: int, method: str) -> None:
    target = LiveKit()
    adapter = LiveKitLogger(target, level=logging.DEBUG)
    failure = OSError("away")
    adapter.log(level, "with an exception", {"topic": "t"}, failure)
    adapter.log(level, "with a field", {"topic": "t", "error": "refused"})
    adapter.log(level, "with none", {"topic": "t"})
    first, second, third = target.calls
    assert {call[0] for call in target.calls} == {method}
    if method in {"warn", "error"}:
        assert first[2:] == (failure, {"logger": "depinmesh", "topic": "t"})
        assert second[2:] == ("refused", {"logger": "depinmesh", "topic": "t"})
    else:
        assert first[3]["error"] == "away"
        assert second[3]["error"] == "refused"
    assert third[2:] == (None, {"logger": "depinmesh", "topic": "t"})


def test_records_of_the_core_name_their_part() -> None:
    slog, livekit = Slog(), LiveKit()
    SlogLogger(slog).write(ROW)
    LiveKitLogger(livekit).write(ROW)
    assert slog.calls == [("info", "a list", {"logger": "depinmesh.core.gate.state", "database": "fleet"})]
    assert livekit.calls[0][3]["logger"] == "depinmesh.core.gate.state"


def test_structlog_gets_fields_as_keywords() -> None:
    lines = structlog.testing.CapturingLogger()
    logger = structlog.wrap_logger(lines, processors=[structlog.processors.JSONRenderer()])
    adapter = adapt(logger.bind(host="node-1"))
    assert isinstance(adapter, StructlogLogger)
    adapter.write(ROW)
    adapter.log(logging.WARNING, "odd names", {"event": 1, "exc_info": 2, "logger": "mine"})
    first, second = (json.loads(call.args[0]) for call in lines.calls)
    assert first == {"event": "a list", "logger": "depinmesh.core.gate.state", "database": "fleet", "host": "node-1"}
    assert second == {"event": "odd names", "event_": 1, "exc_info_": 2, "logger": "mine", "host": "node-1"}
    assert [call.method_name for call in lines.calls] == ["info", "warning"]


def test_structlog_tells_its_level_and_shows_tracebacks() -> None:
    out = io.StringIO()
    logger = structlog.wrap_logger(
        structlog.PrintLogger(out),
        processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING),
    )
    adapter = adapt(logger)
    assert adapter.level == logging.WARNING
    adapter.log(logging.INFO, "not written", {})
    adapter.log(logging.ERROR, "written", {}, OSError("the disk is full"))
    (line,) = out.getvalue().splitlines()
    assert "OSError: the disk is full" in json.loads(line)["exception"]
    assert StructlogLogger(logger, level=logging.ERROR).level == logging.ERROR


def test_a_structlog_logger_on_stdlib_logging_is_taken_for_structlog(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "below")
    logger = structlog.wrap_logger(
        logging.getLogger("below"),
        processors=[structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    adapter = adapt(logger)
    assert isinstance(adapter, StructlogLogger)
    assert adapter.level == logging.INFO
    adapter.log(logging.INFO, "through both", {"topic": "t"})
    assert [record.message for record in caplog.records] == ["through both"]
    assert caplog.records[0].__dict__["topic"] == "t"


def test_loguru_gets_fields_as_extra() -> None:
    seen: list[Any] = []
    handler = loguru_logger.add(lambda message: seen.append(message.record), level="TRACE", format="{message}")
    try:
        adapter = adapt(loguru_logger)
        assert isinstance(adapter, LoguruLogger)
        adapter.write(ROW)
        adapter.log(logging.WARNING, "braces {stay} {0}", {"topic": "{t}", "message": 1}, OSError("away"))
        LoguruLogger(level=1).write((5, *ROW[1:]))
        adapter.log(logging.DEBUG, "below its level", {})
    finally:
        loguru_logger.remove(handler)
    first, second, third = seen
    assert (first["message"], first["level"].name) == ("a list", "INFO")
    assert first["extra"] == {"logger": "depinmesh.core.gate.state", "database": "fleet"}
    assert second["message"] == "braces {stay} {0}"
    assert second["extra"]["topic"] == "{t}"
    assert isinstance(second["exception"].value, OSError)
    assert third["level"].name == "TRACE"


def test_adapt_chooses_by_shape_and_says_which() -> None:
    own = SlogLogger(Slog())
    assert adapt(own) is own
    for logger, kind in (
        (None, StdlibLogger),
        (logging.getLogger("x"), StdlibLogger),
        (logging.LoggerAdapter(logging.getLogger("x")), StdlibLogger),
        (structlog.get_logger(), StructlogLogger),
        (loguru_logger, LoguruLogger),
        (Slog(), SlogLogger),
        (LiveKit(), LiveKitLogger),
    ):
        adapter = adapt(logger)
        assert type(adapter) is kind
        assert kind.__name__ in repr(adapter)


@pytest.mark.parametrize("wrong", [3, "depinmesh", print, object()])
def test_what_is_no_logger_is_refused_with_a_remedy(wrong: object) -> None:
    with pytest.raises(ConfigError, match="logging, structlog or loguru"):
        adapt(wrong)
    with pytest.raises(ConfigError, match="logger"):
        Node(**alone(logger=wrong))


def test_an_adapter_that_cannot_be_told_from_others_is_refused_with_a_remedy() -> None:
    class Unmade(Adapter):
        level = logging.INFO

        def __init__(self, lines: list[Entry]) -> None:
            self.lines = lines

        def emit(self, entry: Entry) -> None:
            self.lines.append(entry)

    @dataclass
    class Unhashable(Adapter):
        lines: list[Entry]
        level = logging.INFO

        def emit(self, entry: Entry) -> None:
            self.lines.append(entry)

    for wrong in (Unmade([]), Unhashable([])):
        with pytest.raises(ConfigError, match="super"):
            Node(**alone(logger=wrong))


def test_a_logger_without_a_method_for_each_level_is_refused() -> None:
    class Half:
        def info(self, *_: object) -> None: ...

        def error(self, *_: object) -> None: ...

    with pytest.raises(ConfigError, match="has no method debug"):
        adapt(Half())


def test_a_logger_that_raises_is_counted_and_stops_nobody() -> None:
    class Broken(Adapter):
        def emit(self, entry: object) -> None:
            raise OSError("the disk is full")

    before = failures.count
    Broken(None, 0).log(logging.INFO, "lost", {})
    Broken(None, 0).write(ROW)
    Broken(None, logging.ERROR).log(logging.INFO, "below its level", {})
    assert failures.count == before + 2


def test_stdlib_records_have_the_place_of_the_caller_and_the_fields(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    StdlibLogger().log(logging.INFO, "hello", {"name": "n", "message": "m"})
    (record,) = caplog.records
    assert record.filename == "test_log_adapters.py"
    assert record.getMessage() == "hello name=n message=m"
    assert record.__dict__["fields"] == {"name": "n", "message": "m"}


def formatted(formatter: logging.Formatter, write: Callable[[StdlibLogger], None]) -> list[str]:
    """Return the lines of what is written to a logger with this formatter."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    logger = logging.Logger("depinmesh", logging.DEBUG)  # noqa: LOG001  # not among those of the process
    logger.addHandler(handler)
    write(StdlibLogger(logger))
    return out.getvalue().splitlines()


def test_a_json_line_has_the_fields_beside_its_own_keys() -> None:
    lines = formatted(JsonFormatter(), lambda log: log.log(30, "clash", {"msg": 1, "ts": 2, "exc": 3, "topic": "ü\n"}))
    assert lines[0].isascii()  # whatever the encoding of stderr
    (line,) = map(json.loads, lines)
    del line["ts"]
    assert line == {
        "level": "warning", "logger": "depinmesh", "msg": "clash", "msg_": 1, "ts_": 2, "exc_": 3, "topic": "ü\n",
    }  # fmt: skip


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_what_a_registry_says_adds_no_line_and_moves_no_cursor(formatter: logging.Formatter) -> None:
    said = "the registry said: no\n2026 ERROR forged\x9b2J\u2028"
    (line,) = formatted(formatter, lambda log: log.log(30, said, {"reason": said}))
    assert line.isprintable()


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()])
def test_values_of_a_logger_adapter_take_no_fields_away(formatter: logging.Formatter) -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    logger = logging.Logger("app", logging.DEBUG)  # noqa: LOG001  # not among those of the process
    logger.addHandler(handler)
    adapt(logging.LoggerAdapter(logger, {"service": "x"})).log(40, "a handler raised", {"topic": "rooms"})
    assert "rooms" in out.getvalue()


def test_a_json_line_of_the_core_has_its_own_time() -> None:
    record = logging.makeLogRecord({"msg": "of %s", "args": ("others",), "levelname": "INFO", "name": "other"})
    assert json.loads(JsonFormatter().format(record))["msg"] == "of others"


def test_json_and_text_show_tracebacks() -> None:
    def write(log: StdlibLogger) -> None:
        try:
            Path("/nowhere").stat()
        except OSError as error:
            log.log(40, "failed", {}, error)

    assert "FileNotFoundError" in json.loads(formatted(JsonFormatter(), write)[0])["exc"]
    assert formatted(TextFormatter(), write)[-1].startswith("FileNotFoundError")


def test_a_line_of_text_cannot_be_forged_by_a_value() -> None:
    evil = "x\n2026-01-01T00:00:00.000Z INFO depinmesh all is well \x1b[31m"
    for formatter in (TextFormatter(), logging.Formatter("%(message)s")):
        (line,) = formatted(
            formatter, lambda log: log.log(20, "a peer", {"agent": evil, "n": 1, "empty": "", "b": "c=d"})
        )
        assert r"\n" in line
        assert "\x1b" not in line
        assert line.endswith(' n=1 empty="" b="c=d"')


def test_no_value_shows_a_secret() -> None:
    from pydantic import SecretStr
    from solders.keypair import Keypair as SoldersKeypair

    own, other = Keypair.generate(), SoldersKeypair()
    fields = {"a": own, "b": other, "c": SecretStr("hunter2"), "d": [own, {"e": other}], "f": bytes(other)}
    target = Slog()
    SlogLogger(target).log(logging.INFO, "keys", fields)
    shown = str(target.calls)
    for formatter in (JsonFormatter(), TextFormatter(), logging.Formatter("%(message)s")):
        shown += "\n".join(formatted(formatter, lambda log: log.log(20, "keys", fields)))
    for secret in (own.to_base58(), str(other), "hunter2", repr(bytes(other))):
        assert secret not in shown


def test_a_float_that_json_has_no_word_for_is_a_text() -> None:
    lines = formatted(JsonFormatter(), lambda log: log.log(20, "odd", {"x": float("nan"), "y": 1.5, "z": None}))
    assert (json.loads(lines[0])["x"], json.loads(lines[0])["y"], json.loads(lines[0])["z"]) == ("nan", 1.5, None)


def test_a_structlog_logger_that_filters_nothing_gets_information_and_above() -> None:
    assert adapt(structlog.get_logger()).level == logging.INFO
