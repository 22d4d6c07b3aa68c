"""`depinmesh demo`: it succeeds, and it fails when what it saw is not as promised."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from depinmesh.cli.demo.child import Child, DemoError
from depinmesh.cli.demo.result import LINKS, NODES, Result, Scene, Seen, problems
from tests.support import soon

if TYPE_CHECKING:
    from collections.abc import Callable

EACH = 50


@pytest.mark.timeout(60)
def test_the_demonstration_shows_events_over_both_transports_a_refused_stranger_and_the_control() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "depinmesh", "demo", "--seconds", "40"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    out = done.stdout
    assert re.search(r"(debug|release) build", out)
    assert len(set(re.findall(r"[1-9A-HJ-NP-Za-km-z]{43,44}", out))) == 4
    assert re.search(r"ada - bob +QUIC", out)
    assert re.search(r"ada - cyd +TCP", out)
    alone, unlisted, listed = re.split(r"\n\d\. ", out)[1:]
    for name in NODES:
        assert re.search(rf"{name} +50 +100\n", alone)
        assert re.search(rf"{name} +50 +100 +0 +refused .+: not-listed", unlisted)
        assert re.search(rf"{name} +50 +100 +[1-9]\d* +let in over (QUIC|TCP)", listed)
    assert re.search(r"stranger +0 of [1-9]\d* +0 +let in by 0 of 3", unlisted)
    assert re.search(r"stranger +[1-9]\d* of [1-9]\d* +150 +let in by 3 of 3", listed)
    assert re.search(r"first delivery: \d+\.\d\d s", out)
    assert "depinmesh keygen" in out.splitlines()[-1]
    assert "a stranger knocks" in done.stderr


@pytest.mark.timeout(60)
def test_a_demonstration_without_time_ends_with_a_sentence() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from depinmesh.cli.demo.command import run; sys.exit(run(0.05))"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "it took longer than 0.05 s, and was here: starting three nodes" in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_process_that_dies_is_told_with_its_last_words() -> None:
    async with Child("ada", "depinmesh.cli.demo.no_such_role") as child:
        with pytest.raises(DemoError, match=r"the process of ada has ended with code 1: .*no_such_role"):
            await soon(child.hear("listening"))


async def test_a_role_that_fails_says_why() -> None:
    async with Child("ada", "depinmesh.cli.demo.node") as child:
        child.tell(key="rubbish", wallets=[], known=[], quic=True, topic="t")
        with pytest.raises(DemoError, match="ada failed: ConfigError"):
            await soon(child.hear("listening"))


async def test_processes_end_with_the_one_that_plays() -> None:
    for role in ("node", "stranger"):
        async with Child(role, f"depinmesh.cli.demo.{role}") as child:
            assert await child.ended(15) == 0


def seen(name: str, rounds: int) -> Seen:
    links = {other: transport for pair, transport in LINKS.items() if name in pair for other in pair if other != name}
    received = {other: rounds * EACH for other in NODES if other != name}
    return Seen(sent=rounds * EACH, received=received, links=links, first=101.0)


@pytest.fixture
def good() -> Result:
    """What a demonstration that succeeds has seen."""
    result = Result(wallets={}, each=EACH, profile="debug", started_at=100.0, codes=dict.fromkeys(NODES, 0))
    for rounds, (_, scene) in enumerate(result.scenes(), 1):
        scene.seen = {name: seen(name, rounds) for name in NODES}
    result.unlisted.events_published, result.unlisted.ends = 20, ["closed"]
    for here in result.unlisted.seen.values():
        here.refused = {"not-listed": 3}
    result.listed = Scene(seen=result.listed.seen, identified=3, events_received=150, events_sent=4, events_published=5)
    for here in result.listed.seen.values():
        here.received["stranger"], here.let_in = 4, "quic"
    return result


def test_a_good_result_has_no_problems(good: Result) -> None:
    assert problems(good) == []
    assert good.first_delivery == 1.0


def lose(result: Result) -> None:
    result.alone.seen["bob"].received["ada"] -= 1


def double(result: Result) -> None:
    result.listed.seen["cyd"].received["bob"] += 1


def own(result: Result) -> None:
    result.alone.seen["ada"].received["ada"] = 1


def unsent(result: Result) -> None:
    result.unlisted.seen["ada"].sent -= 1


def one_transport(result: Result) -> None:
    result.alone.seen["cyd"].links["ada"] = "quic"


def no_link(result: Result) -> None:
    del result.alone.seen["cyd"].links["ada"]


def let_in(result: Result) -> None:
    result.unlisted.identified = 1


def heard(result: Result) -> None:
    result.unlisted.events_received = 1


def door_open(result: Result) -> None:
    result.unlisted.seen["bob"].let_in = "tcp"


def door_shut(result: Result) -> None:
    result.listed.seen["bob"].let_in = None


def took(result: Result) -> None:
    result.unlisted.seen["bob"].received["stranger"] = 1


def lazy(result: Result) -> None:
    result.unlisted.ends = []


def silent(result: Result) -> None:
    result.unlisted.seen["cyd"].refused = {}


def control_shut_out(result: Result) -> None:
    result.listed.identified = 2


def control_deaf(result: Result) -> None:
    result.listed.events_received = 0


def control_mute(result: Result) -> None:
    result.listed.seen["ada"].received["stranger"] = 0


def killed(result: Result) -> None:
    result.codes["bob"] = -9


def stuck(result: Result) -> None:
    result.codes["bob"] = None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lose, "the nodes alone: bob should have 50 events of ada so far, and has 49"),
        (double, "the stranger is listed: cyd should have 150 events of bob so far, and has 151"),
        (own, "the nodes alone: ada should have 0 events of ada so far, and has 1"),
        (unsent, "the stranger is not listed: ada should have sent 100 events so far, and has sent 99"),
        (one_transport, "the link of cyd to ada should be tcp, and is quic"),
        (no_link, "the link of cyd to ada should be tcp, and is missing"),
        (let_in, "the stranger is not listed, and was let in by 1 nodes"),
        (heard, "got 1 events"),
        (door_open, "bob let the stranger in, which is not listed"),
        (door_shut, "bob has not reported that it let the stranger in, which is listed"),
        (took, "bob took 1 events of the stranger, which is not listed"),
        (lazy, "the stranger did not try to get in"),
        (silent, "cyd has not reported that it refused the stranger"),
        (control_shut_out, "the stranger is listed, and only 2 of 3 nodes let it in"),
        (control_deaf, "the stranger is listed, and should have got 150 events, not 0"),
        (control_mute, "ada got 0 of the 4 events of the stranger, which is listed"),
        (killed, "the process of bob ended with code -9"),
        (stuck, "the process of bob did not end in time"),
    ],
)
def test_what_is_not_as_promised_is_a_problem(good: Result, change: Callable[[Result], None], sentence: str) -> None:
    result = copy.deepcopy(good)
    change(result)
    found = problems(result)
    assert len(found) == 1
    assert sentence in found[0]
