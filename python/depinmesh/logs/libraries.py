"""structlog and loguru. Neither is needed by the package: the program brings its logger."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from depinmesh.logs.adapters import Adapter, level_name

if TYPE_CHECKING:
    from depinmesh.logs.entry import Entry

# What structlog's methods call their arguments: a field of such a name gets an underscore.
_STRUCTLOG = ("event", "exc_info", "self", "stack_info", "stacklevel")
_TRACE = 5


class StructlogLogger(Adapter):
    """Writes to a logger of structlog, bound or not: `logger.info(message, logger=part, **fields)`."""

    def __init__(self, logger: Any, *, level: int | None = None) -> None:
        """Write to the logger.

        Args:
            logger: What `structlog.get_logger()` returns.
            level: The lowest level that it is given; None: as the logger filters, INFO when it does not.
        """
        super().__init__(logger, logging.INFO if level is None else level)
        self._logger = logger
        self._asks = level is None

    @property
    def level(self) -> int:
        """The lowest level that is written."""
        if self._asks:
            for name in ("get_effective_level", "getEffectiveLevel"):
                method = getattr(self._logger, name, None)
                if callable(method):
                    # 0: it filters nothing, which is no wish for the innermost details of the network.
                    return int(method()) or self._level
        return self._level

    def emit(self, entry: Entry) -> None:
        """Call the method of the level."""
        fields: dict[str, Any] = {
            name + "_" if name in _STRUCTLOG else name: value for name, value in entry.fields.items()
        }
        if entry.error is not None:
            fields["exc_info"] = entry.error
        fields.setdefault("logger", entry.name)
        getattr(self._logger, level_name(entry.level))(entry.message, **fields)


class LoguruLogger(Adapter):
    """Writes to loguru: the fields are in `extra`, beside `logger`, the part of the package that speaks."""

    def __init__(self, logger: Any = None, *, level: int = logging.INFO) -> None:
        """Write to the logger.

        Args:
            logger: A logger of loguru; None is the one that `from loguru import logger` gives.
            level: The lowest level that it is given, as `logging` numbers them: loguru does not tell its own.
        """
        if logger is None:
            from loguru import logger
        super().__init__(logger, level)
        self._logger: Any = logger

    def emit(self, entry: Entry) -> None:
        """Log with the fields bound."""
        level = "TRACE" if entry.level <= _TRACE else level_name(entry.level).upper()
        # One argument alone: loguru then takes braces in the message for what they are.
        self._logger.bind(**{"logger": entry.name, **entry.fields}).opt(exception=entry.error).log(level, entry.message)
