"""Text to values: `30s`, `8MiB`, `true`, `none`, `a, b`. In code a number is a number; text is for files and shells."""

from __future__ import annotations

import re
import types
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeGuard, Union, get_args, get_origin

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pydantic.fields import FieldInfo

_AMOUNT = re.compile(r"([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*([A-Za-z]*)")
_MOST_DIGITS = 30  # of any amount; of 1e1000000 a number is made for a while, and the rest takes longer
_ONE: Mapping[str, int | Decimal] = {"": 1}
_SECONDS: Mapping[str, int | Decimal] = {
    "": 1,
    "ms": Decimal("0.001"),
    "s": 1,
    "m": 60,
    "min": 60,
    "h": 3600,
    "d": 86_400,
}
_BYTES: Mapping[str, int | Decimal] = {
    "": 1,
    "B": 1,
    "kB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
}
_FLAGS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
NOTHING = ("none", "null", "off", "~", "")


def from_text(value: object, field: FieldInfo) -> object:
    """Return the value that a field takes, made of text where that is given. `ValueError` says what is wrong."""
    bases = bases_of(field.annotation)
    if value is False and types.NoneType in bases and bool not in bases:
        return None  # YAML reads `off` so
    if not isinstance(value, str):
        return value
    text = value.strip()
    if types.NoneType in bases and text.lower() in NOTHING:
        return None
    return converted(text, bases, unit_of(field))


def converted(text: str, bases: Collection[object], unit: str | None) -> object:
    """Return text as a value of one of these types. `ValueError` says what is wrong."""
    if bool in bases:
        return _flag(text)
    if float in bases:
        return float(_amount(text, _SECONDS, "a duration such as 500ms, 30s, 5m or 1h"))
    if int in bases:
        return _size(text) if unit == "bytes" else _whole(_amount(text, _ONE, "a whole number"))
    if tuple in bases:
        return items(text)
    return Path(text) if Path in bases else text


def items(text: str) -> list[str]:
    """Return the parts of a list that is separated by commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def unit_of(field: FieldInfo) -> str | None:
    """Return `seconds`, `bytes`, or `None`."""
    extra = field.json_schema_extra
    unit = extra.get("unit") if isinstance(extra, dict) else None
    return str(unit) if unit else None


def bases_of(annotation: Any) -> set[object]:
    """Return the types of an annotation, without what stands around them."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return bases_of(get_args(annotation)[0])
    if _is_union(origin):
        return {base for inner in get_args(annotation) for base in bases_of(inner)}
    return {annotation if origin is None else origin}


def _is_union(origin: object) -> TypeGuard[object]:
    return origin is Union or origin is types.UnionType


def _amount(text: str, units: Mapping[str, int | Decimal], form: str) -> Decimal:
    match = _AMOUNT.fullmatch(text)
    if match is None or match[2] not in units:
        raise ValueError(f"is not {form}")
    try:
        amount = Decimal(match[1]) * units[match[2]]
    except ArithmeticError:
        raise ValueError(f"is not {form}") from None
    if amount.adjusted() > _MOST_DIGITS:
        raise ValueError(f"is not {form}")
    return amount


def _flag(text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise ValueError("is neither true nor false")
    return _FLAGS[text.lower()]


def _size(text: str) -> int:
    return _whole(_amount(text, _BYTES, "a size such as 4096, 64KiB or 8MiB"))


def _whole(number: Decimal) -> int:
    if number != number.to_integral_value():
        raise ValueError("is not a whole number")
    return int(number)
