"""Handshakes with one thing wrong with each, over every transport: nobody gets in by one, and the node minds none."""

from __future__ import annotations

from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair, NodeState
from tests.security.attack import TRANSPORTS, address_of, attacker, counted, intruder, reasons, victim
from tests.support import eventually, state_of

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import AsyncIterator

    from depinmesh import Database
    from tests.program import Line

LIMIT = 3.0
"""Seconds that a connection has to show an identity."""
SLACK = 3
"""A busy machine may take so many times as long."""

often = pytest.mark.parametrize("times", [2, pytest.param(250, marks=pytest.mark.slow)])
"""Each has some twenty cases: a few dozen tries, and in the long form five thousand."""


@asynccontextmanager
async def unharmed(db: Database, address: str, key: Keypair) -> AsyncIterator[None]:
    """Check that another peer, connected before, stays so during the block, and that a dial after it gets in."""
    async with intruder(key=key) as (guest, _):
        await guest.dial(address, hold_ms=0)
        await eventually(lambda: [peer.wallet for peer in db.peers()] == [key.wallet])
        yield
        assert guest.said("closed") == []
        assert state_of(db.node) is NodeState.RUNNING
        await db.node.hang_up(key.wallet)
        await guest.wait("closed")
        await guest.dial(address, hold_ms=0)
        await guest.wait("identified", n=2)


async def attack(
    mode: str, address: str, key: Keypair, times: int, *more: object, seconds: float = LIMIT * SLACK
) -> tuple[list[Line], Line]:
    async with attacker(
        mode, "--address", address, "--key", key.to_base58(), "--count", times, "--seconds", seconds, *more
    ) as process:
        done = await process.finish(f"{mode}-done", within=280)
        return process.said(mode), done


def cases_of(lines: list[Line]) -> set[str]:
    return {line["case"] for line in lines}


def good(lines: list[Line]) -> set[str]:
    return {line["case"] for line in lines if line["accepted"]}


@often
@pytest.mark.timeout(300)
async def test_g13_w2_noise_with_one_thing_wrong_proves_nobody(times: int, malformed: Counter[str]) -> None:
    ours, guest = Keypair.generate(), Keypair.generate()
    async with victim(ours.wallet, guest.wallet) as db, unharmed(db, address_of(db.node, "tcp"), guest):
        lines, done = await attack("noise", address_of(db.node, "tcp"), ours, times)
        # The control is the first case, and the last one is of a connection that was good until then.
        assert good(lines) == {"nothing"}
        assert (done["tries"], done["accepted"]) == (22 * times, times)
        malformed["Noise"] += 21 * times
        assert {line["error"] for line in lines} & {"still open"} == set()
        # Each other case is at its end at once, even if a busy machine is late with some of the tries.
        quickest = {case: min(line["ms"] for line in lines if line["case"] == case) for case in cases_of(lines)}
        assert {case for case, ms in quickest.items() if ms > LIMIT * 1000 * 0.9} <= {"proof missing"}
        assert max(line["ms"] for line in lines) < LIMIT * SLACK * 1000
        # Nobody was there to be refused, but for those whose handshake is good: some rounds run at a time.
        assert reasons(db.node, "refused_total").keys() <= {"too-many-from-wallet"}
        assert counted(db.node, "admitted_total") <= 2 * times + 2


@pytest.mark.parametrize("transport", ["tcp", "quic"])
@often
@pytest.mark.timeout(300)
async def test_g13_w3_a_certificate_with_one_thing_wrong_proves_nobody(
    transport: str, times: int, malformed: Counter[str]
) -> None:
    ours, guest = Keypair.generate(), Keypair.generate()
    async with victim(ours.wallet, guest.wallet) as db, unharmed(db, address_of(db.node, transport), guest):
        lines, done = await attack("tls", address_of(db.node, transport), ours, times)
        assert good(lines) == {"nothing"}
        assert (done["tries"], done["accepted"]) == (19 * times, times)
        malformed["TLS"] += 18 * times
        assert max(line["ms"] for line in lines) < LIMIT * SLACK * 1000
        assert reasons(db.node, "refused_total") == {}
        assert counted(db.node, "admitted_total") <= times + 2


# A few good tries by themselves leave half a connection each, which the node holds for the time of a handshake.
@often
@pytest.mark.timeout(300)
async def test_w3_w7_first_packets_that_no_client_sends_get_a_short_answer_or_none(
    times: int, caplog: pytest.LogCaptureFixture, malformed: Counter[str]
) -> None:
    guest = Keypair.generate()
    async with victim(guest.wallet) as db, unharmed(db, address_of(db.node, "quic"), guest):
        more = ("--hold-ms", 100 if times == 2 else 20)
        lines, done = await attack("initial", address_of(db.node, "quic"), guest, times, *more)
        malformed["QUIC"] += done["tries"] - times
        # What begins the handshake of a good client, and three whose parameters are strange but allowed.
        answered = good(lines)
        assert "good" in answered
        assert answered <= {
            "good",
            "no source id",
            "another source id",
            "idle timeout of ever",
            "windows of ever",
            "unknown and long",
            "delay of a day",
            "closed at once",
        }, answered
        assert sum(line["bytes"] for line in lines) <= 3 * sum(line["sent"] for line in lines)
        assert counted(db.node, "admitted_total") <= 2
    # Each is counted, and at most one line a second tells of them.
    told = [record.created for record in caplog.records if "listener reported" in record.getMessage()]
    assert all(later - earlier > 0.9 for earlier, later in pairwise(told))


@often
@pytest.mark.timeout(300)
async def test_w4_w7_yamux_frames_that_no_stranger_should_send_are_at_their_end_with_the_answer_of_the_gate(
    times: int, malformed: Counter[str]
) -> None:
    stranger, guest = Keypair.generate(), Keypair.generate()
    async with victim(guest.wallet) as db, unharmed(db, address_of(db.node, "tcp"), guest):
        lines, done = await attack("yamux", address_of(db.node, "tcp"), stranger, times)
        assert done["tries"] == 21 * times
        malformed["Yamux"] += done["tries"]
        assert good(lines) == set()
        assert {line["error"] for line in lines} & {"still open"} == set()
        await eventually(lambda: reasons(db.node, "refused_total") == {"not-listed": done["tries"]})


@pytest.mark.timeout(120)
async def test_w4_w7_yamux_frames_of_a_listed_peer_end_at_most_its_own_connection() -> None:
    """The control of the one above: here the frames are read."""
    traitor, guest = Keypair.generate(), Keypair.generate()
    async with victim(guest.wallet, traitor.wallet) as db, unharmed(db, address_of(db.node, "tcp"), guest):
        lines, done = await attack("yamux", address_of(db.node, "tcp"), traitor, 1, seconds=0.5)
        assert done["tries"] == 21
        assert "good" in good(lines)
        assert {"opening with endless length", "unknown version", "unknown type"} & good(lines) == set()
        await eventually(lambda: [peer.wallet for peer in db.peers()] == [guest.wallet])


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_g13_an_address_that_names_another_key_is_no_way_in(transport: str) -> None:
    """Nor is one out: who answers with another key than the dialled one is not taken for it."""
    listen = "/ip4/127.0.0.1/udp/0/quic-v1" if transport == "quic" else "/ip4/127.0.0.1/tcp/0"
    named = Keypair.generate()
    async with intruder("--listen", listen, *TRANSPORTS[transport]) as (listener, key):
        (address,) = listener.said("started")[0]["addresses"]
        wrong = address.replace(key.peer_id, named.peer_id)
        async with victim(named.wallet, key.wallet) as db:
            with pytest.raises(Exception, match=named.peer_id):
                await db.node.dial(wrong, timeout=5)
            assert db.peers() == []
            # The control: by its own name it is let in.
            assert await db.node.dial(address) == key.peer_id
