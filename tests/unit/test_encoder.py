"""The strict JSON encoder of messages: what it writes is read back equal, everything else is refused by name."""

from __future__ import annotations

import enum
import json
import math
import sys
from collections import OrderedDict
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple

import pydantic_core
import pytest
from hypothesis import given
from hypothesis import strategies as st

from depinmesh import EncodeError, MessageTooLargeError
from depinmesh._core import encode_json

# No lone surrogates: they are no text that UTF-8 can carry.
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=40)


def same(left: Any, right: Any) -> bool:
    """Equal, and of the same types throughout: 1 is not 1.0, and 0.0 is not -0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float):
        return math.copysign(1, left) == math.copysign(1, right) and left == right
    return bool(left == right)


@given(VALUES)
def test_values_are_read_back_equal_by_our_decoder_and_by_the_standard_one(value: Any) -> None:
    text = encode_json(value)
    assert same(pydantic_core.from_json(text, allow_inf_nan=False, cache_strings="keys"), value)
    assert same(json.loads(text), value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-1, "-1"),
        (2**63, "9223372036854775808"),
        (-(2**63), "-9223372036854775808"),
        (2**200, str(2**200)),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (1e21, "1e21"),
        (5e-324, "5e-324"),
        (sys.float_info.max, "1.7976931348623157e308"),
        ("", '""'),
        ("<b>&amp;\u2028\u2029</b>", '"<b>&amp;\u2028\u2029</b>"'),
        ('"\\/\b\f\n\r\t\0\x1f\x7f', '"\\"\\\\/\\u0008\\u000c\\n\\r\\t\\u0000\\u001f\x7f"'),
        ("žluť 🦀", '"žluť 🦀"'),
        ([], "[]"),
        ((1, (2,)), "[1,[2]]"),
        ({}, "{}"),
        ({"b": 1, "a": [{}, None]}, '{"b":1,"a":[{},null]}'),
    ],
)
def test_text(value: Any, text: str) -> None:
    assert encode_json(value).decode() == text


class Level(enum.IntEnum):
    LOW = 1


class Kind(enum.StrEnum):
    JOIN = "join"


class Loud(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "LOUD"


class Odd(int):
    def __repr__(self) -> str:
        return "odd"

    __str__ = __repr__


class Half(float):
    def __repr__(self) -> str:
        return "half"


class Rows(list[int]):
    pass


class Point(NamedTuple):
    x: int
    y: int


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Level.LOW, "1"),
        (Kind.JOIN, '"join"'),
        (Loud("quiet"), '"quiet"'),
        (Odd(3), "3"),
        (Odd(10**30), str(10**30)),
        (Half(0.5), "0.5"),
        (Rows([1, 2]), "[1,2]"),
        (Point(1, 2), "[1,2]"),
        (OrderedDict(a=1), '{"a":1}'),
        ({Kind.JOIN: 1, Loud("k"): 2}, '{"join":1,"k":2}'),
    ],
)
def test_subclasses_are_what_they_hold(value: Any, text: str) -> None:
    assert encode_json(value).decode() == text


OtherBool = type("bool", (), {"__doc__": "Its name is that of a class that JSON has."})


@dataclass
class Room:
    name: str


class Model:
    pass


@pytest.mark.parametrize(
    ("value", "path", "problem"),
    [
        (b"raw", "message", "base64"),
        ({"data": bytearray(b"raw")}, "message.data", "base64"),
        ([memoryview(b"raw")], "message[0]", "base64"),
        ({"rooms": [1, 2, {"name": {1}}]}, "message.rooms[2].name", "set"),
        ({"a b": Decimal(1)}, 'message["a b"]', "Decimal"),
        ({"": 1j}, 'message[""]', "complex"),
        ({"k" * 50: object()}, f'message["{"k" * 40}"...]', "object"),
        (Room("x"), "message", "Room"),
        ([Model], "message[0]", "type"),
        ({"x": math.nan}, "message.x", "NaN"),
        ({"x": math.inf}, "message.x", "infinity"),
        ((1.0, -math.inf), "message[1]", "infinity"),
        ({"x": "\ud800"}, "message.x", "surrogate"),
        ({"\udfff": 1}, "message", "surrogate"),
        ({"x": {1: 2}}, "message.x", "key 1 is int"),
        ({"x": {None: 2}}, "message.x", "key None is NoneType"),
        ({"x": {b"k": 2}}, "message.x", "key b'k' is bytes"),
        ({"x": 10**4300}, "message.x", "4300 digits"),
        ([-(10**4300)], "message[0]", "4300 digits"),
        ([1 << 10_000_000], "message[0]", "4300 digits"),
        ({"x": 10**4300}, "message.x", "an integer of more than 4300 digits"),  # which Python would put otherwise
        ({"x": OtherBool()}, "message.x", f"JSON has no {__name__}.bool;"),
    ],
)
def test_everything_else_is_refused_by_path(value: Any, path: str, problem: str) -> None:
    with pytest.raises(EncodeError) as caught:
        encode_json(value)
    assert str(caught.value).startswith(f"{path} cannot be sent: ")
    assert problem in str(caught.value)
    assert caught.value.path == path


def test_integers_have_at_most_4300_digits() -> None:
    largest = 10**4300 - 1
    for value in (largest, -largest):
        assert int(encode_json(value)) == value


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_depth_is_limited_to_128() -> None:
    assert encode_json(nested(128)) == b"[" * 128 + b"1" + b"]" * 128
    with pytest.raises(EncodeError, match="deeper than 128"):
        encode_json(nested(129))


def test_a_value_that_contains_itself_ends_with_a_short_path() -> None:
    cycle: dict[str, Any] = {}
    cycle["me"] = [cycle]
    with pytest.raises(EncodeError, match="contains itself") as caught:
        encode_json(cycle)
    assert len(str(caught.value)) < 300


def test_small_values_that_become_endless_text_are_refused_soon() -> None:
    bomb: Any = "x"
    for _ in range(100):
        bomb = [bomb] * 10
    with pytest.raises(MessageTooLargeError):
        encode_json(bomb)
    with pytest.raises(MessageTooLargeError):
        encode_json(["x" * 1024 * 1024] * 17)


def test_a_limit_on_digits_that_the_program_has_set_is_named() -> None:
    before = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(1000)
    try:
        with pytest.raises(EncodeError, match="1000"):
            encode_json({"x": 1 << 4000})
    finally:
        sys.set_int_max_str_digits(before)


def test_a_key_whose_repr_raises_is_refused_all_the_same() -> None:
    class Silent:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    with pytest.raises(EncodeError, match="Silent"):
        encode_json({Silent(): 1})
