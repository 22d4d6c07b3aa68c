"""The list that `CachedRegistry` keeps, when a process starts more than one node."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

import pytest

from depinmesh import Keypair
from depinmesh.registry import CachedRegistry, Snapshot
from tests.registries import Registry, guarded
from tests.support import eventually, nothing_left

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from depinmesh import Wallet


def wallets(n: int) -> list[Wallet]:
    return [Keypair.generate().wallet for _ in range(n)]


@asynccontextmanager
async def pushed(registry: Any) -> AsyncIterator[list[Snapshot]]:
    """Hear what it pushes, as a node does."""
    heard: list[Snapshot] = []

    async def hear() -> None:
        async for snapshot in registry.changes():
            heard.append(snapshot)  # noqa: PERF401  # while it goes on

    hearing = asyncio.create_task(hear())
    await asyncio.sleep(0)
    try:
        yield heard
    finally:
        hearing.cancel()
        await asyncio.wait({hearing})


def test_what_a_process_left_that_ended_within_a_write_is_cleared_away(tmp_path: Path) -> None:
    mine, others = tmp_path / "kept.json", tmp_path / ".kept.json.swp"
    left, fresh = tmp_path / ".kept.json.abcdefgh.new", tmp_path / ".kept.json.ijklmnop.new"
    for path in (others, left, fresh):
        path.write_text("{")
    for path in (others, left):
        os.utime(path, (0, 0))
    asyncio.run(CachedRegistry(lambda: wallets(1), mine).wallets())
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in (mine, others, fresh)}


async def test_a_node_that_starts_after_another_one_has_closed_is_offered_the_kept_list_until_the_source_answers(
    tmp_path: Path,
) -> None:
    source = Registry(wallets(2))
    registry = CachedRegistry(source, tmp_path / "last.json")
    async with registry:
        await registry.wallets()
    source.fail()
    async with registry, pushed(registry) as heard:
        with pytest.raises(OSError, match="the chain is down"):
            await registry.wallets()
        await eventually(lambda: [list(one.wallets) for one in heard] == [source.entries])
        source.answer = None
        await registry.wallets()
    async with registry, pushed(registry) as again:
        await registry.wallets()
        source.fail()
        for _ in range(2):
            with pytest.raises(OSError, match="the chain is down"):
                await registry.wallets()
    assert (len(heard), again) == (1, [])


async def test_what_a_node_was_offered_is_offered_to_the_next_one_only_when_the_source_fails_again(
    tmp_path: Path,
) -> None:
    source = Registry(wallets(2))
    registry = CachedRegistry(source, tmp_path / "last.json")
    await registry.wallets()
    source.fail()
    async with registry, pushed(registry) as heard:
        with pytest.raises(OSError, match="the chain is down"):
            await registry.wallets()
        await eventually(lambda: len(heard) == 1)
    async with registry, pushed(registry) as heard:
        await asyncio.sleep(0)
        assert heard == []
        with pytest.raises(OSError, match="the chain is down"):
            await registry.wallets()
        await eventually(lambda: len(heard) == 1)


async def test_a_node_that_starts_beside_another_one_is_offered_the_kept_list_alone(tmp_path: Path) -> None:
    source = Registry(wallets(2))
    registry = CachedRegistry(source, tmp_path / "last.json")
    async with registry, pushed(registry) as first:
        await registry.wallets()
        source.fail()
        async with registry, pushed(registry) as second:
            with pytest.raises(OSError, match="the chain is down"):
                await registry.wallets()
            await eventually(lambda: len(second) == 1)
        assert first == []


async def test_a_read_that_the_node_before_gave_up_says_nothing_about_the_source(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = Registry(wallets(2))
    registry = CachedRegistry(source, tmp_path / "last.json")
    await registry.wallets()
    source.gate.clear()
    async with registry:
        reading = asyncio.create_task(registry.wallets())
        await eventually(lambda: len(source.starts) == 2)
        reading.cancel()
        await asyncio.wait({reading})
    source.gate.set()
    async with registry:
        await registry.wallets()
    assert "The registry does not answer" not in caplog.text


class Closed:
    """A provider that cannot be entered, or not yet."""

    def __init__(self, listed: list[Wallet]) -> None:
        self.listed, self.entries = listed, 0
        self.opens, self.hangs = False, False
        self.release = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.entries += 1
        if self.hangs:
            await self.release.wait()
        if not self.opens:
            raise OSError("no such host")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.entries -= 1

    async def wallets(self) -> list[Wallet]:
        return self.listed

    async def changes(self) -> AsyncIterator[list[Wallet]]:
        yield self.listed[:1]
        await asyncio.Event().wait()


async def test_a_source_that_cannot_be_entered_is_one_that_fails(tmp_path: Path) -> None:
    source, path = Closed(wallets(2)), tmp_path / "last.json"
    source.opens = True
    await CachedRegistry(source, path).wallets()
    source.opens = False
    registry = CachedRegistry(source, path)
    async with nothing_left(), registry, pushed(registry) as heard:
        for _ in range(2):
            with pytest.raises(OSError, match="no such host"):
                await registry.wallets()
        await eventually(lambda: [list(one.wallets) for one in heard] == [source.listed])
        source.opens, source.entries = True, 0
        assert list((await registry.wallets()).wallets) == source.listed
        await eventually(lambda: [list(one.wallets) for one in heard[1:]] == [source.listed[:1]])
        assert source.entries == 1
    assert source.entries == 0


async def test_a_source_whose_entering_hangs_is_one_that_hangs(tmp_path: Path) -> None:
    source, path = Closed(wallets(2)), tmp_path / "last.json"
    await CachedRegistry(source, path).wallets()
    source.opens = source.hangs = True
    registry = CachedRegistry(source, path)
    async with nothing_left(), registry, pushed(registry) as heard:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(registry.wallets(), 0.1)
        await eventually(lambda: [list(one.wallets) for one in heard] == [source.listed])
        assert source.entries == 1
        source.release.set()
        assert list((await registry.wallets()).wallets) == source.listed
    assert source.entries == 0


async def test_a_node_whose_source_cannot_be_entered_starts_by_the_kept_list(tmp_path: Path) -> None:
    key = Keypair.generate()
    source, path = Closed([key.wallet]), tmp_path / "last.json"
    await CachedRegistry(source, path).wallets()
    async with nothing_left(), guarded(CachedRegistry(source, path), key) as host:
        await eventually(lambda: host.node.gate.listed)


async def test_a_kept_list_is_offered_by_the_next_read_when_this_one_is_cancelled_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, path = Registry(wallets(2)), tmp_path / "last.json"
    registry = CachedRegistry(source, path)
    await registry.wallets()
    source.fail()
    load, begun, release = registry._load, threading.Event(), threading.Event()

    def slow() -> Snapshot:
        begun.set()
        release.wait()
        return load()

    async with registry, pushed(registry) as heard:
        monkeypatch.setattr(registry, "_load", slow)
        reading = asyncio.create_task(registry.wallets())
        await eventually(begun.is_set)
        reading.cancel()
        await asyncio.wait({reading})
        release.set()
        assert reading.cancelled()
        with pytest.raises(OSError, match="the chain is down"):
            await registry.wallets()
        await eventually(lambda: len(heard) == 1)


async def test_a_slow_disk_does_not_keep_the_source_from_being_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Registry(wallets(2))
    registry = CachedRegistry(source, tmp_path / "last.json")
    release = threading.Event()

    def hangs() -> Snapshot:
        release.wait()
        raise OSError("the disk is gone")

    monkeypatch.setattr(registry, "_load", hangs)
    source.gate.clear()
    async with registry:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(registry.wallets(), 0.05)
        source.gate.set()
        release.set()
        assert list((await registry.wallets()).wallets) == source.entries
        assert len(source.starts) == 2


@pytest.mark.skipif(os.name != "posix", reason="only POSIX says who may write to a file")
async def test_a_kept_list_that_was_refused_is_offered_once_its_fault_is_mended(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, kept = Registry(wallets(2)), tmp_path / "last.json"
    registry = CachedRegistry(source, kept)
    await registry.wallets()
    kept.chmod(0o666)
    source.fail()
    async with registry, pushed(registry) as heard:
        for _ in range(3):
            with pytest.raises(OSError, match="down"):
                await registry.wallets()
        assert heard == []
        assert sum("others may write" in record.message for record in caplog.records) == 1
        kept.chmod(0o600)
        with pytest.raises(OSError, match="down"):
            await registry.wallets()
        await eventually(lambda: [list(snapshot.wallets) for snapshot in heard] == [source.entries])


class Raising(logging.Handler):
    """The handler of a program that has a mistake in it."""

    def emit(self, record: logging.LogRecord) -> None:
        raise RuntimeError(f"cannot be written: {record.getMessage()}")


async def test_a_logger_that_raises_does_not_lose_the_kept_list(tmp_path: Path) -> None:
    source = Registry(wallets(2))
    registry = CachedRegistry(source, tmp_path / "last.json")
    await registry.wallets()
    source.fail()
    logger, handler = logging.getLogger("depinmesh.registry"), Raising()
    logger.addHandler(handler)
    try:
        async with registry, pushed(registry) as heard:
            with pytest.raises(RuntimeError, match=r"the list of .* is used"):
                await registry.wallets()
            await eventually(lambda: len(heard) == 1)
    finally:
        logger.removeHandler(handler)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, who alone can give a file to somebody else"
)
async def test_root_leaves_the_file_to_whom_it_or_its_folder_belongs(tmp_path: Path) -> None:
    source, path = Registry(wallets(2)), tmp_path / "last.json"
    os.chown(tmp_path, 61_001, 61_002)
    await CachedRegistry(source, path).wallets()
    assert (path.stat().st_uid, path.stat().st_gid) == (61_001, 61_002)
    os.chown(path, 61_003, 61_004)
    source.entries = wallets(3)
    await CachedRegistry(source, path).wallets()
    assert (path.stat().st_uid, path.stat().st_gid) == (61_003, 61_004)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(json.loads(path.read_text())["wallets"]) == 3
