"""Registries made of registries: `any_of`, `all_of`, `LoggedRegistry`, `CachedRegistry`."""

from __future__ import annotations

import json
import logging
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Config, ConfigError, Keypair, PeerRefused, RegistryError
from depinmesh.registry import CachedRegistry, LoggedRegistry, Snapshot, StaticRegistry, all_of, any_of
from tests.registries import Checker, Registry, guarded, inside, visitor
from tests.support import eventually, nothing_left, soon

if TYPE_CHECKING:
    from pathlib import Path

    from depinmesh import Wallet


def keys(n: int) -> list[Keypair]:
    return [Keypair.generate() for _ in range(n)]


def wallets_of(*some: Keypair) -> list[Wallet]:
    return [key.wallet for key in some]


async def test_any_of_admits_whom_one_lists_and_all_of_whom_all_list() -> None:
    host_key, both, one = keys(3)
    first, second = wallets_of(host_key, both, one), StaticRegistry(wallets_of(host_key, both))
    for combine, inside_ in ((any_of, {both, one}), (all_of, {both})):
        registry = combine(lambda: first, second)
        async with guarded(registry, host_key) as host, visitor(host, both), visitor(host, one):
            await eventually(lambda: inside(host, *inside_))  # noqa: B023  # awaited in the same round
            if combine is all_of:
                second.add(one.wallet)  # a push of a part is a push of the whole
                await eventually(lambda: inside(host, both, one))
                second.remove(both.wallet)
                await eventually(lambda: inside(host, one))


async def test_a_part_that_fails_keeps_its_last_good_list_and_the_others_still_remove(
    caplog: pytest.LogCaptureFixture,
) -> None:
    host_key, *friends = keys(4)
    failing, healthy = Registry(wallets_of(host_key, friends[0])), Registry(wallets_of(*friends))
    async with guarded(any_of(failing, healthy), host_key) as host, visitor(host, friends[1]):
        await eventually(lambda: inside(host, friends[1]))
        failing.fail()
        healthy.entries = wallets_of(friends[0], friends[2])
        await host.node.gate.refresh()
        await eventually(lambda: inside(host))
        assert host.node.gate.listed
        await host.node.gate.refresh()
        assert caplog.text.count("A part of the registry fails") == 1
        healthy.fail()
        with pytest.raises(RegistryError, match=r"the chain is down.*; .*the chain is down"):
            await host.node.gate.refresh()
        age = host.node.gate.age
        assert age is not None


async def test_a_part_that_hangs_keeps_its_last_good_list_and_the_others_still_remove(
    caplog: pytest.LogCaptureFixture,
) -> None:
    host_key, *friends = keys(4)
    hanging, healthy = Registry(wallets_of(host_key, friends[0])), Registry(wallets_of(*friends))
    async with guarded(any_of(hanging, healthy), host_key, timeout=0.3) as host, visitor(host, friends[1]):
        await eventually(lambda: inside(host, friends[1]))
        hanging.gate.clear()
        healthy.entries = wallets_of(friends[0], friends[2])
        for _ in range(2):
            with pytest.raises(RegistryError, match=r"no answer within 0\.3 s"):
                await host.node.gate.refresh()
        await eventually(lambda: inside(host))
        assert set(host.node.gate.wallets) == set(wallets_of(host_key, friends[0], friends[2]))
        assert caplog.text.count("A part of the registry fails") == 1
        hanging.entries += wallets_of(friends[1])
        hanging.gate.set()
        await eventually(lambda: inside(host, friends[1]))


async def test_a_part_that_never_answered_fails_the_whole_and_an_emptied_one_is_not_believed_at_once() -> None:
    good, bad = Registry(wallets_of(*keys(2))), Registry()
    bad.fail()
    with pytest.raises(RegistryError, match="source 2: OSError: the chain is down"):
        await any_of(good, bad).wallets()
    combined = any_of(good, wallets_of(*keys(8)))
    assert len((await combined.wallets()).wallets) == 10
    good.entries = []  # one part of many: the gate alone would not notice
    assert len((await combined.wallets()).wallets) == 10


async def test_a_combination_with_a_part_that_cannot_list_checks_wallet_by_wallet() -> None:
    host_key, both, one = keys(3)
    async with (
        guarded(all_of(wallets_of(host_key, both, one), Checker(host_key, both)), host_key) as host,
        visitor(host, both),
        visitor(host, one),
    ):
        refusals = host.node.events(PeerRefused)
        await eventually(lambda: inside(host, both))
        assert (await soon(anext(refusals))).wallet == one.wallet


async def test_a_logged_registry_names_each_change_and_counts(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "depinmesh.registry")
    host_key, friend = keys(2)
    source = Registry(wallets_of(host_key))
    registry = LoggedRegistry(source, name="fleet")
    async with nothing_left(), guarded(registry, host_key) as host:
        await eventually(lambda: host.node.gate.listed)
        source.entries = wallets_of(friend)
        await host.node.gate.refresh()
        source.fail()
        with pytest.raises(RegistryError):
            await host.node.gate.refresh()
    stats = registry.stats
    assert (stats.added, stats.removed, stats.wallets) == (2, 1, 1)
    assert stats.reads >= 2
    assert stats.failures >= 1
    assert f"added 1 ({friend.wallet}), removed 1 ({host_key.wallet})" in caplog.text
    assert "fleet: OSError: the chain is down" in caplog.text


async def test_a_logged_checker_still_checks() -> None:
    host_key, friend = keys(2)
    registry = LoggedRegistry(Checker(host_key, friend))
    async with guarded(registry, host_key) as host, visitor(host, friend):
        await eventually(lambda: inside(host, friend))
    assert registry.stats.checks >= 2


async def test_a_restart_during_an_outage_admits_who_was_in_within_max_stale(tmp_path: Path) -> None:
    host_key, friend, stranger = keys(3)
    source = Registry(wallets_of(host_key, friend))
    path = tmp_path / "last.json"
    async with guarded(CachedRegistry(source, path), host_key) as host:
        await eventually(lambda: host.node.gate.listed and path.exists())
    assert path.stat().st_mode & 0o777 == 0o600
    source.fail()
    began = time.monotonic()
    async with (
        nothing_left(),
        guarded(CachedRegistry(source, path), host_key, negative_ttl=0.1) as host,
        visitor(host, friend),
        visitor(host, stranger),
    ):
        await eventually(lambda: inside(host, friend))
        print(f"admitted by the kept list {time.monotonic() - began:.2f} s after the start")
        assert host.node.status().counters["registry_failures_total"] > 0
        source.answer, source.entries = None, wallets_of(host_key, stranger)
        await eventually(lambda: inside(host, stranger))  # the source goes before what was kept
    kept = json.loads(path.read_text())
    assert set(kept["wallets"]) == set(wallets_of(host_key, stranger))
    # Sixteen minutes later it says who was in, and admits nobody.
    kept["taken_at"] = (datetime.now(UTC) - timedelta(minutes=16)).isoformat()
    path.write_text(json.dumps(kept))
    source.fail()
    async with guarded(CachedRegistry(source, path), host_key) as host:
        await eventually(lambda: host.node.gate.age is not None)
        assert (host.node.gate.age or 0) > 900
        refusals = host.node.events(PeerRefused)
        async with visitor(host, stranger):
            assert (await soon(anext(refusals))).reason == "stale"


async def test_a_restart_while_the_source_hangs_admits_by_the_kept_list(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    host_key, friend, stranger = keys(3)
    source = Registry(wallets_of(host_key, friend))
    path = tmp_path / "last.json"
    async with guarded(CachedRegistry(source, path), host_key) as host:
        await eventually(lambda: host.node.gate.listed and path.exists())
    source.gate.clear()
    async with (
        nothing_left(),
        guarded(CachedRegistry(source, path), host_key, timeout=0.3, negative_ttl=0.1) as host,
        visitor(host, friend),
        visitor(host, stranger),
    ):
        await eventually(lambda: inside(host, friend))
        await eventually(lambda: host.node.status().counters["registry_failures_total"] > 1)
        assert caplog.text.count("The registry does not answer: the list of") == 1
        assert inside(host, friend)
        source.entries = wallets_of(host_key, stranger)
        source.gate.set()
        await eventually(lambda: inside(host, stranger))  # the source goes before what was kept


@pytest.mark.parametrize("kind", ["cached", "any_of"])
async def test_a_node_that_closes_while_it_reads_blames_no_registry_and_leaves_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    key = Keypair.generate()
    source = Registry(wallets_of(key))
    await CachedRegistry(source, tmp_path / "last.json").wallets()
    registry = CachedRegistry(source, tmp_path / "last.json") if kind == "cached" else any_of(source, wallets_of(key))
    if kind == "any_of":
        await registry.wallets()
    source.gate.clear()
    reads = len(source.starts)
    async with nothing_left(), guarded(registry, key):
        await eventually(lambda: len(source.starts) > reads)
    assert "does not answer" not in caplog.text
    assert "A part of the registry fails" not in caplog.text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.write_text("{"), "is damaged"),
        (lambda path: path.write_text("[]"), "is damaged"),
        (
            lambda path: path.write_text(path.read_text().replace("wallets-1", "wallets-2")),
            "no list of wallets",
        ),
        (lambda path: path.write_text(path.read_text().replace('"20', '"30', 1)), "is from the future"),
        (lambda path: path.chmod(0o666), "others may write"),
        (lambda path: path.unlink(), ""),
    ],
    ids=["torn", "another form", "another version", "the future", "open", "missing"],
)
async def test_a_kept_list_that_is_not_sound_admits_nobody(
    tmp_path: Path, change: Any, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    host_key = Keypair.generate()
    source = Registry(wallets_of(host_key))
    path = tmp_path / "last.json"
    await CachedRegistry(source, path).wallets()
    change(path)
    source.fail()
    registry = CachedRegistry(source, path)
    async with guarded(registry, host_key) as host:
        with pytest.raises(RegistryError):
            await host.node.gate.refresh()
        assert host.node.gate.wallets == []
    assert message in caplog.text


async def test_a_list_that_lost_too_much_is_not_kept_before_it_is_read_twice(tmp_path: Path) -> None:
    source = Registry(wallets_of(*keys(8)))
    path = tmp_path / "last.json"
    registry = CachedRegistry(source, path)
    await registry.wallets()
    kept = path.read_text()
    source.entries = source.entries[:1]
    assert len((await registry.wallets()).wallets) == 1
    assert path.read_text() == kept
    source.entries = []
    await registry.wallets()
    assert path.read_text() == kept


def test_what_cannot_be_kept_or_combined_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot list"):
        CachedRegistry(Checker(), tmp_path / "x")
    with pytest.raises(ConfigError, match="folder that does not exist"):
        CachedRegistry([], tmp_path / "no" / "x")
    with pytest.raises(ConfigError, match="there is none"):
        any_of()
    with pytest.raises(ValueError, match="neither a list"):
        all_of(7)  # type: ignore[arg-type]  # on purpose


async def test_snapshots_pass_through_with_their_age() -> None:
    taken_at = datetime.now(UTC) - timedelta(seconds=50)
    old = Snapshot(wallets=wallets_of(*keys(1)), taken_at=taken_at)
    combined = await any_of(lambda: old, wallets_of(*keys(1))).wallets()
    assert combined.taken_at == taken_at
    assert (await LoggedRegistry(lambda: old).wallets()) is old


def test_registries_of_registries_can_stand_in_a_file(tmp_path: Path) -> None:
    file = {"type": "file", "path": "staff.yaml"}
    both = {"type": "any_of", "sources": [file, {"type": "http", "urls": "https://fleet.example/"}]}
    given = {"type": "cached", "path": str(tmp_path / "x"), "source": {"type": "logged", "source": both}}
    loaded = Config.load(private_key=Keypair.generate(), authorized_wallets=given, env=False)
    assert isinstance(loaded.authorized_wallets, CachedRegistry)
    both["sources"] = [{"type": "filee"}]
    with pytest.raises(ConfigError) as raised:
        Config.load(private_key=Keypair.generate(), authorized_wallets=given, env=False)
    assert raised.value.errors[0].path == "authorized_wallets.source.source.sources[0].type"
