"""Dials of those who answer nothing: how long one lasts, and how many there are at once."""

from __future__ import annotations

import asyncio
import socket
from time import monotonic

import pytest

from depinmesh import DialError, Keypair, MeshTimeoutError, connect
from tests.support import WAIT, fields_of, mute

SHORT = 1.0
LONG = 30.0
WELL_BEFORE = 8.0
"""Seconds: less than the ten that a handshake may take where nothing else is said."""


@pytest.mark.parametrize(
    ("handshake", "timeout", "error"),
    [
        pytest.param(SHORT, LONG, DialError, id="the handshake's"),
        pytest.param(LONG, SHORT, MeshTimeoutError, id="the dial's"),
    ],
)
async def test_a_dial_that_nobody_answers_ends_with_the_shorter_time(
    handshake: float, timeout: float, error: type[Exception]
) -> None:
    key, silent = Keypair.generate(), Keypair.generate().wallet
    fields = fields_of(key, [key.wallet, silent], connections={"handshake_timeout": handshake})
    async with connect(**fields) as db, mute() as port:
        with pytest.raises(error):
            async with asyncio.timeout(WELL_BEFORE):
                await db.node.dial(f"{silent}@127.0.0.1:-:{port}", timeout=timeout)


@pytest.mark.parametrize("transport", ["QUIC", "TCP"])
async def test_who_answers_nothing_is_dialled_once(transport: str) -> None:
    """Somebody whose handshake fails may have dialled at the same moment; who is silent is not there."""
    key, silent = Keypair.generate(), Keypair.generate().wallet
    fields = fields_of(key, [key.wallet, silent], connections={"handshake_timeout": SHORT})
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as quic:
        quic.bind(("127.0.0.1", 0))
        async with connect(**fields) as db, mute() as tcp:
            ports = f"{quic.getsockname()[1]}:-" if transport == "QUIC" else f"-:{tcp}"
            with pytest.raises(DialError, match=r"in time|timed out"):
                await db.node.dial(f"{silent}@127.0.0.1:{ports}", timeout=LONG)
            assert db.node.status().counters["dial_failures_total"] == 1


DIALS = 3


async def test_so_many_peers_are_dialled_at_the_same_time_and_no_more() -> None:
    key, silent = Keypair.generate(), [Keypair.generate().wallet for _ in range(50)]
    async with mute() as port:
        fields = fields_of(
            key,
            [key.wallet, *silent],
            bootstrap_nodes=[f"{wallet}@127.0.0.1:-:{port}" for wallet in silent],
            bootstrap={"wait": "none"},
            connections={"dial_concurrency": DIALS},
        )
        async with connect(**fields) as db:
            most, dialled, until = 0.0, 0, monotonic() + WAIT
            # Who waits takes the place of one that has been dialled for a while.
            while most < DIALS or dialled < 4 * DIALS:
                assert monotonic() < until, (most, dialled)
                await asyncio.sleep(0.01)
                most = max(most, *(metric.value for metric in db.node.metrics() if metric.name == "pending_dials"))
                dialled = sum(node.dialled_at is not None for node in db.node.status().bootstrap)
                assert most <= DIALS
