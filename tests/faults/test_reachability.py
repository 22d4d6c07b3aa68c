"""What a node finds out about itself: whether others can connect to it, and where."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair
from tests.faults.lab import Node, node_on
from tests.faults.nat_lab import Kind, NatLab, nat_lab

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.faults.lab import Host

QUIC, TCP = 4001, 4002
FOUND_OUT = 45.0
"""Seconds until a node knows: the first question is asked after five, and then every ten."""
ASKED, SILENT, SERVER = Keypair.generate(), Keypair.generate(), Keypair.generate()


def slow(kind: Kind | None) -> Any:
    """Leave a case out of the default tests."""
    return pytest.param(kind, marks=pytest.mark.slow)


def node(host: Host, key: Keypair, *nodes: str, **config: Any) -> Any:
    """Run a node that lets in these three."""
    own = {"key": key.to_base58(), "wallets": [ASKED.wallet, SILENT.wallet, SERVER.wallet], "nodes": nodes}
    return node_on(host, **own, **{"quic": QUIC, "tcp": TCP, **config})


@asynccontextmanager
async def server(net: NatLab) -> AsyncIterator[tuple[Node, str]]:
    """Run a public node that answers; yields also its entry in a list of bootstrap nodes."""
    host = await net.host()
    async with node(host, SERVER, more={"nat": {"autonat_server": True}}) as one:
        yield one, f"{SERVER.wallet}@{host.address}:{QUIC}:{TCP}"


async def counters(node: Node) -> dict[str, float]:
    counters: dict[str, float] = (await node.ask("counters", "counters"))["counters"]
    return counters


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", [slow(None), "open", "port-restricted", slow("symmetric")])
async def test_a_node_finds_out_whether_others_can_connect_to_it(kind: Kind | None) -> None:
    async with nat_lab() as net:
        router = await net.router(kind) if kind else None
        host = await net.host(router)
        async with server(net) as (one, entry), node(host, ASKED, entry) as asked:
            reached = kind in (None, "open")
            expected = "public" if reached else "private"
            told = await asked.wait("reachability", within=FOUND_OUT, reachability=expected)
            print(f"{kind}: {expected} after {told['at'] - asked.said('started')[0]['at']:.1f} s")
            nat = await asked.ask("nat", "nat")
            outside = [] if not reached else [router.address if router else host.address]
            assert {address.split("/")[2] for address in nat["public_addresses"]} == set(outside)
            assert (await counters(one))["reachability_served_total"] >= 1
            assert (await counters(asked))["reachability_asked_total"] >= 1
            # The try is no second connection, and nobody who was refused.
            for other in one, asked:
                assert (await counters(other))["second_connections_total"] == 0
                assert len(await other.peers()) == 1
            assert asked.said("refused") == asked.said("disconnected") == []


@pytest.mark.timeout(120)
async def test_a_node_without_autonat_asks_nobody_and_finds_out_nothing() -> None:
    async with nat_lab() as net:
        hosts = [await net.host() for _ in range(2)]
        async with (
            server(net) as (_, entry),
            node(hosts[0], SILENT, entry, more={"nat": {"autonat": False}}) as silent,
            node(hosts[1], ASKED, entry) as asked,
        ):
            # The control: the other one, which has started later, is answered by the same server.
            await asked.wait("reachability", within=FOUND_OUT, reachability="public")
            assert (await counters(asked))["reachability_asked_total"] >= 1
            assert SERVER.peer_id in await silent.peers()
            assert (await counters(silent))["reachability_asked_total"] == 0
            assert (await silent.ask("nat", "nat"))["reachability"] == "unknown"


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_another_address_of_the_router_is_noticed() -> None:
    async with nat_lab() as net:
        router = await net.router("open")
        async with server(net) as (_, entry), node(await net.host(router), ASKED, entry) as asked:
            await asked.wait("reachability", within=FOUND_OUT, reachability="public")
            moved = "45.77.0.200"
            await router.move(moved)
            await router.forget()
            began = time.monotonic()

            async def at() -> set[str]:
                nat = await asked.ask("nat", "nat")
                return {address.split("/")[2] for address in nat["public_addresses"]}

            while await at() != {moved}:
                assert time.monotonic() - began < 120, asked.lines[-5:]
                await asked.wait("reachability", n=len(asked.said("reachability")) + 1, within=120)
            print(f"noticed after {time.monotonic() - began:.1f} s")
