"""Databases of a configuration, with lists of their own."""

from __future__ import annotations

from depinmesh import Keypair, Node
from tests.support import LISTEN, eventually


async def test_a_database_takes_the_list_that_the_configuration_has_for_it() -> None:
    key, friend, clerk = (Keypair.generate() for _ in range(3))
    node = Node(
        private_key=key,
        authorized_wallets=[key.wallet, friend.wallet],
        databases={"load": None, "billing": [key.wallet, clerk.wallet]},
        listen=LISTEN,
    )
    async with node:
        async with node.database(), node.database("load"), node.database("other"):
            await eventually(lambda: set(node.gate.wallets) == {key.wallet, friend.wallet})
        async with node.database("billing"):
            await eventually(lambda: set(node.gate.wallets) == {key.wallet, clerk.wallet})
            async with node.database("load"):
                await eventually(lambda: set(node.gate.wallets) == {key.wallet, friend.wallet, clerk.wallet})
