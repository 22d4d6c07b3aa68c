"""`any_of` and `all_of` of lists and of what only checks: who decides, and what that costs."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair, RegistryError
from depinmesh.registry import (
    CachedRegistry,
    HttpRegistry,
    LoggedRegistry,
    Snapshot,
    StaticRegistry,
    all_of,
    any_of,
)
from tests.registries import Checker, Registry, guarded, inside, visitor
from tests.support import eventually, nothing_left, other_tasks, soon
from tests.webserver import hangs, reply, status, web_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from depinmesh.registry.combined import CombinedRegistry
    from tests.webserver import WebServer


def keys(n: int) -> list[Keypair]:
    return [Keypair.generate() for _ in range(n)]


def texts(*some: Keypair) -> list[str]:
    return [str(key.wallet) for key in some]


def later(registry: CombinedRegistry, seconds: float = 2.0) -> None:
    """Let the last read of the first source be so much older."""
    believed = registry._parts[0].believed
    believed._ended -= seconds
    believed._taken -= seconds


class Slow:
    """A server that answers when it is told to."""

    def __init__(self) -> None:
        self.release = asyncio.Event()

    async def __call__(self, web: WebServer, writer: asyncio.StreamWriter) -> None:
        await self.release.wait()
        await reply(writer, 200, json.dumps(web.value).encode())


async def test_one_request_answers_all_checks_of_a_second() -> None:
    listed, checked, stranger = keys(3)
    async with web_server(texts(listed)) as web:
        registry = any_of(HttpRegistry(web.url), Checker(checked))
        async with nothing_left(), registry:
            asked = [listed, checked, stranger] * 22
            verdicts = await asyncio.gather(*(registry.check(key.wallet) for key in asked))
            assert verdicts == [True, True, False] * 22
            assert await registry.check(listed.wallet)
            assert len(web.requests) == 1
            web.value = texts(listed, stranger)
            later(registry)
            assert await registry.check(stranger.wallet)
            assert len(web.requests) == 2


async def test_a_check_that_is_given_up_takes_no_other_with_it_and_the_last_to_leave_ends_the_read() -> None:
    key, friend = keys(2)
    async with web_server(texts(key, friend)) as web:
        registry = any_of(HttpRegistry(web.url), Checker())
        slow = web.fault = Slow()
        async with registry:
            first, second = (asyncio.create_task(registry.check(one.wallet)) for one in (key, friend))
            await eventually(lambda: len(web.requests) == 1)
            first.cancel()
            await asyncio.wait({first})
            slow.release.set()
            assert await soon(second) is True
            assert len(web.requests) == 1
            web.fault = hangs
            later(registry)
            third = asyncio.create_task(registry.check(key.wallet))
            await eventually(lambda: len(web.requests) == 2)
            third.cancel()
            await asyncio.wait({third})
        left = {task for task in other_tasks() if "serve" not in repr(task.get_coro())}
        assert left == set()


@pytest.mark.parametrize("logged", [False, True])
async def test_a_list_that_fails_counts_as_it_was_last_for_a_quarter_of_an_hour(
    logged: bool, caplog: pytest.LogCaptureFixture
) -> None:
    listed, stranger = keys(2)
    async with web_server(texts(listed)) as web, HttpRegistry(web.url) as source:
        wrapped = LoggedRegistry(source) if logged else None
        registry = any_of(wrapped or source, Checker())
        part = wrapped._part if wrapped else registry._parts[0]
        web.fault = status(500)
        with pytest.raises(RegistryError, match="HTTP 500"):
            await registry.check(listed.wallet)
        web.fault, part.believed._ended = None, float("-inf")
        assert await registry.check(listed.wallet)
        web.fault = status(500)
        for _ in range(3):
            part.believed._ended = float("-inf")
            assert await registry.check(listed.wallet)
            assert not await registry.check(stranger.wallet)
        assert len(web.requests) == 5
        assert caplog.text.count("its last good list stays") == 1
        part.believed._taken -= 901
        with pytest.raises(RegistryError, match="HTTP 500"):
            await registry.check(listed.wallet)


async def test_a_list_that_hangs_counts_as_it_was_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depinmesh.registry._believed._PATIENCE", 0.05)
    listed, stranger = keys(2)
    source = Registry(texts(listed))
    async with nothing_left(), any_of(source, Checker()) as registry:
        assert await registry.check(listed.wallet)
        source.gate.clear()
        later(registry)
        verdicts = await soon(asyncio.gather(*(registry.check(key.wallet) for key in (listed, stranger))))
        assert verdicts == [True, False]
        assert len(source.starts) == 2


async def test_a_list_that_hangs_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("depinmesh.registry._believed._LIMIT", 0.1)
    (key,) = keys(1)
    source = Registry(texts(key))
    source.gate.clear()
    async with nothing_left(), any_of(source, Checker()) as registry:
        with pytest.raises(RegistryError, match=r"no answer within 0\.1 s"):
            await soon(registry.check(key.wallet))
        source.gate.set()
        later(registry)
        assert await soon(registry.check(key.wallet))


async def test_a_list_that_never_changes_is_read_once() -> None:
    (key,) = keys(1)
    registry = any_of([key.wallet], Checker())
    assert await registry.check(key.wallet)
    read = registry._parts[0].believed._reading
    later(registry, 10_000)
    assert await registry.check(key.wallet)
    assert registry._parts[0].believed._reading is read


async def test_a_list_that_lost_too_much_counts_when_it_is_read_twice() -> None:
    listed, *others = keys(5)
    source = Registry(texts(listed, *others))
    registry = all_of(source, Checker(listed, *others))
    assert await registry.check(listed.wallet)
    source.entries = []
    for _ in range(2):
        later(registry)
        assert await registry.check(listed.wallet)
    registry._parts[0].believed._confirmation._since -= 2
    later(registry)
    assert not await registry.check(listed.wallet)


async def test_what_code_sets_counts_at_once() -> None:
    (key,) = keys(1)
    source = StaticRegistry([key.wallet])
    registry = any_of(source, Checker())
    assert await registry.check(key.wallet)
    source.remove(key.wallet)
    assert not await registry.check(key.wallet)


async def test_one_verdict_decides_whatever_else_fails() -> None:
    listed, other = keys(2)
    down, up = Checker(), Checker(other)
    down.error = OSError("the service is down")
    orders: list[list[Any]] = [[down, up, [listed.wallet]], [[listed.wallet], up, down]]
    for parts in orders:
        either, both = any_of(*parts), all_of(*parts)
        assert await either.check(listed.wallet) is True
        assert await either.check(other.wallet) is True
        with pytest.raises(OSError, match="the service is down"):
            await either.check(Keypair.generate().wallet)
        assert await both.check(other.wallet) is False
        assert await both.check(listed.wallet) is False
        with pytest.raises(OSError, match="the service is down"):
            await all_of(*parts[::2]).check(listed.wallet)


async def test_whom_the_lists_decide_about_is_not_asked_about() -> None:
    listed, stranger = keys(2)
    checker: Any = Checker(listed)
    assert await any_of(checker, [listed.wallet]).check(listed.wallet) is True
    assert await all_of(checker, [listed.wallet]).check(stranger.wallet) is False
    assert checker.calls == []
    assert await all_of(checker, [listed.wallet]).check(listed.wallet) is True
    assert await any_of(checker, [listed.wallet]).check(stranger.wallet) is False
    assert checker.calls == [listed.wallet, stranger.wallet]


async def test_a_node_lets_in_whom_a_list_has_while_the_checks_of_the_other_part_fail() -> None:
    host_key, friend = keys(2)
    down = Checker()
    down.error = OSError("the service is down")
    registry = any_of(down, [host_key.wallet, friend.wallet])
    async with guarded(registry, host_key) as host, visitor(host, friend):
        await eventually(lambda: inside(host, friend))


async def test_a_part_that_hangs_keeps_nobody_from_deciding() -> None:
    (key,) = keys(1)
    hung, up, down = Checker(), Checker(key), Checker()
    hung.hangs.add(key.wallet)
    async with nothing_left():
        assert await soon(any_of(hung, up).check(key.wallet)) is True
        assert await soon(all_of(hung, down).check(key.wallet)) is False
        with pytest.raises(TimeoutError):  # here nobody has decided
            await asyncio.wait_for(any_of(hung, down).check(key.wallet), 0.2)
        source = Registry()
        source.gate.clear()
        async with any_of(source, [key.wallet], Checker()) as registry:
            assert await soon(registry.check(key.wallet)) is True
            assert len(source.starts) == 1


@pytest.mark.parametrize("kind", ["logged", "any_of", "cached", "logged any_of"])
async def test_lists_are_asked_first_through_whatever_passes_them_on(kind: str, tmp_path: Path) -> None:
    listed, stranger = keys(2)
    checker: Any = Checker(listed, stranger)
    source: Any = Registry(texts(listed))
    if "any_of" in kind:
        source = any_of(source, [])
    if "logged" in kind:
        source = LoggedRegistry(source)
    if kind == "cached":
        source = CachedRegistry(source, tmp_path / "kept.json")
    async with nothing_left(), any_of(checker, source) as registry:
        assert await registry.check(listed.wallet) is True
        assert checker.calls == []
        assert await registry.check(stranger.wallet) is True
        assert checker.calls == [stranger.wallet]


async def test_a_list_is_as_old_as_its_source_says() -> None:
    (key,) = keys(1)
    for age, counts in ((60, True), (901, False)):
        taken_at = datetime.now(UTC) - timedelta(seconds=age)
        source = Registry()
        source.answer = partial(Snapshot, wallets=texts(key), source="elsewhere", taken_at=taken_at)
        async with any_of(source, Checker()) as registry:
            if counts:
                assert await registry.check(key.wallet)
            else:
                with pytest.raises(RegistryError, match="elsewhere: no list that is recent"):
                    await registry.check(key.wallet)


async def test_a_kept_list_serves_checks_until_the_source_answers(tmp_path: Path) -> None:
    listed, stranger = keys(2)
    path, source = tmp_path / "kept.json", Registry(texts(listed))
    async with nothing_left(), any_of(CachedRegistry(source, path), Checker()) as registry:
        assert await registry.check(listed.wallet)
        assert path.exists()
    source.fail()
    async with nothing_left(), any_of(CachedRegistry(source, path), Checker()) as registry:
        assert await registry.check(listed.wallet) is True
        assert await registry.check(stranger.wallet) is False
    kept = json.loads(path.read_text())
    kept["taken_at"] = (datetime.now(UTC) - timedelta(seconds=901)).isoformat()
    path.write_text(json.dumps(kept))
    async with any_of(CachedRegistry(source, path), Checker()) as registry:
        with pytest.raises(RegistryError):
            await registry.check(listed.wallet)


class Proxy:
    """Answers to every name, as a stub of a remote service does."""

    wallets = None

    def __init__(self, verdict: bool) -> None:
        self.verdict, self.calls = verdict, 0

    def __getattr__(self, name: str) -> Any:
        async def call(*_: object) -> bool:
            self.calls += 1
            return self.verdict

        return call


async def test_a_part_that_answers_to_every_name_is_asked() -> None:
    (key,) = keys(1)
    for combine, listed, verdict in ((all_of, [key.wallet], False), (any_of, [], True)):
        proxy: Any = Proxy(verdict)
        assert await combine(listed, proxy).check(key.wallet) is verdict
        assert proxy.calls == 1


async def test_pushes_of_a_part_that_end_take_no_other_with_them() -> None:
    one, two = keys(2)
    static = StaticRegistry([one.wallet, two.wallet])

    class Ends:
        async def wallets(self) -> list[str]:
            return []

        async def changes(self) -> AsyncIterator[list[str]]:
            yield []

    async with nothing_left(), any_of(static, Ends()) as registry:
        await registry.wallets()
        changes: Any = registry.changes()
        async with aclosing(changes):
            assert set((await soon(anext(changes))).wallets) == {one.wallet, two.wallet}  # of the part that has ended
            static.remove(one.wallet)
            assert list((await asyncio.wait_for(anext(changes), 0.9)).wallets) == [two.wallet]
