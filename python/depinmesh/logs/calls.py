"""Loggers that are known by the way they are called: Go's slog, and LiveKit's."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from depinmesh.errors import ConfigError, ConfigProblem, shown
from depinmesh.logs.adapters import Adapter, level_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from depinmesh.logs.entry import Entry

# What may hold the error of a record, in the order of the search.
_ERRORS = ("error", "err", "exc")


class SlogLogger(Adapter):
    """Writes to an object with `debug`, `info`, `warn` (or `warning`) and `error`, also spelt with a capital.

    They are called as `info(message, key, value, key, value, ..)`: always whole pairs, with text as keys, so that a
    reader of pairs finds no odd one. `logger` is the key of the part of the package that speaks.
    """

    def __init__(self, target: object, *, level: int = logging.INFO) -> None:
        """Write to the object.

        Args:
            target: Whose methods are called.
            level: The lowest level that it is given, as `logging` numbers them.
        """
        super().__init__(target, level)
        self._methods = _methods(target, "")

    def emit(self, entry: Entry) -> None:
        """Call the method of the level."""
        fields = dict(entry.fields)
        if entry.error is not None:
            fields.setdefault("error", str(entry.error) or repr(entry.error))
        self._methods[level_name(entry.level)](entry.message, *_pairs(entry, fields))


class LiveKitLogger(Adapter):
    """Writes to an object with `debugw`, `infow`, `warnw` and `errorw`, also spelt with a capital.

    They are called as `infow(message, key, value, ..)` and `warnw(message, error, key, value, ..)`: the error, or None,
    comes first. It is the exception of the record, else its field `error`, `err` or `exc`.
    """

    def __init__(self, target: object, *, level: int = logging.INFO) -> None:
        """Write to the object.

        Args:
            target: Whose methods are called.
            level: The lowest level that it is given, as `logging` numbers them.
        """
        super().__init__(target, level)
        self._methods = _methods(target, "w")

    def emit(self, entry: Entry) -> None:
        """Call the method of the level."""
        fields = dict(entry.fields)
        level = level_name(entry.level)
        if level in ("debug", "info"):
            if entry.error is not None:
                fields.setdefault("error", str(entry.error) or repr(entry.error))
            self._methods[level](entry.message, *_pairs(entry, fields))
            return
        error: object = entry.error
        if error is None:
            error = next((fields.pop(name) for name in _ERRORS if name in fields), None)
        self._methods[level](entry.message, error, *_pairs(entry, fields))


def _pairs(entry: Entry, fields: dict[str, Any]) -> list[object]:
    pairs: list[object] = []
    for key, value in {"logger": entry.name, **fields}.items():
        pairs += (key, value)
    return pairs


def _methods(target: object, suffix: str) -> dict[str, Callable[..., object]]:
    found = {}
    for level, names in {
        "debug": ["debug"],
        "info": ["info"],
        "warning": ["warn", "warning"],
        "error": ["error"],
    }.items():
        spellings = [spelt + suffix for name in names for spelt in (name, name.capitalize())]
        method = next((getattr(target, name) for name in spellings if callable(getattr(target, name, None))), None)
        if method is None:
            reason = f"has no method {spellings[0]}"
            raise ConfigError.of([ConfigProblem("logger", shown(target), reason, "one for each level is needed")])
        found[level] = method
    return found
