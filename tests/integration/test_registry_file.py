"""`FileRegistry` through a real gate: edits take effect, broken ones do not and are named by file and line."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair, RegistryError, WalletRevoked
from depinmesh.registry import FileRegistry
from tests.registries import guarded, inside, visitor
from tests.support import eventually, soon

if TYPE_CHECKING:
    from pathlib import Path

KEYS = [Keypair.from_seed(bytes([n]) * 32) for n in range(5)]
WALLETS = [str(key.wallet) for key in KEYS]


def written(path: Path, wallets: list[str]) -> None:
    """Write the wallets in the form of the name, in one step."""
    lines = [f"  - {wallet}" for wallet in wallets]
    text = {
        ".json": json.dumps(wallets, indent=1),
        ".yaml": "\n".join(["# the fleet", "wallets:", *lines] if lines else ["wallets: []"]),
        ".txt": "\n".join([*wallets, "# nobody else"]),
    }[path.suffix]
    other = path.with_name("other")
    other.write_text(text)
    other.replace(path)


@pytest.mark.parametrize("suffix", ["json", "yaml", "txt"])
async def test_an_edit_takes_effect_within_a_second_and_a_broken_one_leaves_the_last_good_list(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "depinmesh.registry")
    path = tmp_path / f"fleet.{suffix}"
    written(path, WALLETS)
    host_key, friend, *_ = KEYS
    async with guarded(FileRegistry(path, poll_interval=0.1), host_key) as host, visitor(host, friend):
        await eventually(lambda: inside(host, friend))
        path.write_text(path.read_text().replace(WALLETS[3], "not a wallet"))
        await eventually(lambda: f"fleet.{suffix}:" in caplog.text)
        line = path.read_text().split("not a wallet")[0].count("\n") + 1
        assert f"{path}:{line}: " in caplog.text
        with pytest.raises(RegistryError, match=f"fleet.{suffix}:{line}"):
            await host.node.gate.refresh()
        assert len(host.node.gate.wallets) == 5
        assert inside(host, friend)
        assert caplog.text.count("The edit is not used") == 1
        began = time.monotonic()
        written(path, [wallet for wallet in WALLETS if wallet != WALLETS[1]])
        await eventually(lambda: inside(host))
        print(f"put out {time.monotonic() - began:.2f} s after the edit")
        assert time.monotonic() - began < 3 * 1.0
        path.unlink()
        with pytest.raises(RegistryError, match="No such file"):
            await host.node.gate.refresh()
        assert len(host.node.gate.wallets) == 4


@pytest.mark.parametrize("left", [0, 1], ids=["empty", "less than half"])
async def test_an_edit_that_drops_too_much_is_read_twice(tmp_path: Path, left: int) -> None:
    path = tmp_path / "fleet.txt"
    written(path, WALLETS)
    host_key, friend, *_ = KEYS
    async with guarded(FileRegistry(path, poll_interval=0.05), host_key) as host, visitor(host, friend):
        await eventually(lambda: inside(host, friend))
        began = time.monotonic()
        written(path, WALLETS[:left])
        await asyncio.sleep(0.5)
        assert len(host.node.gate.wallets) == 5
        await host.node.gate.refresh()
        await eventually(lambda: len(host.node.gate.wallets) == left)
        assert time.monotonic() - began >= 1.9
        await eventually(lambda: inside(host))


async def looked_at(registry: FileRegistry, n: int) -> None:
    """Wait until the node has seen the file with so many wallets; only its reads and its looks at the file do that."""
    await eventually(lambda: registry._document is not None and len(registry._document.wallets) == n)


async def test_a_file_that_is_emptied_and_refilled_line_by_line_puts_nobody_out(tmp_path: Path) -> None:
    path = tmp_path / "fleet.txt"
    extra = str(Keypair.generate().wallet)
    written(path, [*WALLETS, extra])
    host_key, *friends = KEYS
    registry = FileRegistry(path, poll_interval=0.05)
    async with (
        guarded(registry, host_key) as host,
        visitor(host, friends[0]),
        visitor(host, friends[1]),
        host.node.events(WalletRevoked) as revocations,
    ):
        await eventually(lambda: inside(host, *friends[:2]))
        for left in (0, 1, 2, 5):
            written(path, WALLETS[:left])
            await looked_at(registry, left)
        # The whole list again, without the one who may go: that takes effect, and is the first that did.
        assert (await soon(anext(revocations))).wallet == extra
        assert inside(host, *friends[:2])
        assert set(host.node.gate.wallets) == set(WALLETS)


async def test_a_file_that_stays_short_after_it_was_emptied_is_read_twice(tmp_path: Path) -> None:
    path = tmp_path / "fleet.txt"
    written(path, WALLETS)
    host_key, friend, *_ = KEYS
    registry = FileRegistry(path, poll_interval=0.05)
    async with guarded(registry, host_key) as host, visitor(host, friend):
        await eventually(lambda: inside(host, friend))
        written(path, [*WALLETS, str(Keypair.generate().wallet)])
        await eventually(lambda: len(host.node.gate.wallets) == 6)  # an edit that loses nobody takes effect
        for left in (0, 1):
            written(path, WALLETS[:left])
            await looked_at(registry, left)
        began = time.monotonic()
        await host.node.gate.refresh()
        assert len(host.node.gate.wallets) == 6
        assert inside(host, friend)
        await eventually(lambda: set(host.node.gate.wallets) == set(WALLETS[:1]))
        assert time.monotonic() - began >= 1.9
        await eventually(lambda: inside(host))
        written(path, WALLETS)  # and from then on the short one is what edits are held against
        await eventually(lambda: inside(host, friend))


async def test_a_file_that_is_written_slowly_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "fleet.txt"
    path.write_text("")
    registry = FileRegistry(path)
    reading = asyncio.create_task(registry.wallets())
    with path.open("w") as file:
        for wallet in WALLETS:
            file.write(f"{wallet}\n")
            file.flush()
            await asyncio.sleep(0.05)
    assert list((await reading).wallets) == WALLETS


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '["x"', r"a.json:1: EOF"),
        ("a.json", '{\n "wallet": []}', r"a.json:2: 'wallet' is unknown"),
        ("a.json", '{"wallets": 7}', r"a.json:1: wallets is not a list"),
        ("a.json", '{"bootstrap_nodes": []}', r"a.json:1: has no wallets"),
        ("a.json", "7", r"a.json:1: is not a list"),
        ("a.json", "[7]", r"a.json:1: 7 is not text"),
        ("a.yaml", "wallets:\n  - x\n - y", r"a.yaml:3: "),
        ("a.yml", "wallets:\n  - {a: b}", r"a.yml:2: .* is not text"),
        ("a.yaml", "a: &a [b]\nwallets: [*a, *a]", r"a.yaml:1: 'a' is unknown"),
        ("a.yaml", "", r"a.yaml:1: is not a list"),
        ("a.txt", f"{WALLETS[0]}\n\n{'1' * 32}", r"a.txt:3: '1+': .*small order"),
        ("a.json", json.dumps({"wallets": [], "bootstrap_nodes": ["x"]}), r"a.json:1: 'x': .*wallet@host"),
    ],
)
async def test_a_mistake_is_named_by_its_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(RegistryError, match=message):
        await FileRegistry(tmp_path / name).wallets()


async def test_bootstrap_nodes_of_a_file(tmp_path: Path) -> None:
    entry = f"{WALLETS[0]}@127.0.0.1:1:2"
    for name, text in {
        "a.yaml": f"wallets: [{WALLETS[0]}]\nbootstrap_nodes:\n - '{entry}'",
        "a.json": json.dumps({"wallets": [], "bootstrap_nodes": [entry]}),
    }.items():
        (tmp_path / name).write_text(text)
        assert [str(node) for node in await FileRegistry(tmp_path / name).bootstrap_nodes()] == [entry]


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="poll_interval"):
        FileRegistry("x", poll_interval=0)
