"""Lines of stdin."""

from __future__ import annotations

import asyncio
import os
import threading
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING

import pytest

from depinmesh import MeshError
from depinmesh.cli.stdin import lines

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def piped(*chunks: bytes) -> Iterator[int]:
    """Give the reading end of a pipe into which a thread writes, and then closes it."""
    reading, writing = os.pipe()

    def write() -> None:
        for chunk in chunks:
            os.write(writing, chunk)
        os.close(writing)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield reading
    finally:
        thread.join()
        os.close(reading)


async def test_lines_come_whole_however_they_are_cut() -> None:
    with piped(b"one\ntw", b"o\r\n\n\xc3", b"\xa4\nlast") as descriptor:
        assert [line async for line in lines(descriptor)] == ["one", "two", "", "ä", "last"]


async def test_many_lines_wait_until_they_are_asked_for() -> None:
    with piped(*[b"x\n" * 1000] * 20) as descriptor:
        number = 0
        async for line in lines(descriptor):
            assert line == "x"
            number += 1
            if number % 5000 == 0:
                await asyncio.sleep(0.01)
    assert number == 20_000


async def test_who_stops_reading_leaves_no_thread_behind() -> None:
    with piped(b"a\n", b"b\n") as descriptor:
        async with aclosing(lines(descriptor)) as reading:  # type: ignore[type-var]  # it is a generator
            assert await anext(reading) == "a"
    for thread in threading.enumerate():
        if thread.name == "depinmesh-stdin":
            thread.join(10)
            assert not thread.is_alive()


async def test_what_cannot_be_read_is_an_error_and_no_wait() -> None:
    reading, writing = os.pipe()
    try:
        with pytest.raises(MeshError, match="stdin cannot be read: "):
            await anext(lines(writing))
    finally:
        os.close(reading)
        os.close(writing)
