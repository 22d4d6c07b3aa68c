"""The catalogue of threats names the tests that there are."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CATALOGUE = tomllib.loads((ROOT / "tests/security/scenarios.toml").read_text())
NUMBERS = {"G": range(1, 17), "C": [*range(1, 9), 11, 12], "M": range(1, 9), "R": [*range(1, 8), 10, 11, 12]}
NUMBERS |= {"D": [2, 3, 4, 6], "W": range(1, 11), "L": range(1, 10), "Y": [*range(1, 12), 14, 15]}
NUMBERS |= {"P": [*range(1, 8), 9, 10]}


@cache
def named_in(file: str) -> set[str]:
    text = (ROOT / file).read_text()
    if file.endswith(".rs"):
        return set(re.findall(r"#\[(?:tokio::)?test\b[^\n]*\n\s*(?:async )?fn (\w+)\(", text))
    tree = ast.parse(text)
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds) and node.name.startswith("test_")}


def test_every_scenario_is_shown_or_named_as_open() -> None:
    assert {f"{group}{number}" for group, numbers in NUMBERS.items() for number in numbers} == {
        *CATALOGUE["shown"],
        *CATALOGUE["open"],
    }
    assert not CATALOGUE["shown"].keys() & CATALOGUE["open"].keys()


@pytest.mark.parametrize("part", ["shown", "advisories"])
def test_every_test_that_is_named_is_there(part: str) -> None:
    for name in chain.from_iterable(CATALOGUE[part].values()):
        file, _, test = name.partition("::")
        assert test in named_in(file), name
