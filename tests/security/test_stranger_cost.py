"""What ten thousand refused dials, each with a key never seen before, cost the registry and fill of the log."""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from depinmesh import PeerRefused
from tests.security.attack import address_of, attacker, counted, intruder, reasons, victim
from tests.support import eventually

if TYPE_CHECKING:
    from depinmesh import Wallet

MIN_INTERVAL = 1.0
REFRESH_INTERVAL = 30.0

EVENTS_PER_SECOND = 2
LINES_PER_SECOND = 1


# A stranger waits for the next read of the registry, up to MIN_INTERVAL, so many have to come at the same time; with
# more over QUIC the handshakes alone would take too long.
@pytest.mark.parametrize(("transport", "dials", "at_once"), [("tcp", 10_000, 400), ("quic", 1_000, 100)])
@pytest.mark.timeout(300)
async def test_strangers_cost_one_registry_call_an_interval_one_event_and_one_line_a_second(
    transport: str, dials: int, at_once: int, caplog: pytest.LogCaptureFixture
) -> None:
    wallets: list[Wallet] = []
    calls = 0

    async def registry() -> list[Wallet]:
        nonlocal calls
        calls += 1
        return list(wallets)

    caplog.set_level(logging.INFO, "depinmesh")
    gate = {"min_interval": MIN_INTERVAL, "refresh_interval": REFRESH_INTERVAL}
    async with intruder() as (guest, key), victim(authorized_wallets=registry, gate=gate) as db:
        refusals = db.node.events(PeerRefused)
        wallets += [db.node.wallet, key.wallet]
        await db.node.gate.refresh()
        before, began = calls, monotonic()
        # Over TCP all dials come from one address, and the limits of one are far above what is needed.
        async with attacker(
            *("flood", "--address", address_of(db.node, transport), "--count", dials, "--concurrency", at_once),
            *("--security", "noise", "--sources", 200, "--hold-ms", 20_000),
        ) as flood:
            await flood.wait("flood")
            await guest.dial(address_of(db.node, transport), hold_ms=0)
            await eventually(lambda: [peer.wallet for peer in db.peers()] == [key.wallet])  # a guest gets in meanwhile
            assert flood.said("flood-done") == []
            done = await flood.finish("flood-done", within=250)
        took = monotonic() - began
        caused = calls - before
        print({"seconds": round(took, 1), "calls": caused, "refused": reasons(db.node, "refused_total")}, done)

        assert (done["times"], done["errors"]) == (dials, 0)
        assert (done["identified"], done["open"], done["streams_served"], done["bytes_read"]) == (0, 0, 0, 0)
        # Nearly all came as far as the gate; else this would have been no load on it.
        assert reasons(db.node, "refused_total")["not-listed"] > 0.9 * dials
        assert 1 <= caused <= took / REFRESH_INTERVAL + took / MIN_INTERVAL + 1
        assert counted(db.node, "registry_calls_total") == calls

        events: list[PeerRefused] = []
        async for event in refusals:
            events.append(event)
            if sum(event.count for event in events) >= counted(db.node, "refused_total"):
                break
        assert len(events) <= EVENTS_PER_SECOND * (took + 2)
        assert refusals.dropped == 0

        lines = [record.getMessage() for record in caplog.records if record.name.startswith("depinmesh.core")]
        refused = [line for line in lines if "refused a peer" in line]
        assert 1 <= len(refused) <= LINES_PER_SECOND * (took + 1)
        assert len(lines) - len(refused) <= 10 + took, lines[-5:]
