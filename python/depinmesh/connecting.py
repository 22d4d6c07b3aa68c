"""The usual way in: a node with one database, in one call."""

from __future__ import annotations

import asyncio
import functools
from typing import TYPE_CHECKING

from depinmesh._opening import Connecting
from depinmesh._tasks import to_the_end
from depinmesh.node import Node

if TYPE_CHECKING:
    from typing import Unpack

    from depinmesh.config import Config, ConfigFields
    from depinmesh.database import Database

__all__ = ["Connecting", "connect"]


def connect(config: Config | None = None, /, **fields: Unpack[ConfigFields]) -> Connecting[Database]:
    """Start a node and open the database of its configuration; closing the database closes the node.

        async with connect(private_key=key, authorized_wallets=registry) as db: ...

    The configuration is checked at the call; everything else happens when it is awaited or entered. It returns after
    the first round of the bootstrap nodes, whatever came of it, unless `bootstrap.wait` says otherwise. When it fails
    or is cancelled, nothing is left running.

    Args:
        config: A configuration.
        fields: Fields of `Config`, in place of one or on top of it.

    Raises:
        ConfigError: The configuration is wrong.
        ListenError: An address cannot be listened on.
        MeshTimeoutError: No peer was connected within `bootstrap.connect_timeout`, and `bootstrap.wait` is "ready".
    """
    return Connecting(functools.partial(_connect, Node(config, **fields)), "connect()")


async def _connect(node: Node) -> Database:
    await node.start()
    try:
        options = node._config.bootstrap
        database = await node._attach(node._config.database, node._config.authorized_wallets, owns_node=True)
        if options.wait == "first-round":
            session = node._running()
            await session.pump.call(session.core.wait_first_round, options.connect_timeout)
        elif options.wait == "ready":
            await database.wait_ready(options.connect_timeout)
    except BaseException:
        await to_the_end(asyncio.ensure_future(node.close(timeout=0.0)))
        raise
    return database
