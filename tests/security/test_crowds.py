"""Crowds that come and say nothing: who is listed gets in, and what they took is given back when they have gone."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair
from tests.security.attack import attacker, intruder
from tests.security.raw import target

if TYPE_CHECKING:
    from tests.security.raw import Target

LIMIT = 3.0
"""Seconds that a connection has to show an identity."""
SLACK = 3
"""A busy machine may take so many times as long."""
JOIN = 2.0
"""Seconds that a guest may need to get in, 99 of 100."""
GIVEN_BACK = 10.0
"""Seconds after which the descriptors of a crowd that has gone are free."""
MOST = 256
"""Descriptors that a node may have that is to run out of them."""
WITHOUT_LIMITS = {"max_per_ip": 10_000, "max_pending_per_ip": 10_000}


async def join(node: Target, key: Keypair, transport: str = "tcp") -> float:
    """Let a guest come and go; return after how many seconds it was in."""
    async with intruder("--transport", transport, key=key) as (guest, _):
        began = monotonic()
        guest.tell("dial", address=node.at(transport), hold_ms=0)
        await guest.wait("identified", within=JOIN * SLACK * 2)
        return monotonic() - began


def open_in(node: Target) -> int:
    """Count its descriptors from outside: without any it could not do that itself."""
    return len(list(Path(f"/proc/{node.process.pid}/fd").iterdir()))


def cpu_of(node: Target) -> float:
    """Return the seconds of processor time that it has used."""
    fields = Path(f"/proc/{node.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def settles_at(node: Target, descriptors: int) -> float:
    """Wait until the node has no more of them open; return after how many seconds."""
    began = monotonic()
    while (held := open_in(node)) > descriptors:
        assert monotonic() < began + GIVEN_BACK * SLACK, held - descriptors
        await asyncio.sleep(0.05)
    return monotonic() - began


async def is_empty(node: Target) -> None:
    """Wait until the guests have gone."""
    while (await node.report())["wallets"]:
        pass


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_g9_a_crowd_that_says_nothing_keeps_nobody_out_and_leaves_no_descriptor() -> None:
    silent, half_open, joins = 2_000, 500, 40
    keys = [Keypair.generate() for _ in range(joins)]
    async with target(*(key.wallet for key in keys), connections=WITHOUT_LIMITS) as node:
        await join(node, keys[0])
        await join(node, keys[1], "quic")  # what a first one opens for good is there now
        await is_empty(node)
        before = open_in(node)
        async with (
            attacker("half-open", "--address", node.at("quic"), "--count", half_open, "--seconds", 12) as half,
            attacker("silent", "--address", node.at("tcp"), "--count", silent, "--seconds", 60) as crowd,
        ):
            took = [await join(node, key) for key in keys]
            closed = await crowd.finish("silent-done", within=90)
            halves = await half.finish("half-open-done", within=90)
        given_back = await settles_at(node, before)
        print({"join max": round(max(took), 2), "descriptors back after": round(given_back, 1)}, closed, halves)
        assert (closed["closed"], closed["refused"]) == (silent, 0)
        assert closed["p50_ms"] / 1000 > LIMIT * 0.9
        # The backlog of a socket holds half of so many; the others wait for their turn before they are seen at all.
        assert closed["max_ms"] < LIMIT * SLACK * 2 * 1000
        # The control: they had answers, and were waited for. A full buffer of the socket costs some, under load many.
        assert halves["accepted"] > half_open / 2
        assert halves["last_ms"] < LIMIT * SLACK * 1000
        assert sorted(took)[int(0.99 * len(took)) - 1] < JOIN * SLACK


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_r3_a_node_without_descriptors_waits_for_some_and_loses_nobody() -> None:
    inside, late = Keypair.generate(), Keypair.generate()
    async with (
        target(inside.wallet, late.wallet, limits={"NOFILE": MOST}, connections=WITHOUT_LIMITS) as node,
        intruder("--transport", "tcp", key=inside) as (guest, _),
    ):
        await guest.dial(node.at("tcp"), hold_ms=0)
        await guest.wait("identified")
        before, lines = open_in(node), len(node.said("log"))
        async with attacker("silent", "--address", node.at("tcp"), "--count", 800, "--seconds", 60) as crowd:
            began, cpu, most = monotonic(), cpu_of(node), 0
            while not crowd.said("silent-done"):
                most = max(most, open_in(node))
                assert monotonic() < began + 100
                await asyncio.sleep(0.05)
            took, cpu = monotonic() - began, cpu_of(node) - cpu
        ended = monotonic()
        joined = await join(node, late)
        recovered = monotonic() - ended
        lines = len(node.said("log")) - lines
        print(
            {"most": most, "seconds": took, "cpu": cpu / took, "recovered": recovered, "joined": joined, "log": lines}
        )
        assert most >= MOST - 1  # the control: there was none left
        assert guest.said("closed") == []
        assert cpu / took < 0.2 * SLACK
        assert lines <= took + 10
        assert recovered < 5 * SLACK
        await settles_at(node, before + 1)
