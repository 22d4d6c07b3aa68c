"""One log record on its way to whatever logger there is, and how its values are shown."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from depinmesh import _core

ROOT = "depinmesh"

Plain: TypeAlias = "str | int | float | bool | list[Plain] | dict[str, Plain] | None"

_OWN_CRATES = ("depinmesh_core::", "depinmesh::")
# Some of them show the secret when they are made a text.
_SECRET = ("Keypair", "SecretKey", "SecretStr", "SecretBytes", "SigningKey", "PrivateKey")


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be logged."""

    level: int
    """As `logging` numbers them; 5 is trace."""
    message: str
    fields: Mapping[str, Plain] = field(default_factory=dict)
    error: BaseException | None = None
    part: str = ""
    """The part of the package: empty, or `core.gate` for the gate in the core."""
    time: float | None = None
    """When it happened, in Unix seconds; None is now."""

    @classmethod
    def of_core(cls, row: _core.LogRow) -> Entry:
        """Make one of a record of the core."""
        level, target, message, fields, time = row
        for crate in _OWN_CRATES:
            target = target.removeprefix(crate)
        return cls(level, message, fields, part="core." + target.replace("::", "."), time=time)

    @property
    def name(self) -> str:
        """The name of the logger, such as `depinmesh.core.gate`."""
        return f"{ROOT}.{self.part}" if self.part else ROOT

    @property
    def text(self) -> str:
        """The message, and after it the fields as `key=value`."""
        return " ".join([self.message, *(f"{name}={quoted(value)}" for name, value in self.fields.items())])


def plain(value: object) -> Plain:
    """Return what every logger can write: JSON values as they are, anything else as a text that shows no secret."""
    if type(value).__name__ in _SECRET:
        return f"<{type(value).__name__}>"
    if value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, bytes | bytearray):
        return f"<{len(value)} bytes>"
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(inner) for inner in value]
    return str(value) if isinstance(value, str) else str(value) or repr(value)


def quoted(value: Plain) -> str:
    """Return a value for a line of text. What a peer sends may hold line breaks, and must not look like our lines."""
    if not isinstance(value, str):
        return json.dumps(value)
    harmless = value.isprintable() and value and not any(character in value for character in ' "=')
    return value if harmless else json.dumps(value)
