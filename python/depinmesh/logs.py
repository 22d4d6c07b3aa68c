"""Where log records go: those of the package, and those of the core, which a thread hands on."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from depinmesh import _core
from depinmesh.errors import ConfigError, ConfigProblem, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

_OFF = 255
_BATCH = 512
# Seconds between two looks at the level, as nobody tells us of a change, and at whether the thread is still needed.
_LOOK = 0.25


@runtime_checkable
class LoggerLike(Protocol):
    """The part of `logging.Logger` that is used; a `logging.LoggerAdapter` has it too."""

    def isEnabledFor(self, level: int, /) -> bool:  # noqa: N802
        """Say whether records of this level are written."""

    def getEffectiveLevel(self) -> int:  # noqa: N802
        """Return the lowest level that is written."""

    def log(self, level: int, msg: object, /, *args: object, **options: Any) -> None:
        """Write a record."""


class StdlibLogger:
    """Writes to a logger of the standard library, by default `depinmesh`.

    Records of the core come from loggers below it that are named after the part of the core, such as
    `depinmesh.core.depinmesh_core.gate`. The values beside the text are in the attribute `fields` of a record, a dict,
    and at the end of the text. A logger that raises never stops what is being logged.
    """

    def __init__(self, logger: LoggerLike | None = None) -> None:
        self._logger: LoggerLike | logging.Logger = logging.getLogger("depinmesh") if logger is None else logger

    @property
    def level(self) -> int:
        """The lowest level that is written."""
        return self._logger.getEffectiveLevel()

    def log(self, level: int, message: str, fields: Mapping[str, object], error: BaseException | None = None) -> None:
        """Write a record of the package."""
        with contextlib.suppress(Exception):
            if self._logger.isEnabledFor(level):
                self._logger.log(level, "%s", _text(message, fields), exc_info=error, extra={"fields": dict(fields)})

    def write(self, row: _core.LogRow) -> None:
        """Write a record of the core."""
        level, target, message, fields, time = row
        text = _text(message, fields)
        with contextlib.suppress(Exception):
            if not isinstance(self._logger, logging.Logger):
                if self._logger.isEnabledFor(level):
                    self._logger.log(level, "%s", text, extra={"fields": fields})
                return
            logger = self._logger.getChild("core." + target.replace("::", "."))
            if logger.isEnabledFor(level):
                record = logger.makeRecord(
                    logger.name, level, "(core)", 0, "%s", (text,), None, target, {"fields": fields}
                )
                # When it happened, not when it was fetched.
                record.relativeCreated += (time - record.created) * 1000
                record.created = time
                record.msecs = time % 1 * 1000
                logger.handle(record)

    def __eq__(self, other: object) -> bool:
        """Compare by where records go."""
        return isinstance(other, StdlibLogger) and self._logger is other._logger

    def __hash__(self) -> int:
        """Agree with `==`."""
        return id(self._logger)


def adapt(logger: object) -> StdlibLogger:
    """Return what writes to a logger: None is the logger `depinmesh`, else one with the methods of a stdlib one."""
    if logger is None or isinstance(logger, LoggerLike):
        return StdlibLogger(logger)
    reason = "has not the methods of a logging.Logger"
    raise ConfigError.of([ConfigProblem("logger", shown(logger), reason, "give a logger of the logging module")])


def _text(message: str, fields: Mapping[str, object]) -> str:
    return " ".join([message, *(f"{name}={value}" for name, value in fields.items())])


class _Forwarder:
    """The thread that takes the records of the core, of all nodes of the process, while there are nodes.

    A thread and not the loop: records also flow while the loop is blocked, and a slow logger does not block the loop.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: list[StdlibLogger] = []
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._level = _OFF
        self._dropped = 0

    def add(self, logger: StdlibLogger) -> None:
        """Begin to write to this one, too, for one node more."""
        if self._pid != os.getpid():
            # The thread, and perhaps the holder of the lock, stayed in the parent.
            self.__init__()  # type: ignore[misc]  # all of its state is to be as new
        with self._lock:
            self._users.append(logger)
            self._follow_level()
            if self._thread is None:
                self._dropped = _core.logs_dropped()
                self._thread = threading.Thread(target=self._run, name="depinmesh-logs", daemon=True)
                self._thread.start()

    def remove(self, logger: StdlibLogger) -> None:
        """End what one `add` began."""
        # Called by finalisers, which can interrupt a holder of the lock: this is one step, and needs no lock.
        with contextlib.suppress(ValueError):
            self._users.remove(logger)

    def finish(self) -> None:
        """Write what is left when the process ends."""
        self._users.clear()
        thread = self._thread
        if thread is not None and self._pid == os.getpid():
            thread.join(4 * _LOOK)

    def _run(self) -> None:
        before: set[StdlibLogger] = set()
        while True:
            # The last ones stay for the records of their node's end.
            before = set(self._users) or before
            rows = _core.take_logs(_BATCH, _LOOK)
            # A node that came during the wait: the records may be those of its start, and there may be no others.
            loggers = before | set(self._users)
            for row in rows:
                for logger in loggers:
                    logger.write(row)
            self._report_dropped(loggers)
            with self._lock:
                if not rows and not self._users:
                    self._thread = None
                    _core.set_log_level(_OFF)
                    self._level = _OFF
                    return
                self._follow_level()

    def _follow_level(self) -> None:
        if not self._users:
            return
        with contextlib.suppress(Exception):
            level = min(logger.level for logger in self._users)
            level = max(0, level) if level <= logging.ERROR else _OFF
            if level != self._level:
                _core.set_log_level(level)
                self._level = level

    def _report_dropped(self, loggers: set[StdlibLogger]) -> None:
        dropped = _core.logs_dropped()
        if dropped > self._dropped:
            for logger in loggers:
                logger.log(logging.WARNING, "log records of the core were dropped", {"count": dropped - self._dropped})
            self._dropped = dropped


forwarder = _Forwarder()
atexit.register(forwarder.finish)
