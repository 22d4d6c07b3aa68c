"""What the type checkers must refuse; each line that says `wrong` has an error."""

from __future__ import annotations

import depinmesh
from depinmesh import Event, Keypair, Node, connect

key = Keypair.generate()


async def handler(event: str) -> None:
    print(event)


async def main(node: Node) -> None:
    connect(private_key=key, authorized_wallets=[], no_such_option=1)  # wrong
    connect(private_key=key, authorized_wallets=[], database=7)  # wrong
    async with connect(private_key=key, authorized_wallets=[key.wallet]) as db:
        await db.subscribe("t", handler)  # wrong
        await db.publish("t")  # wrong
        await db.subscribe("t", overflow="drop_all")  # wrong
        event: Event = db.publish("t", 1)  # wrong
        event.message = 2  # wrong
    node.events(Event)  # wrong
    print(node.wallet.no_such_name)  # wrong
    print(depinmesh.no_such_name)  # wrong
