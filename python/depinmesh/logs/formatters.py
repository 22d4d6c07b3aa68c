"""Two formatters for handlers of the standard library: JSON for machines, text for people."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime

from depinmesh._text import in_a_line
from depinmesh.logs.entry import Plain, plain, quoted
from depinmesh.logs.standard import Text


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `ts` (ISO 8601, UTC), `level`, `logger`, `msg`, then the fields of the record.

    A field with one of these names gets an underscore behind it. `exc` has the traceback. Records of other loggers are
    written in the same form.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Plain] = {
            "ts": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": _message(record),
        }
        taken = (*line, "exc")
        for name, value in _fields(record).items():
            line[f"{name}_" if name in taken else name] = plain(value)
        if record.exc_info and record.exc_info[0] is not None:
            line["exc"] = self.formatException(record.exc_info)
        return json.dumps(line)  # in ASCII, whatever the encoding of the stream


class TextFormatter(logging.Formatter):
    """A line of text: time in UTC, level, logger, message, and the fields as `key=value`. A traceback follows below."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        fields = [f"{name}={quoted(plain(value))}" for name, value in _fields(record).items()]
        line = " ".join([_time(record), f"{record.levelname:<7}", record.name, in_a_line(_message(record)), *fields])
        if record.exc_info and record.exc_info[0] is not None:
            line += "\n" + self.formatException(record.exc_info)
        return line


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _message(record: logging.LogRecord) -> str:
    return record.msg.alone if isinstance(record.msg, Text) else record.getMessage()


def _fields(record: logging.LogRecord) -> Mapping[str, object]:
    if isinstance(record.msg, Text):  # a LoggerAdapter puts values of its own in the place of ours
        return record.msg.fields
    fields = getattr(record, "fields", None)
    return fields if isinstance(fields, Mapping) else {}
