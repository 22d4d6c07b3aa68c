"""A program of a user, for the type checkers alone: every name is used as the README and the docstrings say."""

from __future__ import annotations

import asyncio
from typing import Any, assert_type

import depinmesh
from depinmesh import (
    BackpressureError,
    Bootstrap,
    BootstrapNode,
    Config,
    Connecting,
    Database,
    Event,
    EventStream,
    Gate,
    Keypair,
    Listen,
    MeshError,
    MeshTimeoutError,
    Metric,
    Node,
    NodeState,
    Peer,
    PeerConnected,
    PeerDisconnected,
    PeerId,
    PeerRefused,
    PubSub,
    Status,
    Subscription,
    SubscriptionStats,
    Wallet,
    connect,
)

ada, bob = Keypair.generate(), Keypair.generate()
listed = [ada.wallet, bob.wallet]
local = {"hosts": ["127.0.0.1"], "quic_port": 0, "tcp_port": 0}


async def read_chain() -> list[str]:
    return [str(wallet) for wallet in listed]


def read_file() -> list[bytes]:
    return [bytes(wallet) for wallet in listed]


class Fleet:
    async def wallets(self) -> list[Wallet]:
        return listed

    def bootstrap_nodes(self) -> list[BootstrapNode | str]:
        return [BootstrapNode(ada.wallet, "203.0.113.7"), f"{bob.wallet}@[2001:db8::1]:4001:-"]


def handler(event: Event) -> None:
    assert_type(event.wallet, Wallet)
    assert_type(event.from_peer, PeerId)
    assert_type(event.message, Any)
    assert_type(event.message_json, bytes)
    print(event.id, event.topic, event.timestamp, event.time.isoformat(), event.received_at.tzinfo)


async def async_handler(event: Event) -> None:
    await asyncio.sleep(0)
    handler(event)


async def first_program() -> None:
    async with connect(private_key=ada, authorized_wallets=listed, listen=local) as first:
        known = first.node.bootstrap_entries()
        async with (
            connect(private_key=bob, authorized_wallets=listed, bootstrap_nodes=known, listen=local) as second,
            second.subscribe("presence") as events,
        ):
            await first.publish("presence", {"room": "lobby", "load": 0.25}, min_peers=1, timeout=10)
            event = await events.get(timeout=10)
            print(event.wallet == ada.wallet, event.message)


async def every_form_of_configuration() -> None:
    config = Config(
        private_key=ada,
        authorized_wallets=read_chain,
        bootstrap_nodes=Fleet(),
        listen=Listen(quic_port=None, tcp_port=0),
        gate=Gate(refresh_interval=10.0, revocation="keep"),
        bootstrap=Bootstrap(wait="ready"),
        pubsub=PubSub(overflow="drop_newest"),
    )
    opening: Connecting[Database] = connect(config, database="rooms", gate={"timeout": 5.0})
    database = await opening
    await database.close(timeout=1)
    for source in (Fleet(), read_file):
        async with connect(key_file="key.json", authorized_wallets=source) as db:
            assert_type(db, Database)


async def messages(db: Database) -> None:
    event = await db.publish("t", [1, 2.5, None, {"a": True}])
    assert_type(event, Event)
    try:
        assert_type(db.publish_nowait("t", "now"), Event)
    except BackpressureError:
        await db.wait_for_peers("t", 2, timeout=5)
    subscription = await db.subscribe("t", concurrency=1, queue_size=10, overflow="drop_newest")
    assert_type(subscription, Subscription)
    assert_type(subscription.stats, SubscriptionStats)
    async for one in subscription:
        assert_type(one, Event)
        break
    await subscription.close()
    await db.subscribe("handled", handler)
    await db.subscribe("too", async_handler, concurrency=4)
    assert_type(db.topics(), list[str])
    assert_type(db.topic_peers("t"), list[PeerId])
    assert_type(db.is_ready, bool)
    await db.unsubscribe("too")
    try:
        await subscription.get(timeout=1.5)
    except MeshTimeoutError as timeout:
        also: TimeoutError = timeout
        print(also)
    except MeshError as error:
        print(error)


async def nodes(config: Config) -> None:
    async with Node(config) as node, node.database("other", authorized_wallets=listed) as other:
        assert_type(other, Database)
        assert_type(node.peers(), list[Peer])
        assert_type(node.state, NodeState)
        assert_type(node.peer_id.wallet, Wallet)
        assert_type(node.wallet.peer_id, PeerId)
        await node.wait_ready(timeout=5)
        assert_type(await node.dial(BootstrapNode.parse(node.bootstrap_entries()[0])), PeerId)
        await node.hang_up(node.wallet)
        node.retry_bootstrap()
        status, metrics = node.status(), node.metrics()
        assert_type(status, Status)
        assert_type(metrics, list[Metric])
        await node.gate.refresh()
        assert_type(node.gate.wallets, list[Wallet])
        assert_type(node.gate.age, float | None)
        print(node.gate.listed, node.gate.is_authorized(ada.wallet), node.gate.is_authorized(str(ada.peer_id)))


async def happenings(node: Node) -> None:
    async with node.events(PeerConnected, PeerDisconnected) as stream:
        async for event in stream:
            if isinstance(event, PeerConnected):
                assert_type(event.peer, Peer)
            else:
                print(event)
    refusals = node.events(PeerRefused)
    assert_type(refusals, EventStream[PeerRefused])
    with refusals:
        assert_type((await anext(refusals)).wallet, Wallet | None)


print(depinmesh.__version__, depinmesh.build_info()["libp2p"], Wallet(bytes(ada.wallet)), PeerId(ada.peer_id))
asyncio.run(first_program())
