"""Nodes that reach each other through a relay: what passes, who is let in, and what ends it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import DialError, Keypair, ListenAddress, NotAuthorizedError, WalletRevoked, connect
from depinmesh.testing import MockRegistry
from tests.integration.relays import RELAYED, circuits, peer_of, relayed_pair, transport
from tests.security.attack import counted
from tests.support import LISTEN, WAIT, eventually, fields_of, free_ports, heard, soon

if TYPE_CHECKING:
    from depinmesh import Node


def gauge(node: Node, name: str) -> float:
    """Return a gauge of a node."""
    return next(metric.value for metric in node.metrics() if metric.name == name)


async def test_events_pass_through_a_relay_both_ways() -> None:
    async with relayed_pair() as (relay, one, two), one.subscribe("t") as ones, two.subscribe("t") as twos:
        await heard(one, two, "t")
        await heard(two, one, "t")
        await one.publish("t", "there")
        assert (await twos.get(WAIT)).from_peer == one.node.peer_id
        await two.publish("t", "back")
        assert (await ones.get(WAIT)).from_peer == two.node.peer_id
        assert (transport(one, two), transport(two, one)) == ("relay", "relay")
        for peer in (peer_of(one, two), peer_of(two, one)):
            assert peer is not None
            assert [f"/p2p/{relay.node.peer_id}/p2p-circuit" in address for address in peer.addresses] == [True]
        await eventually(lambda: gauge(relay.node, "relay_circuits") == 1 == counted(relay.node, "circuits_total"))
        assert gauge(relay.node, "relay_reservations") >= 1
        assert (gauge(one.node, "relayed_peers"), gauge(relay.node, "relayed_peers")) == (1, 0)
        assert gauge(one.node, "relays") == 1


async def test_a_direct_connection_takes_the_place_of_a_relayed_one_and_no_event_is_lost() -> None:
    async with relayed_pair(nat={"hole_punching": True}) as (_, one, two):
        async with one.subscribe("t") as events:
            await heard(two, one, "t")
            number, until = 0, asyncio.get_running_loop().time() + WAIT

            def is_settled() -> bool:
                peers = (peer_of(one, two), peer_of(two, one))
                return all(peer and peer.transport != "relay" and len(peer.addresses) == 1 for peer in peers)

            while not is_settled() or number < 100:
                assert asyncio.get_running_loop().time() < until
                await two.publish("t", number)
                number += 1
                await asyncio.sleep(0.01)
            assert sorted([(await events.get(WAIT)).message for _ in range(number)]) == list(range(number))
        tries = counted(one.node, "hole_punches_total", result="succeeded")
        assert tries + counted(two.node, "hole_punches_total", result="succeeded") >= 1
        assert counted(one.node, "resets_total") + counted(two.node, "resets_total") == 0


async def test_a_dial_of_the_plain_address_of_a_relayed_peer_returns_when_it_is_connected_directly() -> None:
    async with relayed_pair() as (_, one, two):
        address = next(place for place in two.node.addresses if "p2p-circuit" not in place)
        assert await one.node.dial(address.partition("/p2p/")[0], timeout=WAIT) == two.node.peer_id
        await eventually(lambda: "relay" not in (transport(one, two), transport(two, one)))


@pytest.mark.parametrize("judge", ["listener", "dialler"])
async def test_the_gate_judges_who_is_at_the_far_end(judge: str) -> None:
    keys = [Keypair.generate() for _ in range(3)]
    everybody = [key.wallet for key in keys]
    async with AsyncExitStack() as stack:
        server = fields_of(keys[0], everybody, **{**RELAYED, "nat": {"relay_server": True}})
        relay = await stack.enter_async_context(connect(**server))
        registry = MockRegistry(everybody[:2])
        own = [registry, everybody] if judge == "listener" else [everybody, registry]
        if judge == "dialler":
            registry.add(everybody[2])
            registry.remove(everybody[1])
        fields = [
            fields_of(key, [], **{**RELAYED, "authorized_wallets": wallets, "gate": {"negative_ttl": 0.1}})
            for key, wallets in zip(keys[1:], own, strict=True)
        ]
        nat = {"hole_punching": False, "relays": relay.node.bootstrap_entries()}
        one = await stack.enter_async_context(connect(**{**fields[0], "nat": nat}))
        await eventually(lambda: circuits(one.node))
        two = await stack.enter_async_context(connect(**{**fields[1], "nat": nat}))
        (address, *_) = circuits(one.node)
        with pytest.raises(NotAuthorizedError):
            await two.node.dial(address, timeout=WAIT)
        refused = one if judge == "listener" else two
        assert counted(refused.node, "refused_total", reason="not-listed") >= 1
        assert (transport(one, two), transport(two, one)) == (None, None)
        # On the list, the same dial is a connection.
        registry.add(everybody[2] if judge == "listener" else everybody[1])
        await (one if judge == "listener" else two).node.gate.refresh()
        assert await two.node.dial(address, timeout=WAIT) == one.node.peer_id
        await eventually(lambda: (transport(one, two), transport(two, one)) == ("relay", "relay"))


async def test_a_revoked_wallet_loses_its_reservation_and_its_circuits() -> None:
    """The two list each other all the time: it is the relay that lets one of them go."""
    keys = [Keypair.generate() for _ in range(3)]
    wallets = [key.wallet for key in keys]
    registry = MockRegistry(wallets)
    async with AsyncExitStack() as stack:
        server = fields_of(keys[0], [], **{**RELAYED, "authorized_wallets": registry, "nat": {"relay_server": True}})
        relay = await stack.enter_async_context(connect(**server))
        nat = {"hole_punching": False, "relays": relay.node.bootstrap_entries()}
        one, two = [
            await stack.enter_async_context(connect(**fields_of(key, wallets, **{**RELAYED, "nat": nat})))
            for key in keys[1:]
        ]
        await eventually(lambda: circuits(one.node) and circuits(two.node))
        await two.node.dial(circuits(one.node)[0], timeout=WAIT)
        await eventually(lambda: transport(one, two) == "relay")
        revoked = stack.enter_context(relay.node.events(WalletRevoked))
        registry.remove(one.node.wallet)
        await relay.node.gate.refresh()
        gone = await soon(anext(revoked))
        assert isinstance(gone, WalletRevoked)
        assert gone.wallet == one.node.wallet
        # On one network they may find each other without it.
        await eventually(lambda: "relay" not in (transport(one, two), transport(two, one)), 3)
        await eventually(lambda: not circuits(one.node) and gauge(relay.node, "relay_circuits") == 0)
        await eventually(lambda: gauge(relay.node, "relay_reservations") == 1)
        await eventually(lambda: counted(one.node, "reservations_lost_total") >= 1)
        registry.add(one.node.wallet)
        await relay.node.gate.refresh()
        await eventually(lambda: circuits(one.node), 2 * WAIT)


async def test_a_relay_is_found_among_the_peers_and_one_that_comes_back_is_used_again() -> None:
    keys = [Keypair.generate() for _ in range(2)]
    wallets = [key.wallet for key in keys]
    quic, tcp = free_ports()
    server: dict[str, Any] = {
        **fields_of(keys[0], wallets, nat={"relay_server": True}),
        "listen": {**LISTEN, "quic_port": quic, "tcp_port": tcp},
    }
    async with AsyncExitStack() as stack:
        relay = await stack.enter_async_context(connect(**server))
        entries = relay.node.bootstrap_entries()
        one = await stack.enter_async_context(connect(**fields_of(keys[1], wallets, bootstrap_nodes=entries)))
        through = f"/p2p/{relay.node.peer_id}/p2p-circuit/p2p/{one.node.peer_id}"
        await eventually(lambda: any(address.endswith(through) for address in one.node.addresses))
        announced = stack.enter_context(one.node.events(ListenAddress))
        await relay.close()
        await eventually(lambda: not circuits(one.node))
        await stack.enter_async_context(connect(**server))
        assert (await soon(anext(announced))).address.endswith(through)
        await eventually(lambda: circuits(one.node))


async def test_nodes_that_need_no_relay_ask_for_none() -> None:
    """That are relays, are reached at announced addresses, or have the client off; the positive control is the last."""
    relay, *others = [Keypair.generate() for _ in range(5)]
    wallets = [key.wallet for key in (relay, *others)]
    given: list[dict[str, Any]] = [
        {"nat": {"relay_server": True}},
        {"listen": {"hosts": ["127.0.0.1"], "quic_port": 0, "tcp_port": 0, "announce": ["/ip4/127.0.0.1/tcp/9"]}},
        {"nat": {"relay_client": False}},
        {},
    ]
    async with connect(**fields_of(relay, wallets, nat={"relay_server": True})) as server, AsyncExitStack() as stack:
        known = {"bootstrap_nodes": server.node.bootstrap_entries(), "discovery": {"dht": False}}
        made = [
            await stack.enter_async_context(connect(**{**fields_of(key, wallets, **known), **more}))
            for key, more in zip(others, given, strict=True)
        ]
        await eventually(lambda: all(one.is_ready for one in made))
        await eventually(lambda: circuits(made[-1].node))
        await asyncio.sleep(0.2)
        assert [bool(circuits(one.node)) for one in made] == [False, False, False, True]


async def test_a_node_that_is_no_relay_connects_nobody() -> None:
    """The positive control is every other test here: there it was told to be one."""
    keys = [Keypair.generate() for _ in range(3)]
    wallets = [key.wallet for key in keys]
    async with AsyncExitStack() as stack:
        none = await stack.enter_async_context(connect(**fields_of(keys[0], wallets, **RELAYED)))
        nat = {"hole_punching": False, "relays": none.node.bootstrap_entries()}
        one, two = [
            await stack.enter_async_context(connect(**fields_of(key, wallets, **{**RELAYED, "nat": nat})))
            for key in keys[1:]
        ]
        await eventually(lambda: one.is_ready and two.is_ready)
        with pytest.raises(DialError):
            await two.node.dial(f"{none.node.addresses[0]}/p2p-circuit/p2p/{one.node.peer_id}", timeout=WAIT)
        assert (transport(one, two), circuits(one.node), circuits(two.node)) == (None, [], [])
