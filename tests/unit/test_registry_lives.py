"""What is made of other registries, while several nodes use it: when its sources are entered and left."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Self

import pytest

from depinmesh import Keypair, RegistryError
from depinmesh.registry import CachedRegistry, LoggedRegistry, any_of
from tests.registries import Checker, guarded
from tests.support import eventually, nothing_left, soon, threads_of_ours

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from depinmesh import Wallet


def wallets(n: int) -> list[Wallet]:
    return [Keypair.generate().wallet for _ in range(n)]


def wrapped(kind: str, source: Any, folder: Path) -> Any:
    """Return a registry around the source."""
    if kind == "cached":
        return CachedRegistry(source, folder / "last.json")
    return LoggedRegistry(source) if kind == "logged" else any_of(source)


WRAPPERS = ["logged", "any_of", "cached"]


@pytest.mark.parametrize("kind", WRAPPERS)
async def test_a_plain_function_is_still_called_after_one_of_two_nodes_has_left(kind: str, tmp_path: Path) -> None:
    listed = wallets(2)
    registry = wrapped(kind, lambda: listed, tmp_path)
    for _ in range(2):
        async with registry:
            async with registry:
                await soon(registry.wallets())
            assert list((await soon(registry.wallets())).wallets) == listed
        await eventually(lambda: threads_of_ours() == [])


async def test_two_real_nodes_share_a_registry_and_one_closes() -> None:
    one, two = Keypair.generate(), Keypair.generate()
    registry = LoggedRegistry(lambda: [one.wallet, two.wallet])
    async with nothing_left(), guarded(registry, one) as first:
        async with guarded(registry, two) as second:
            await eventually(lambda: first.node.gate.listed and second.node.gate.listed)
        await soon(first.node.gate.refresh())


class Living:
    """A provider that opens something."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.refuses = False
        self.slow = asyncio.Event()
        self.slow.set()
        self.task: Any = None

    async def __aenter__(self) -> Self:
        self.log.append("entering")
        await self.slow.wait()
        if self.refuses:
            raise OSError("not yet")
        self.task = asyncio.current_task()
        self.log.append("entered")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert asyncio.current_task() is self.task
        self.log.append("leaving")
        await self.slow.wait()
        self.log.append("left")

    async def wallets(self) -> list[Wallet]:
        assert self.log[-1] == "entered"
        return []

    async def bootstrap_nodes(self) -> list[str]:
        assert self.log[-1] == "entered"
        return ["x"]


ONCE = ["entering", "entered", "leaving", "left"]


@pytest.mark.parametrize("kind", WRAPPERS)
async def test_a_provider_is_entered_for_the_first_and_left_after_the_last_in_one_task(
    kind: str, tmp_path: Path
) -> None:
    source = Living()
    registry = wrapped(kind, source, tmp_path)
    leave = [asyncio.Event(), asyncio.Event()]
    inside = [False, False]

    async def node(number: int) -> None:
        async with registry:
            await registry.wallets()
            inside[number] = True
            await leave[number].wait()
        inside[number] = False

    for _ in range(2):
        source.log.clear()
        nodes = [asyncio.create_task(node(number)) for number in range(2)]
        await eventually(lambda: all(inside))
        assert source.log == ONCE[:2]
        leave[0].set()
        await eventually(lambda: not inside[0])
        assert source.log == ONCE[:2]
        leave[1].set()
        await soon(asyncio.gather(*nodes))
        assert source.log == ONCE
        for event in leave:
            event.clear()


async def test_a_provider_that_cannot_be_entered_is_one_that_fails_and_is_tried_again() -> None:
    source = Living()
    registry = LoggedRegistry(source)
    source.refuses = True
    source.slow.clear()
    async with nothing_left(), registry:
        both: list[Any] = [asyncio.create_task(registry.wallets()), asyncio.create_task(registry.bootstrap_nodes())]
        await eventually(lambda: source.log == ["entering"])
        source.slow.set()
        errors = await soon(asyncio.gather(*both, return_exceptions=True))
        assert [str(error) for error in errors] == ["not yet"] * 2
        assert registry.stats.failures == 1
        source.refuses = False
        source.log.clear()
        assert await registry.bootstrap_nodes() == ["x"]
        assert source.log == ONCE[:2]
    assert source.log == ONCE


async def test_a_provider_that_nobody_asks_is_not_entered() -> None:
    source = Living()
    async with nothing_left(), any_of(source):
        pass
    assert source.log == []


async def test_a_part_that_cannot_be_entered_is_one_that_fails() -> None:
    good, source = wallets(2), Living()
    source.refuses = True
    async with nothing_left(), any_of(source, Checker(), good) as registry:
        assert await registry.check(good[0]) is True
        with pytest.raises(RegistryError, match="not yet"):
            await registry.check(wallets(1)[0])
        source.slow.clear()
        registry._parts[0].believed._ended = float("-inf")  # or else it is not asked again yet
        assert await soon(registry.check(good[1])) is True
        await eventually(lambda: source.log == ["entering"] * 2)


class Mute(Living):
    """One that has nothing to push."""

    async def changes(self) -> AsyncIterator[list[Wallet]]:
        if not self.log:
            yield []


async def test_a_provider_that_takes_long_to_enter_may_still_have_nothing_to_push(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("depinmesh._pushes._AT_ONCE", 0.1)
    source = Mute()
    source.slow.clear()
    async with nothing_left(), LoggedRegistry(source) as registry:
        changes: Any = registry.changes()
        hearing = asyncio.create_task(anext(changes, None))
        await eventually(lambda: source.log == ["entering"])
        await asyncio.sleep(0.2)
        source.slow.set()
        assert await soon(hearing) is None
    assert "failed" not in caplog.text


async def test_who_gives_up_entering_does_not_stop_who_still_waits() -> None:
    source = Living()
    registry = LoggedRegistry(source)
    source.slow.clear()
    async with nothing_left():
        async with registry:
            first, second = (asyncio.create_task(registry.wallets()) for _ in range(2))
            await eventually(lambda: source.log == ["entering"])
            first.cancel()
            await asyncio.wait({first})
            source.slow.set()
            await soon(second)
        assert source.log == ONCE
        source.slow.clear()
        async with registry:
            third = asyncio.create_task(registry.wallets())
            await eventually(lambda: source.log[-1] == "entering")
            third.cancel()
            await asyncio.wait({third})


async def test_who_still_waits_when_a_provider_is_left_is_told_and_not_cancelled() -> None:
    source = Living()
    registry = LoggedRegistry(source)
    source.slow.clear()
    async with nothing_left():
        async with registry:
            reading = asyncio.create_task(registry.wallets())
            await eventually(lambda: source.log == ["entering"])
        with pytest.raises(RegistryError, match="left before it was entered"):
            await soon(reading)


async def test_a_provider_is_entered_again_when_it_has_been_left() -> None:
    source = Living()
    registry = LoggedRegistry(source)
    async with AsyncExitStack() as stack:
        await registry.__aenter__()
        await registry.wallets()
        source.slow.clear()
        leaving = asyncio.create_task(registry.__aexit__())
        await eventually(lambda: source.log[-1] == "leaving")
        await stack.enter_async_context(registry)
        reading = asyncio.create_task(registry.wallets())
        await asyncio.sleep(0)
        source.slow.set()
        await soon(asyncio.gather(leaving, reading))
        assert source.log == [*ONCE, *ONCE[:2]]


class Busy:
    """A provider whose read takes its time to end when nobody waits for it any more."""

    def __init__(self) -> None:
        self.lives: list[str] = []
        self.reading, self.release = asyncio.Event(), asyncio.Event()

    async def __aenter__(self) -> Self:
        self.lives.append("entered")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.lives.append("left")

    async def wallets(self) -> list[Wallet]:
        self.reading.set()
        try:
            await asyncio.Event().wait()
        finally:
            await self.release.wait()
        return []


async def test_a_provider_is_left_also_when_nobody_waits_for_the_end_of_its_last_read() -> None:
    source, (wallet,) = Busy(), wallets(1)
    registry = any_of(source, Checker())
    async with nothing_left():
        await registry.__aenter__()
        check = asyncio.create_task(registry.check(wallet))
        await soon(source.reading.wait())
        check.cancel()
        leaving = asyncio.create_task(registry.__aexit__())
        await asyncio.wait({check, leaving}, timeout=0.1)
        assert not leaving.done()
        leaving.cancel()
        await asyncio.wait({leaving})
        source.release.set()
        async with registry:
            check = asyncio.create_task(registry.check(wallet))
            await eventually(lambda: source.lives == ["entered", "left", "entered"])
            check.cancel()
            await asyncio.wait({check})
