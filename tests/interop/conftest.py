"""The option that writes the table of docs/interop.md anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.interop.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options. A table is written by a run in one process."""
    parser.addoption("--write-table", action="store_true", help="write what the matrix finds into docs/interop.md")
    parser.addoption("--long", action="store_true", help="try longer what is a matter of luck")


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether the run may take hours."""
    return bool(request.config.getoption("--long", False))


@pytest.fixture(scope="session")
def table(request: pytest.FixtureRequest) -> Iterator[Table]:
    """The committed table; with the option a new one, written when the session ends."""
    if not request.config.getoption("--write-table", False):
        yield Table.committed()
        return
    fresh = Table()
    yield fresh
    fresh.write()
