"""Networks in which not each node is connected to each: events have to be passed on."""

from __future__ import annotations

import itertools
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, TypeAlias

from depinmesh import Keypair, connect
from tests.support import eventually, fields_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from depinmesh import Database, Subscription

Edges: TypeAlias = set[tuple[int, int]]
"""Who is connected to whom, the smaller number first."""

BRIDGES = 3


def full(n: int) -> Edges:
    """Connect each to each."""
    return set(itertools.combinations(range(n), 2))


def line(n: int) -> Edges:
    """Connect each to the next."""
    return {(i, i + 1) for i in range(n - 1)}


def star(n: int) -> Edges:
    """Connect each to the first."""
    return {(0, i) for i in range(1, n)}


def cliques(n: int) -> Edges:
    """Connect each to each within both halves, and three of one half to three of the other."""
    half = n // 2
    other = {(half + i, half + j) for i, j in full(n - half)}
    return full(half) | other | {(i, half + i) for i in range(BRIDGES)}


SHAPES: dict[str, Callable[[int], Edges]] = {"full": full, "line": line, "star": star, "cliques": cliques}


@asynccontextmanager
async def shaped(n: int, edges: Edges) -> AsyncIterator[list[Database]]:
    """Run n nodes on one list, connected along the edges alone: none of them looks for others."""
    keys = [Keypair.generate() for _ in range(n)]
    wallets = [key.wallet for key in keys]
    async with AsyncExitStack() as stack:
        databases: list[Database] = []
        for number, key in enumerate(keys):
            entries = [
                entry for one, two in edges if two == number for entry in databases[one].node.bootstrap_entries()
            ]
            fields = fields_of(key, wallets, bootstrap_nodes=entries, discovery={"dht": False})
            databases.append(await stack.enter_async_context(connect(**fields)))
        await eventually(lambda: linked(databases) == edges)
        yield databases
        assert linked(databases) == edges


def linked(databases: list[Database]) -> Edges:
    """Return who is connected to whom now, as both say."""
    numbers = {db.node.peer_id: number for number, db in enumerate(databases)}
    said = {(number, numbers[peer.peer_id]) for number, db in enumerate(databases) for peer in db.peers()}
    return {(one, two) for one, two in said if one < two and (two, one) in said}


async def subscribed(databases: list[Database], edges: Edges, topic: str, members: set[int]) -> list[Subscription]:
    """Subscribe these nodes, and wait until every neighbour of theirs knows."""
    subscriptions = [await databases[number].subscribe(topic) for number in sorted(members)]
    both = edges | {(two, one) for one, two in edges}

    def known() -> bool:
        return all(
            databases[two].node.peer_id in databases[one].topic_peers(topic) for one, two in both if two in members
        )

    await eventually(known)
    return subscriptions
