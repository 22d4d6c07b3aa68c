"""Real nodes on loopback, connected to each other."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from depinmesh._tasks import limit, to_the_end
from depinmesh.connecting import connect
from depinmesh.events import PeerConnected
from depinmesh.identity import Keypair
from depinmesh.testing.registry import MockRegistry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Unpack

    from depinmesh.config import ConfigFields
    from depinmesh.database import Database


G = TypeVar("G")

_LINKS = 64


@asynccontextmanager
async def network(
    n: int,
    *,
    quic: bool = True,
    tcp: bool = True,
    registry: MockRegistry | None = None,
    timeout: float = 30.0,
    **fields: Unpack[ConfigFields],
) -> AsyncIterator[list[Database]]:
    """Run `n` nodes on loopback, each with a new key, all listed, and each connected to each when the block begins.

    Args:
        n: How many.
        quic: Whether they have QUIC, on any free port; it goes before TCP where they have both.
        tcp: Whether they have TCP, on any free port.
        registry: The registry that all of them read; their wallets are added to it. By default a new one.
        timeout: Seconds until they must be connected; then `MeshTimeoutError`.
        fields: Any other fields of the configuration of every node, such as `database="rooms"`. Of `listen` and
            `connections` a mapping changes single fields: whatever it does not name stays on loopback, any free port,
            and room for all on one address. An object, such as a `Listen`, replaces all of that.

    Raises:
        ValueError: `fields` has one that differs between the nodes, and is made here.
    """
    if made := sorted(fields.keys() & {"private_key", "key_file", "authorized_wallets", "bootstrap_nodes"}):
        raise ValueError(f"network() itself gives its nodes {' and '.join(made)}")
    keys = [Keypair.generate() for _ in range(n)]
    registry = MockRegistry() if registry is None else registry
    registry.add(*(key.wallet for key in keys))
    listen = {"hosts": ["127.0.0.1"], "quic_port": 0 if quic else None, "tcp_port": 0 if tcp else None}
    # All of them have one address.
    connections = {"max_per_ip": _LINKS + 2 * n, "max_pending_per_ip": _LINKS + 2 * n}
    common: ConfigFields = {
        **fields,
        "listen": _over(listen, fields.get("listen", {})),
        "authorized_wallets": registry,
        "connections": _over(connections, fields.get("connections", {})),
    }
    databases: list[Database] = []
    entries: list[str] = []
    try:
        async with limit(timeout, f"connecting {n} nodes"):
            for key in keys:
                # The earlier ones are dialled, so each pair has one link.
                own: ConfigFields = {**common, "private_key": key, "bootstrap_nodes": list(entries)}
                db = await connect(**own)
                databases.append(db)
                entries += db.node.bootstrap_entries()
            for db in databases:
                await _has_peers(db, n - 1)
        yield databases
    finally:
        closing = asyncio.gather(*(db.close() for db in databases))
        await to_the_end(closing)  # whoever is cancelled again, as anyio does in every turn of the loop
        closing.result()


def _over(own: Mapping[str, object], given: G | Mapping[str, object]) -> G | Mapping[str, object]:
    """Put what was given for a group over our own fields of it."""
    return {**own, **given} if isinstance(given, Mapping) else given


async def _has_peers(db: Database, n: int) -> None:
    with db.node.events(PeerConnected) as connected:
        while len(db.peers()) < n:
            await anext(connected)
