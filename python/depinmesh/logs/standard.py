"""The logging of the standard library."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from depinmesh.logs.adapters import Adapter
from depinmesh.logs.entry import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from depinmesh.logs.entry import Entry

# From `log` of the adapter up to who called it.
_OUR_FRAMES = 4


@runtime_checkable
class LoggerLike(Protocol):
    """The part of `logging.Logger` that is used; a `logging.LoggerAdapter` has it too."""

    def isEnabledFor(self, level: int, /) -> bool:  # noqa: N802
        """Say whether records of this level are written."""

    def getEffectiveLevel(self) -> int:  # noqa: N802
        """Return the lowest level that is written."""

    def log(self, level: int, msg: object, /, *args: object, **options: Any) -> None:
        """Write a record."""


class Text:
    """The message of a `logging.LogRecord`: with its fields for formatters that know of none, alone for ours."""

    __slots__ = ("_entry",)

    def __init__(self, entry: Entry) -> None:
        self._entry = entry

    @property
    def alone(self) -> str:
        """The message without the fields."""
        return self._entry.message

    @property
    def fields(self) -> Mapping[str, object]:
        """The fields."""
        return self._entry.fields

    def __str__(self) -> str:
        """Return the message with the fields."""
        return self._entry.text


class StdlibLogger(Adapter):
    """Writes to a logger of the standard library, by default `depinmesh`.

    Records of the core come from loggers below it that are named after the part of the core, such as
    `depinmesh.core.gate`. The values beside the text are in the attribute `fields` of a record, a dict, and at the end
    of the text. The level is that of the logger, and may change at any time.
    """

    def __init__(self, logger: LoggerLike | logging.Logger | logging.LoggerAdapter[Any] | None = None) -> None:
        self._logger: LoggerLike | logging.Logger | logging.LoggerAdapter[Any] = (
            logging.getLogger(ROOT) if logger is None else logger
        )
        super().__init__(self._logger, logging.NOTSET)

    @property
    def level(self) -> int:
        """The lowest level that is written."""
        return self._logger.getEffectiveLevel()

    def emit(self, entry: Entry) -> None:
        """Write a record."""
        extra = {"fields": entry.fields}
        logger = self._logger
        if not entry.part or not isinstance(logger, logging.Logger):
            if logger.isEnabledFor(entry.level):
                logger.log(entry.level, Text(entry), exc_info=entry.error, extra=extra, stacklevel=_OUR_FRAMES)
            return
        # A logger that was not made by `getLogger` has no children: theirs would be another one's.
        child = logger.getChild(entry.part) if logging.getLogger(logger.name) is logger else logger
        if child.isEnabledFor(entry.level):
            name = f"{logger.name}.{entry.part}"
            record = child.makeRecord(name, entry.level, "(core)", 0, Text(entry), (), None, entry.part, extra)
            if entry.time is not None:
                # When it happened, not when it was fetched.
                record.relativeCreated += (entry.time - record.created) * 1000
                record.created = entry.time
                record.msecs = entry.time % 1 * 1000
            child.handle(record)
