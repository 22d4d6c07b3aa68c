"""A valid key that is not on the list asks a relay for what relays give; on the list the same requests are granted."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair, connect
from tests.integration.relays import RELAYED, circuits
from tests.security.attack import TRANSPORTS, address_of, counted, full, intruder
from tests.support import eventually, fields_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from depinmesh import Database, Node, Wallet

everywhere = pytest.mark.parametrize("transport", ["quic", "tcp-noise"])


@asynccontextmanager
async def relay_and_target(
    at_relay: Sequence[Wallet] = (), at_target: Sequence[Wallet] = ()
) -> AsyncIterator[tuple[Database, Database]]:
    """Run a relay, and a node that is reached through it; each lists some guests beside the two."""
    keys = [Keypair.generate() for _ in range(2)]
    wallets = [key.wallet for key in keys]
    serving = {**RELAYED, "nat": {"relay_server": True}}
    async with connect(**fields_of(keys[0], [*wallets, *at_relay], **serving)) as relay:
        through = {**RELAYED, "nat": {"hole_punching": False, "relays": relay.node.bootstrap_entries()}}
        async with connect(**fields_of(keys[1], [*wallets, *at_target], **through)) as target:
            await eventually(lambda: circuits(target.node))
            yield relay, target


def circuit_to(target: Database, relay: Node, transport: str) -> str:
    """Return the address of a node through a relay that is reached by a transport."""
    return f"{address_of(relay, transport)}/p2p-circuit/p2p/{target.node.peer_id}"


def held(relay: Node) -> dict[str, float]:
    """Return what a relay gives to others now."""
    names = ("relay_reservations", "relay_circuits")
    return {metric.name: metric.value for metric in relay.metrics() if metric.name in names}


@everywhere
async def test_a_stranger_gets_no_reservation_and_no_circuit(transport: str) -> None:
    async with intruder(*TRANSPORTS[transport]) as (stranger, _), relay_and_target() as (relay, target):
        # A relay counts what it gave once its answer is out, and whoever asked may know it sooner.
        await eventually(lambda: held(relay.node) == {"relay_reservations": 1, "relay_circuits": 0})
        circuit = f"{address_of(relay.node, transport)}/p2p-circuit"
        for n in range(1, 6):
            stranger.tell("listen", address=circuit)
            await stranger.wait("command-failed", n=n)
        assert stranger.said("listening") == []
        done = await stranger.dial(circuit_to(target, relay.node, transport), times=5)
        assert (done["connected"], done["identified"], done["failed"]) == (0, 0, 5)
        assert held(relay.node) == {"relay_reservations": 1, "relay_circuits": 0}
        assert counted(relay.node, "circuits_total") == 0
        # It was refused at the door: it never came so far as to ask.
        assert counted(relay.node, "relay_denied_total") == 0
        assert counted(relay.node, "refused_total", reason="not-listed") >= 2
        assert target.node.status().peers == 1


@everywhere
async def test_one_that_only_the_relay_lists_is_refused_at_the_far_end(transport: str) -> None:
    key = Keypair.generate()
    async with (
        intruder(*TRANSPORTS[transport], key=key) as (stranger, _),
        relay_and_target(at_relay=[key.wallet]) as (relay, target),
        target.subscribe("t"),
    ):
        await stranger.ask("subscribe", "subscribed", topic=full(target, "t"))
        done = await stranger.dial(circuit_to(target, relay.node, transport), times=3, hold_ms=5_000)
        assert (done["identified"], done["open"]) == (0, 0)
        assert counted(relay.node, "circuits_total") == 3
        assert counted(target.node, "refused_total", reason="not-listed") >= 1
        assert key.peer_id not in [peer.peer_id for peer in target.node.peers()]
        assert target.topic_peers("t") == []
        await eventually(lambda: held(relay.node)["relay_circuits"] == 0)


@everywhere
async def test_on_the_list_the_same_requests_are_granted(transport: str) -> None:
    key = Keypair.generate()
    async with (
        intruder(*TRANSPORTS[transport], key=key) as (guest, _),
        relay_and_target(at_relay=[key.wallet], at_target=[key.wallet]) as (relay, target),
        target.subscribe("t"),
    ):
        await guest.ask("subscribe", "subscribed", topic=full(target, "t"))
        done = await guest.dial(circuit_to(target, relay.node, transport), hold_ms=2_000)
        assert (done["identified"], done["open"]) == (1, 1)
        await eventually(lambda: key.peer_id in target.topic_peers("t"))
        await guest.ask("listen", "listening", address=f"{address_of(relay.node, transport)}/p2p-circuit")
        await eventually(lambda: held(relay.node) == {"relay_reservations": 2, "relay_circuits": 1})
