"""A node that has more peers than it wants lets the least useful ones go."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair, PeerDisconnected, connect
from tests.support import LISTEN, eventually, fields_of, free_ports, heard, soon

if TYPE_CHECKING:
    from depinmesh import Database


async def test_more_peers_than_high_are_closed_down_to_low_and_those_in_a_mesh_stay() -> None:
    keys = [Keypair.generate() for _ in range(6)]
    wallets = [key.wallet for key in keys]
    few = {"low": 2, "high": 4, "grace": 0.0}
    alone = {"dht": False}
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(connect(**fields_of(keys[0], wallets, connections=few, discovery=alone)))
        await stack.enter_async_context(hub.subscribe("t"))
        known = hub.node.bootstrap_entries()
        gone = hub.node.events(PeerDisconnected)
        # The first is the oldest of those without a topic; it is the topic that keeps the second.
        spokes = []
        for key in keys[1:5]:
            spoke = connect(**fields_of(key, wallets, bootstrap_nodes=known, discovery=alone))
            spokes.append(await stack.enter_async_context(spoke))
        listener = spokes[-1]
        await stack.enter_async_context(listener.subscribe("t"))
        await heard(hub, listener, "t")
        assert len(hub.peers()) == few["high"]

        last = connect(**fields_of(keys[5], wallets, bootstrap_nodes=known, discovery=alone))
        spokes.append(await stack.enter_async_context(last))
        trimmed = [await soon(anext(gone)) for _ in range(3)]
        assert [event.reason for event in trimmed] == ["trimmed"] * 3
        assert {event.peer_id for event in trimmed} == {spokes[n].node.peer_id for n in (1, 2, 4)}

        # They are welcome again: it is about how many there are.
        await eventually(lambda: all(spoke.is_ready for spoke in spokes))


async def test_a_relay_that_the_operator_named_stays_whether_it_is_used_or_not() -> None:
    hub_key, relay_key, *spoke_keys = (Keypair.generate() for _ in range(4))
    wallets = [key.wallet for key in (hub_key, relay_key, *spoke_keys)]
    (quic, tcp), alone = free_ports(), {"dht": False}
    nat = {"relays": [f"{relay_key.wallet}@127.0.0.1:{quic}:{tcp}"]}
    few = {"low": 1, "high": 2, "grace": 0.0}
    async with AsyncExitStack() as stack:

        async def join(key: Keypair, **fields: Any) -> Database:
            return await stack.enter_async_context(connect(**fields_of(key, wallets, discovery=alone, **fields)))

        hub = await join(hub_key, connections=few, nat=nat)
        gone, known = hub.node.events(PeerDisconnected), hub.node.bootstrap_entries()
        spokes = [await join(key, bootstrap_nodes=known) for key in spoke_keys]
        # The newest goes first, were it not named.
        listen = {**LISTEN, "quic_port": quic, "tcp_port": tcp}
        relay = await join(relay_key, bootstrap_nodes=known, listen=listen)
        trimmed = [await soon(anext(gone)) for _ in spokes]
        assert [event.reason for event in trimmed] == ["trimmed"] * 2
        assert {event.peer_id for event in trimmed} == {spoke.node.peer_id for spoke in spokes}
        assert relay.node.peer_id in [peer.peer_id for peer in hub.peers()]


@pytest.mark.timeout(90)
async def test_a_database_without_a_peer_finds_one_however_many_those_of_another_database_are() -> None:
    """Two nodes that have let peers go, as they have enough, and that know each other by a second database alone."""
    keys = [Keypair.generate() for _ in range(6)]
    one_key, two_key, *spoke_keys = keys
    wallets, spokes = [key.wallet for key in keys], [key.wallet for key in spoke_keys]
    few, quick = {"low": 1, "high": 2, "grace": 0.0}, {"rendezvous_interval": 0.5}
    async with AsyncExitStack() as stack:

        async def full(key: Keypair) -> Database:
            fields = fields_of(key, [key.wallet, *spokes], connections=few, discovery=quick)
            return await stack.enter_async_context(connect(**fields))

        one, two = await full(one_key), await full(two_key)
        gone = [db.node.events(PeerDisconnected) for db in (one, two)]
        known = one.node.bootstrap_entries() + two.node.bootstrap_entries()
        for key in spoke_keys:
            spoke = await stack.enter_async_context(connect(**fields_of(key, wallets, bootstrap_nodes=known)))
            await spoke.node.database("second")
        for stream in gone:
            assert (await soon(anext(stream))).reason == "trimmed"
        both = [one_key.wallet, two_key.wallet]
        second = [await db.node.database("second", authorized_wallets=both) for db in (one, two)]
        for db in second:
            await db.wait_ready(30)
        assert [peer.wallet for peer in second[0].peers()] == [two_key.wallet]
