"""The page of figures about security names tests and targets that there are."""

from __future__ import annotations

import re
from pathlib import Path

from tests.security.defences import MUST_FAIL

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
PROMISES = {*range(1, 12), 15, 17, 18, *range(20, 24), *range(25, 29), *range(32, 38), *range(40, 45), 46}


def rows() -> list[list[str]]:
    """Return the cells of every row of figures."""
    lines = [line for line in PAGE.partition("## Figures")[2].splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if "---" not in line]


def test_every_promise_has_a_row_with_a_figure_and_what_shows_it() -> None:
    numbers = [int(row[0][1:]) for row in rows() if row[0].startswith("Q")]
    assert sorted(numbers) == sorted(PROMISES)
    for row in rows():
        assert len(row) == 6, row
        assert all(row[column] for column in (1, 2, 3, 4)), row


def test_every_test_and_target_that_is_named_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for row in rows():
        for name in re.findall(r"`([^`]+)`", row[4]):
            if name.endswith(".py"):
                assert (ROOT / "tests" / name).exists(), name
            elif name.startswith("make "):
                assert re.search(rf"^{name.removeprefix('make ')}:", makefile, re.MULTILINE), name


def test_the_table_of_removed_defences_has_the_numbers_of_the_list() -> None:
    table = PAGE.partition("## Can the tests fail?")[2].partition("## Figures")[0]
    counts = [int(line.split("|")[-2]) for line in table.splitlines() if re.search(r"\| \d+ \|$", line)]
    assert sorted(counts) == sorted(len(tests) for tests in MUST_FAIL.values())
