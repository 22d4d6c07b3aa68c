"""What the benches make of what they measure."""

from __future__ import annotations

import argparse
import json
import time
import tomllib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from benches.support.figures import Blocks, Row, cells
from benches.support.progress import Step, run_all
from benches.support.statistics import interval

pytest.importorskip("resource", reason="benches are for Linux")
from benches.compare import Variant
from benches.support.peer import Credit, Events, Received, Window
from benches.support.systems import OURS, RAW, ROOT
from benches.table import NOTES

if TYPE_CHECKING:
    from pathlib import Path

RATE = Row("rate", "", "throughput", "rate", 0.9, 0.97, "raw", "ratio", more_is_better=True, transports=("quic",))


def measured(system: str, block: int, rate: float) -> dict[str, Any]:
    return {"bench": "throughput", "system": system, "transport": "quic", "block": block, "values": {"rate": rate}}


def ended(block: int, *, counts: bool) -> dict[str, Any]:
    return {"bench": "block", "block": block, "moved": 0.1, "counts": counts}


def test_a_ratio_is_taken_inside_its_block() -> None:
    lines = [measured("ours", 0, 95), measured("raw", 0, 100), measured("ours", 1, 19), measured("raw", 1, 20)]
    [row] = cells(Blocks(lines), [RATE])
    assert row[4] == "0.95x [0.95x..0.95x]"
    assert row[-1] == "must"


def test_a_block_in_which_the_machine_changed_does_not_count() -> None:
    lines = [measured("ours", 0, 95), measured("raw", 0, 100), measured("ours", 1, 1), measured("raw", 1, 100)]
    [row] = cells(Blocks([*lines, ended(0, counts=True), ended(1, counts=False)]), [RATE])
    assert row[4] == "0.95x"
    none_counts = Blocks([*lines, ended(0, counts=False), ended(1, counts=False)])
    assert none_counts.shaky
    assert len(none_counts.values(RATE, "ours", "quic")) == 2


def test_what_a_node_holds_at_rest_counts_in_every_block() -> None:
    row = Row("memory", "MiB", "idle", "mib", transports=())
    line = {"bench": "idle", "system": "ours", "block": 0, "values": {"mib": 50.0}}
    lines = [line, ended(0, counts=False), ended(1, counts=True)]
    assert Blocks(lines).values(row, "ours", None) == {0: 50.0}


def test_a_comparison_without_the_other_is_no_row() -> None:
    assert cells(Blocks([measured("ours", 0, 95)]), [RATE]) == []


def test_beneath_the_table_stands_what_the_raw_pair_reaches_of_python() -> None:
    def line(system: str, rate: float) -> dict[str, Any]:
        about = {"bench": "throughput", "transport": "quic", "size": 200, "block": 0}
        return {**about, "system": system, "values": {"events_per_second": rate}}

    assert "reaches 11.00x over QUIC." in NOTES["asked"]([line("raw", 22_000), line("py", 2_000)])
    assert not NOTES["asked"]([line("raw", 22_000)])


def test_a_variant_is_a_name_and_what_it_changes() -> None:
    variant = Variant.parse("other loop=uvloop LD_PRELOAD=/lib/a.so=1")
    assert (variant.name, variant.loop) == ("other", "uvloop")
    assert variant.system == replace(OURS, environment={"LD_PRELOAD": "/lib/a.so=1"})
    assert Variant.parse("other system=raw") == Variant("other", RAW, "asyncio")


@pytest.mark.parametrize("wrong", ["a system=rwa", "a system=raw X=1", "a system=raw loop=uvloop", "a word"])
def test_a_variant_that_cannot_be_is_refused(wrong: str) -> None:
    with pytest.raises((argparse.ArgumentTypeError, ValueError)):
        Variant.parse(wrong)


def test_the_raw_pair_has_the_versions_of_depinmesh() -> None:
    ours, raw = (
        tomllib.loads((ROOT / path / "Cargo.lock").read_text(encoding="utf-8")) for path in (".", "benches/raw")
    )
    known = {(package["name"], package["version"]) for package in ours["package"]}
    # Of what depinmesh leaves out there is nothing to compare with.
    names = {name for name, _ in known}
    others = [
        (package["name"], package["version"])
        for package in raw["package"]
        if package["name"] in names and (package["name"], package["version"]) not in known
    ]
    assert others == [("futures-timer", "3.0.3")]  # ours is rust/timer


def test_rust_libp2p_has_our_timers_and_no_others() -> None:
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text(encoding="utf-8"))
    (timers,) = [package for package in lock["package"] if package["name"] == "futures-timer"]
    assert "source" not in timers  # a crate of the workspace has none


def test_the_interval_of_three_values_is_their_range() -> None:
    assert interval([3.0, 1.0, 2.0]) == (1.0, 3.0)
    low, high = interval([10.0, 11, 12, 13, 14, 15, 16, 17, 90])
    assert 10 < low < 14 < high < 90


@pytest.mark.parametrize("size", [200, 4096, 65536])
def test_events_have_an_exact_size(size: int) -> None:
    events = Events("12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB", size)
    for number, due in ((0, 0), (123_456, 1_234_567_890_123_456)):
        event = events.event(number, due)
        assert len(event) == size
        assert json.loads(event)["message"] == events.message(number, due)


def test_a_sender_stays_within_its_window(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    credit = str(tmp_path / "credit")
    received = Received(Credit(credit), count=3, warmup=1, latency=True)
    window = Window(Credit(credit), 2)
    assert window.room(4) == 2
    window.sent = 2
    assert window.room(4) == 0
    assert [received.add(0) for _ in range(2)] == [False, False]
    assert window.room(4) == 2
    assert [received.add(1) for _ in range(2)] == [False, True]
    assert window.room(4) is None
    received.say()
    said = json.loads(capsys.readouterr().out)
    assert (said["event"], said["missing"]) == ("received", 0)
    assert said["p50_us"] > 0


def test_what_was_lost_is_sent_again(tmp_path: Path) -> None:
    credit = Credit(str(tmp_path / "credit"))
    window = Window(credit, 2, lost_after=0.001)
    assert window.room(2) == 2
    window.sent = 2
    credit.set(1)
    assert window.room(2) == 0
    time.sleep(0.01)
    assert window.room(2) == 1
    assert window.lost == 1


def test_a_step_that_fails_does_not_end_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> str:
        raise RuntimeError("lost")

    assert run_all([Step("one", 1, fail), Step("two", 1, lambda: "done")]) == ["one"]
    assert "two: done" in capsys.readouterr().err
