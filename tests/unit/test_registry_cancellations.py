"""What is made of other registries, when something that a part waits for is cancelled by somebody else."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Self

import pytest

from depinmesh import Keypair, RegistryError
from depinmesh.registry import LoggedRegistry, StaticRegistry, all_of, any_of
from depinmesh.registry._latest import merged
from tests.registries import Registry, cut_off
from tests.support import eventually, nothing_left, soon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from depinmesh import Wallet

NEWS = "what it waited for was cancelled"


def wallets(n: int) -> list[Wallet]:
    return [Keypair.generate().wallet for _ in range(n)]


def cancelled() -> Any:
    raise asyncio.CancelledError


class OddError(BaseException):
    """No `Exception`."""


async def silent() -> AsyncIterator[int]:
    await asyncio.Event().wait()
    yield 1


async def test_pushes_of_a_part_that_are_cut_off_take_no_other_with_them() -> None:
    one, two = wallets(2)
    static = StaticRegistry([one, two])
    begun = 0

    class Part:
        async def wallets(self) -> list[Wallet]:
            return []

        async def changes(self) -> AsyncIterator[list[Wallet]]:
            nonlocal begun
            begun += 1
            await cut_off()
            yield []

    async with nothing_left(), any_of(static, Part()) as registry:
        await registry.wallets()
        changes: Any = registry.changes()
        async with aclosing(changes):
            heard = asyncio.ensure_future(anext(changes))
            await eventually(lambda: begun)
            await asyncio.sleep(0.05)
            static.remove(one)
            assert list((await asyncio.wait_for(heard, 0.9)).wallets) == [two]


async def test_a_stream_that_is_cut_off_is_told_to_who_reads_what_is_merged() -> None:
    async def ends() -> AsyncIterator[int]:
        await cut_off()
        yield 1

    async def oddly() -> int:
        raise OddError

    async def ends_oddly() -> AsyncIterator[int]:
        yield await oddly()

    async with nothing_left():
        async with aclosing(merged(silent(), ends())) as values:
            with pytest.raises(RegistryError, match=NEWS) as raised:
                await soon(anext(values))
            assert isinstance(raised.value.__cause__, asyncio.CancelledError)
        async with aclosing(merged(silent(), ends_oddly())) as values:
            with pytest.raises(OddError):
                await soon(anext(values))


async def test_reading_what_is_merged_still_ends_with_who_reads() -> None:
    async with nothing_left():
        reading = asyncio.ensure_future(anext(merged(silent(), silent())))
        await asyncio.sleep(0)
        reading.cancel()
        await asyncio.wait({reading})
        assert reading.cancelled()


async def test_pushes_whose_end_is_cut_off_end_all_the_same() -> None:
    ended = False

    class Source:
        async def wallets(self) -> list[Wallet]:
            return []

        async def changes(self) -> AsyncIterator[list[Wallet]]:
            nonlocal ended
            try:
                yield []
            finally:
                ended = True
                await cut_off()

    async with nothing_left():
        changes: Any = LoggedRegistry(Source()).changes()
        await soon(anext(changes))
        await soon(changes.aclose())
    assert ended


async def test_a_part_whose_read_is_cut_off_keeps_its_last_good_list(caplog: pytest.LogCaptureFixture) -> None:
    one, two, three = wallets(3)
    failing, healthy = Registry([one]), Registry([two])
    registry = any_of(failing, healthy)
    await registry.wallets()
    failing.answer, healthy.entries = cancelled, [three]
    assert set((await registry.wallets()).wallets) == {one, three}
    assert f"its last good list stays: Registry: RegistryError: {NEWS}" in caplog.text
    healthy.answer = cancelled
    with pytest.raises(RegistryError, match=f"{NEWS}; .*{NEWS}"):
        await registry.wallets()


async def test_a_check_that_is_cut_off_counts_only_where_nobody_decides() -> None:
    listed, stranger = wallets(2)

    class Checking:
        async def check(self, _: Wallet) -> bool:
            await cut_off()
            return True

    registry = any_of(Checking(), [listed])
    assert await registry.check(listed) is True
    with pytest.raises(RegistryError, match=NEWS):
        await registry.check(stranger)
    assert await all_of(Checking(), [listed]).check(stranger) is False


async def test_a_source_whose_entering_is_cut_off_is_one_that_fails() -> None:
    class Source:
        tries = 0

        async def __aenter__(self) -> Self:
            self.tries += 1
            if self.tries == 1:
                await cut_off()
            return self

        async def __aexit__(self, *_: object) -> None:
            pass

        async def wallets(self) -> list[Wallet]:
            return []

    async with nothing_left(), LoggedRegistry(Source()) as registry:
        with pytest.raises(RegistryError, match=NEWS):
            await registry.wallets()
        assert (await registry.wallets()).wallets == ()
