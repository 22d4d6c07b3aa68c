"""How a provider's reads and pushes end: by the node, which leaves it after them, or cut off by somebody else."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self

import pytest

from depinmesh import Keypair, Node, connect
from depinmesh.registry import CachedRegistry, LoggedRegistry, Snapshot, all_of, any_of
from tests.registries import Registry, cut_off, guarded, inside, visitor
from tests.support import alone, eventually, nothing_left, soon

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from depinmesh import Wallet

NEWS = "what it waited for was cancelled"


def keys(n: int) -> list[Keypair]:
    return [Keypair.generate() for _ in range(n)]


WRAPPERS: dict[str, Callable[[Any, Path], Any]] = {
    "plain": lambda source, _: source,
    "any_of": lambda source, _: any_of(source),
    "all_of": lambda source, _: all_of(source),
    "logged": lambda source, _: LoggedRegistry(source),
    "cached": lambda source, folder: CachedRegistry(source, folder / "kept.json"),
}


@pytest.mark.parametrize("kind", WRAPPERS)
async def test_pushes_that_are_cut_off_are_begun_anew(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    host_key, friend = keys(2)
    begun = 0

    class Pushing:
        async def wallets(self) -> list[Wallet]:
            return [host_key.wallet]

        async def changes(self) -> AsyncIterator[Snapshot]:
            nonlocal begun
            begun += 1
            if begun == 1:
                await cut_off()
            yield Snapshot(wallets=[host_key.wallet, friend.wallet])
            await asyncio.Event().wait()

    registry = WRAPPERS[kind](Pushing(), tmp_path)
    async with nothing_left(), guarded(registry, host_key) as host, visitor(host, friend):
        await eventually(lambda: inside(host, friend))
        assert begun == 2
    assert NEWS in caplog.text


async def test_pushes_that_end_when_they_are_told_to_are_not_begun_anew(caplog: pytest.LogCaptureFixture) -> None:
    key = Keypair.generate()
    log: list[str] = []

    class Polite:
        async def __aenter__(self) -> Self:
            log.append("entered")
            return self

        async def __aexit__(self, *_: object) -> None:
            log.append("left")

        async def wallets(self) -> list[Wallet]:
            return [key.wallet]

        async def changes(self) -> AsyncIterator[Snapshot]:
            log.append("begun")
            yield Snapshot(wallets=[key.wallet])
            log.append("heard")
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    async with nothing_left(), connect(**alone(authorized_wallets=Polite())) as db:
        await eventually(lambda: "heard" in log)
        async with asyncio.timeout(1):  # not the two seconds that those have who do not end
            await db.node.close()
    assert log == ["entered", "begun", "heard", "left"]
    assert "pushes" not in caplog.text


class OddError(BaseException):
    """No `Exception`."""


@pytest.mark.parametrize("kind", ["plain", "any_of"])
async def test_what_ends_the_pushes_for_good_is_shown(kind: str, tmp_path: Path) -> None:
    host_key = Keypair.generate()
    shown: list[Any] = []

    async def oddly() -> Snapshot:
        raise OddError

    class Pushing:
        async def wallets(self) -> list[Wallet]:
            return [host_key.wallet]

        async def changes(self) -> AsyncIterator[Snapshot]:
            yield await oddly()

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: shown.append(context.get("exception")))
    try:
        async with nothing_left(), guarded(WRAPPERS[kind](Pushing(), tmp_path), host_key) as host:
            await eventually(lambda: shown)
            await eventually(lambda: host.node.gate.listed)
    finally:
        loop.set_exception_handler(None)
    assert [type(error) for error in shown] == [OddError]


async def test_a_read_that_is_cut_off_is_one_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    host_key = Keypair.generate()
    registry = Registry([host_key.wallet])

    def cancelled() -> Any:
        raise asyncio.CancelledError

    registry.answer = cancelled
    async with nothing_left(), guarded(registry, host_key) as host:
        await eventually(lambda: "The registry function failed" in caplog.text)
        assert NEWS in caplog.text
        registry.answer = None
        await eventually(lambda: host.node.gate.listed)  # it is read again


async def test_a_check_that_is_cut_off_is_told_and_keeps_no_other_wallet_out(caplog: pytest.LogCaptureFixture) -> None:
    host_key, stranger, friend = keys(3)

    class Checking:
        async def check(self, wallet: Wallet) -> bool:
            if wallet == stranger.wallet:
                await cut_off()
            return True

    async with guarded(Checking(), host_key) as host, visitor(host, stranger), visitor(host, friend):
        await eventually(lambda: inside(host, friend))
        await eventually(lambda: "Wallets could not be checked" in caplog.text)
    assert NEWS in caplog.text


async def test_a_provider_whose_entering_is_cut_off_is_entered_again() -> None:
    key = Keypair.generate()
    tries = 0

    class Provider:
        async def __aenter__(self) -> Self:
            nonlocal tries
            tries += 1
            if tries == 1:
                await cut_off()
            return self

        async def __aexit__(self, *_: object) -> None:
            pass

        async def wallets(self) -> list[Wallet]:
            return [key.wallet]

    async with nothing_left(), guarded(Provider(), key) as host:
        await eventually(lambda: host.node.gate.listed)
        assert host.node.status().counters["registry_failures_total"] == 1
    assert tries == 2


class Busy:
    """Says when its reads have ended, for which they take their time, and when it was left."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.started = 0
        self.log: list[str] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.log.append("left")

    async def wallets(self) -> list[Wallet]:
        self.started += 1
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.2)
            self.log.append("read ended")
            if self.error is not None:
                raise self.error
        return []

    async def bootstrap_nodes(self) -> list[str]:
        await self.wallets()
        return []


@pytest.mark.parametrize("error", [None, OSError("torn")], ids=["cancelled", "raises"])
@pytest.mark.parametrize("way", ["database", "node"])
async def test_a_provider_is_left_when_its_read_has_ended(
    way: str, error: Exception | None, caplog: pytest.LogCaptureFixture
) -> None:
    provider = Busy(error)
    async with nothing_left(), Node(**alone()) as node:
        database = await node.database("one", authorized_wallets=provider)
        await eventually(lambda: provider.started)
        await soon(database.close() if way == "database" else node.close())
        assert provider.log == ["read ended", "left"]
    assert "The registry function failed" not in caplog.text  # it was not wanted any more


async def test_a_bootstrap_provider_is_left_when_its_read_has_ended() -> None:
    provider = Busy()
    async with nothing_left():
        async with connect(**alone(bootstrap_nodes=provider, bootstrap={"wait": "none"})):
            await eventually(lambda: provider.started)
        assert provider.log == ["read ended", "left"]


async def test_only_the_reads_of_the_database_that_closes_are_ended() -> None:
    provider = Busy()
    async with nothing_left():
        async with Node(**alone()) as node:
            one = await node.database("one", authorized_wallets=provider)
            await node.database("two", authorized_wallets=provider)
            await eventually(lambda: provider.started == 2)
            await soon(one.close())
            assert provider.log == ["read ended"]
        assert provider.log == ["read ended", "read ended", "left"]


async def test_a_provider_is_left_after_the_reads_of_all_databases_that_close_at_once() -> None:
    provider = Busy()
    async with nothing_left(), Node(**alone()) as node:
        databases = [await node.database(name, authorized_wallets=provider) for name in ("one", "two")]
        await eventually(lambda: provider.started == 2)
        await soon(asyncio.gather(*(database.close() for database in databases)))
        assert provider.log == ["read ended", "read ended", "left"]


async def test_a_read_that_does_not_end_holds_up_no_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depinmesh._registries._GOODBYE", 0.1)

    class Stubborn(Busy):
        async def wallets(self) -> list[Wallet]:
            self.started += 1
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            return await super().wallets()

    provider = Stubborn()
    async with nothing_left(), Node(**alone()) as node:
        database = await node.database("one", authorized_wallets=provider)
        await eventually(lambda: provider.started == 1)
        await soon(database.close())
        assert "left" in provider.log
        await eventually(lambda: "read ended" in provider.log)  # it is cancelled once more


async def test_a_provider_that_is_being_left_is_entered_again_for_who_comes() -> None:
    key = Keypair.generate()

    class Living:
        def __init__(self) -> None:
            self.log: list[str] = []
            self.leaving, self.release = asyncio.Event(), asyncio.Event()

        async def __aenter__(self) -> Self:
            self.log.append("entered")
            return self

        async def __aexit__(self, *_: object) -> None:
            self.log.append("leaving")
            self.leaving.set()
            await self.release.wait()
            self.log.append("left")

        async def wallets(self) -> list[Wallet]:
            self.log.append("read")
            return [key.wallet]

    provider = Living()
    async with nothing_left():
        async with Node(**alone(private_key=key)) as node:
            one = await node.database("one", authorized_wallets=provider)
            await eventually(lambda: "read" in provider.log)
            closing = asyncio.create_task(one.close())
            await soon(provider.leaving.wait())
            before = len(provider.log)
            await node.database("two", authorized_wallets=provider)
            await asyncio.sleep(0.1)  # in which it would be read
            assert len(provider.log) == before
            provider.release.set()
            await soon(closing)
            await eventually(lambda: provider.log[before:] == ["left", "entered", "read"])
        assert provider.log[-2:] == ["leaving", "left"]
