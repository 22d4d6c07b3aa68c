"""Fixtures for tests that need real nodes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import mesh_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from depinmesh import Database


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Database, Database]]:
    """Two connected nodes."""
    async with mesh_of(2) as (one, two):
        yield one, two
