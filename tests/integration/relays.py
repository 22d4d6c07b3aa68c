"""Nodes on loopback that meet through a relay alone."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from depinmesh import Keypair, connect
from tests.support import eventually, fields_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from depinmesh import Database, Node, Peer, Wallet

RELAYED = {"discovery": {"dht": False}, "nat": {"hole_punching": False}}
"""Of a node that finds no other way to a peer than the one that it is given."""


def circuits(node: Node) -> list[str]:
    """Return where others reach the node through relays."""
    return [address for address in node.addresses if "/p2p-circuit/" in address]


def peer_of(one: Database, other: Database) -> Peer | None:
    """Return the one as which a node sees the other, if it does."""
    return next((peer for peer in one.node.peers() if peer.peer_id == other.node.peer_id), None)


def transport(one: Database, other: Database) -> str | None:
    """Return how a node is connected to the other, if it is."""
    peer = peer_of(one, other)
    return peer.transport if peer else None


@asynccontextmanager
async def relayed_pair(
    *guests: Wallet, nat: Any = None, **more: Any
) -> AsyncIterator[tuple[Database, Database, Database]]:
    """Connect two nodes through a third one, which comes first in the result. Guests are listed, too.

    `nat` and `more` concern the two."""
    keys = [Keypair.generate() for _ in range(3)]
    wallets = [*guests, *(key.wallet for key in keys)]
    fields = {**RELAYED, **more, "nat": {**RELAYED["nat"], **(nat or {})}}
    async with AsyncExitStack() as stack:
        server = fields_of(keys[0], wallets, **{**RELAYED, "nat": {"relay_server": True}})
        relay = await stack.enter_async_context(connect(**server))
        relays = {**fields["nat"], "relays": relay.node.bootstrap_entries()}
        first = await stack.enter_async_context(connect(**fields_of(keys[1], wallets, **{**fields, "nat": relays})))
        await eventually(lambda: circuits(first.node))
        known = {**fields, "bootstrap_nodes": circuits(first.node)}
        second = await stack.enter_async_context(connect(**fields_of(keys[2], wallets, **known)))
        await eventually(lambda: transport(first, second) and transport(second, first))
        yield relay, first, second
