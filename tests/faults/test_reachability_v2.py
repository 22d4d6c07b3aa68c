"""What a node finds out from servers of AutoNAT v2 alone, which come back with their own wallet, and what it costs."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair
from tests.faults.nat_lab import Kind, nat_lab
from tests.faults.test_reachability import ASKED, FOUND_OUT, QUIC, SERVER, TCP, counters, node, slow
from tests.security.attack import Attacker, binary, envelope
from tests.support import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.faults.lab import Host, Node
    from tests.program import Line

TOPIC = "depin-network_t"
INTERVAL = 0.05
AFTERWARDS = 40
"""Events of each side after the node knows: the other addresses are asked for meanwhile."""


@asynccontextmanager
async def server(host: Host, key: Keypair) -> AsyncIterator[tuple[Attacker, str]]:
    """Run a plain rust-libp2p server; yields also its entry in a list of bootstrap nodes."""
    listen = (f"/ip4/{host.address}/udp/{QUIC}/quic-v1", f"/ip4/{host.address}/tcp/{TCP}")
    words = ("node", "--autonat", "--key", key.to_base58(), "--listen", listen[0], "--listen", listen[1])
    async with Attacker.run(*host.command(binary(), *words)) as one:
        await one.wait("started")
        await one.ask("subscribe", "subscribed", topic=TOPIC)
        yield one, f"{key.wallet}@{host.address}:{QUIC}:{TCP}"


def heard(one: Node | Attacker) -> list[int]:
    """Return the numbers that one has heard, in order of size; those before the count begins are negative."""
    if isinstance(one, Attacker):
        numbers = [json.loads(line["data"])["message"] for line in one.said("gossip")]
    else:
        numbers = [line["number"] for line in one.said("heard")]
    return sorted(number for number in numbers if number >= 0)


async def talk(asked: Node, other: Attacker, until: Callable[[], bool]) -> int:
    """Let both publish numbers until something is so, and some more; return how many, none lost and none doubled."""

    async def publish(number: int) -> None:
        await asked.publish(number)
        await other.publish(TOPIC, envelope(SERVER.peer_id, number))
        await asyncio.sleep(INTERVAL)

    while not (asked.said("heard") and other.said("gossip")):
        await publish(-1)
    number, left = 0, AFTERWARDS
    async with asyncio.timeout(FOUND_OUT):
        while left:
            await publish(number)
            number += 1
            left -= until()
    for one in asked, other:
        await eventually(lambda one=one: len(heard(one)) >= number)  # type: ignore[misc]
        assert heard(one) == list(range(number))
    return number


async def public_at(one: Node) -> set[str]:
    """Return the hosts of the addresses at which it says that it is reached."""
    nat = await one.ask("nat", "nat")
    return {address.split("/")[2] for address in nat["public_addresses"]}


def open_connections(one: Attacker) -> int:
    return len(one.said("connected")) - len(one.said("closed"))


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", [None, slow("open"), "port-restricted", slow("symmetric")])
async def test_a_node_finds_out_from_a_server_that_has_no_second_connection_and_loses_no_event(
    kind: Kind | None,
) -> None:
    async with nat_lab() as net:
        router = await net.router(kind) if kind else None
        host = await net.host(router)
        async with server(await net.host(), SERVER) as (one, entry), node(host, ASKED, entry) as asked:
            reached = kind in (None, "open")
            expected = "public" if reached else "private"
            events = await talk(asked, one, lambda: bool(asked.said("reachability", reachability=expected)))
            told = await asked.wait("reachability", reachability=expected)
            tries = len(one.said("connected", direction="outbound"))
            after = told["at"] - asked.said("started")[0]["at"]
            print(f"{kind}: {expected} after {after:.1f} s, {tries} tries came, 0 of {2 * events} events lost")
            outside = {router.address if router else host.address} if reached else set()
            assert await public_at(asked) == outside
            # The tries got through, or did not, and none stayed.
            assert tries >= 1 if reached else tries == 0
            assert one.said("tried")
            await eventually(lambda: open_connections(one) == 1)
            counted = await counters(asked)
            assert counted["reachability_asked_total"] >= 1
            assert counted["second_connections_total"] == counted["resets_total"] == 0
            assert await asked.peers() == [SERVER.peer_id]
            assert asked.said("refused") == asked.said("disconnected") == []


@pytest.mark.timeout(120)
async def test_of_a_server_that_nobody_lists_nothing_gets_in() -> None:
    stranger = Keypair.generate()
    async with nat_lab() as net:
        host = await net.host()
        async with (
            server(await net.host(), SERVER) as (listed, entry),
            server(await net.host(), stranger) as (other, unlisted),
            node(host, ASKED, unlisted, entry) as asked,
        ):
            address = f"/ip4/{host.address}/udp/{QUIC}/quic-v1/p2p/{ASKED.peer_id}"
            # It knocks while the listed one is asked: a time at which tries are expected.
            knocking: list[Line] = []
            while not asked.said("reachability", reachability="public"):
                knocking.append(await other.dial(address, times=5, hold_ms=500))
            assert sum(done["identified"] for done in knocking) == 0
            assert sum(done["open"] for done in knocking) == 0
            assert other.said("tried") == []
            assert listed.said("tried")
            assert await asked.peers() == [SERVER.peer_id]
            await eventually(lambda: open_connections(other) == 0)
            assert (await counters(asked))["refused_total"] >= len(knocking)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_another_address_of_the_router_is_noticed() -> None:
    async with nat_lab() as net:
        router = await net.router("open")
        async with server(await net.host(), SERVER) as (_, entry), node(await net.host(router), ASKED, entry) as asked:
            for address in (router.address, "45.77.0.200", "45.77.0.201", "45.77.0.200"):
                if address != router.address:
                    await router.move(address)
                    await router.forget()
                began = time.monotonic()
                while await public_at(asked) != {address}:
                    assert time.monotonic() - began < 120, asked.lines[-5:]
                    await asyncio.sleep(1)
                print(f"noticed after {time.monotonic() - began:.1f} s")
