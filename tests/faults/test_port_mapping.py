"""Ports that a router maps by UPnP, with the daemon that home routers run."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair
from tests.faults.gateway import Gateway, upnp
from tests.faults.lab import node_on
from tests.faults.nat_lab import NatLab, nat_lab

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.faults.lab import Host

QUIC, TCP = 4001, 4002
ADA, BOB = Keypair.generate(), Keypair.generate()


def node(host: Host, key: Keypair, *nodes: str, **config: Any) -> Any:
    """Run a node that lets in these two."""
    own = {"key": key.to_base58(), "wallets": [ADA.wallet, BOB.wallet], "nodes": nodes}
    return node_on(host, **own, **{"quic": QUIC, "tcp": TCP, **config})


@asynccontextmanager
async def home() -> AsyncIterator[tuple[NatLab, Gateway]]:
    """Make a network with one router that maps ports."""
    async with nat_lab() as net, upnp(await net.router("port-restricted")) as gateway:
        yield net, gateway


async def until(look: Callable[[], Awaitable[object]], within: float) -> float:
    """Wait until it is so; return the seconds that it took."""
    began = time.monotonic()
    async with asyncio.timeout(within):
        while not await look():  # noqa: ASYNC110  # the router tells nobody
            await asyncio.sleep(0.1)
    return time.monotonic() - began


async def test_a_router_maps_the_ports_others_come_by_them_and_they_are_taken_back() -> None:
    async with home() as (net, gateway):
        inside, outside = await net.host(gateway.router), await net.host()
        at = gateway.router.address
        async with node(inside, ADA) as ada:
            told = await ada.wait("reachability", within=20)
            assert set(told["addresses"]) == {f"/ip4/{at}/tcp/{TCP}", f"/ip4/{at}/udp/{QUIC}/quic-v1"}
            assert await gateway.mapped() == {
                ("tcp", TCP): (inside.address, TCP),
                ("udp", QUIC): (inside.address, QUIC),
            }
            for ports in {"tcp": None}, {"quic": None}:
                async with node(outside, BOB, f"{ADA.wallet}@{at}:{QUIC}:{TCP}", **ports) as bob:
                    await bob.wait("connected", peer=ada.peer_id, within=10)
            began = time.monotonic()
            await ada.close()
            print(f"closed in {time.monotonic() - began:.2f} s")
        assert await gateway.mapped() == {}


async def test_two_nodes_with_the_same_ports_get_two_ports_of_the_router() -> None:
    async with home() as (net, gateway):
        first, second = await net.host(gateway.router), await net.host(gateway.router)
        async with node(first, ADA) as ada:
            await ada.wait("reachability", within=20)
            async with node(second, BOB) as bob:
                told = await bob.wait("reachability", within=20)
                mapped = await gateway.mapped()
                assert sorted(mapped.values()) == [
                    (host.address, port) for host in (first, second) for port in (QUIC, TCP)
                ]
                outer = [port for (_, port), (host, _) in mapped.items() if host == second.address]
                assert len(told["addresses"]) == 2
                assert all(any(f"/{port}" in address for port in outer) for address in told["addresses"])


async def test_a_node_that_is_to_map_nothing_maps_nothing() -> None:
    async with home() as (net, gateway):
        inside = await net.host(gateway.router)
        async with node(inside, ADA, more={"nat": {"upnp": False}}):
            await asyncio.sleep(3)
        assert gateway.asked() == 0
        async with node(inside, ADA) as ada:
            await ada.wait("reachability", within=20)
        assert gateway.asked() == 2


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_mappings_are_renewed_and_another_address_of_the_router_is_noticed() -> None:
    async with home() as (net, gateway), node(await net.host(gateway.router), ADA) as ada:
        await ada.wait("reachability", within=20)
        moved = "45.77.0.200"
        await gateway.router.move(moved)

        async def renewed() -> bool:
            return gateway.asked() >= 4

        seconds = await until(renewed, within=360)
        print(f"renewed after {seconds:.0f} s")
        told = await ada.wait("reachability", n=2, within=10)
        assert set(told["addresses"]) == {f"/ip4/{moved}/tcp/{TCP}", f"/ip4/{moved}/udp/{QUIC}/quic-v1"}
        assert len(await gateway.mapped()) == 2
