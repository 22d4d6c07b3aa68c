"""What all adapters have in common, and which of them fits a logger."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from depinmesh.errors import ConfigError, ConfigProblem, shown
from depinmesh.logs.entry import Entry, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from depinmesh import _core

LEVELS = ((logging.ERROR, "error"), (logging.WARNING, "warning"), (logging.INFO, "info"))


class Failures:
    """Records that a logger did not take because it raised: counted, and nothing else, as nobody could be told."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.count = 0

    def add(self) -> None:
        """Count one."""
        with self._lock:
            self.count += 1


failures = Failures()


class Adapter(ABC):
    """Writes to a logger of some kind. A logger that raises never stops what is being logged: that is counted.

    A subclass of your own is all that `Config.logger` needs to write somewhere else.
    """

    def __init__(self, target: object, level: int) -> None:
        """Keep the logger and the lowest level that it is given, as `logging` numbers them."""
        self._target = target
        self._level = level

    @property
    def level(self) -> int:
        """The lowest level that is written; records of the core below it are not even made."""
        return self._level

    @abstractmethod
    def emit(self, entry: Entry) -> None:
        """Write one record; called from the event loop, and from the thread that has the records of the core."""

    def log(self, level: int, message: str, fields: Mapping[str, object], error: BaseException | None = None) -> None:
        """Write a record of the package."""
        self._write(Entry(level, message, {name: plain(value) for name, value in fields.items()}, error))

    def write(self, row: _core.LogRow) -> None:
        """Write a record of the core."""
        self._write(Entry.of_core(row))

    def _write(self, entry: Entry) -> None:
        try:
            if entry.level >= self.level:
                self.emit(entry)
        except (Exception, SystemExit):  # noqa: BLE001  # whatever the logger raises; the thread serves all nodes
            failures.add()

    def __eq__(self, other: object) -> bool:
        """Compare by where records go: two nodes with one logger write each record of the core once."""
        return isinstance(other, Adapter) and type(self) is type(other) and self._target is other._target

    def __hash__(self) -> int:
        """Agree with `==`."""
        return id(self._target)

    def __repr__(self) -> str:
        """Name the kind."""
        return f"<{type(self).__name__} of {type(self._target).__name__}>"


def level_name(level: int) -> str:
    """Return `error`, `warning`, `info` or `debug`."""
    return next((name for limit, name in LEVELS if level >= limit), "debug")


def adapt(logger: object) -> Adapter:
    """Return what writes to a logger, chosen by its methods; its `repr` says which.

    Raises:
        ConfigError: The object is called in none of the known ways, or is an `Adapter` that was not made completely.
    """
    from depinmesh.logs.calls import LiveKitLogger, SlogLogger
    from depinmesh.logs.libraries import LoguruLogger, StructlogLogger
    from depinmesh.logs.standard import LoggerLike, StdlibLogger

    if isinstance(logger, Adapter):
        try:
            hash(logger)
        except Exception as error:
            reason = f"cannot be told from other loggers: {type(error).__name__}: {error}"
            hint = "call super().__init__(target, level), and keep __eq__ and __hash__ of Adapter"
            raise ConfigError.of([ConfigProblem("logger", type(logger).__name__, reason, hint)]) from error
        return logger
    # structlog's loggers can have the methods of the standard ones too: they are asked first.
    if _has(logger, "bind", "unbind", "info"):
        return StructlogLogger(logger)
    if _has(logger, "bind", "opt", "log"):
        return LoguruLogger(logger)
    if logger is None or isinstance(logger, LoggerLike):
        return StdlibLogger(logger)
    if _has(logger, "errorw") or _has(logger, "Errorw"):
        return LiveKitLogger(logger)
    if _has(logger, "info", "error") or _has(logger, "Info", "Error"):
        return SlogLogger(logger)
    reason = "is no logger: it has the methods of none that is known"
    hint = "a logger of logging, structlog or loguru, an object with debug, info, warn and error, or an Adapter"
    raise ConfigError.of([ConfigProblem("logger", shown(logger), reason, hint)])


def _has(logger: object, *methods: str) -> bool:
    return all(callable(getattr(logger, method, None)) for method in methods)
