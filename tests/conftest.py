"""Fixtures for tests that need real nodes."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

import pytest

from tests.support import mesh_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from depinmesh import Database

# What a shell starts in the background ignores Ctrl-C, and so would the programs that the tests end by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

EVERY_LOOP = {"test_publish_subscribe.py"}
"""The files of the core path, which run on every event loop; the others run on that of asyncio."""


def pytest_asyncio_loop_factories(item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Say which event loops a test runs on."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if item.path.name in EVERY_LOOP:
        try:
            from uvloop import new_event_loop
        except ImportError:  # there is none for Windows
            return factories
        factories["uvloop"] = new_event_loop
    return factories


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Database, Database]]:
    """Two connected nodes."""
    async with mesh_of(2) as (one, two):
        yield one, two
