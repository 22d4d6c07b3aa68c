"""As many topics as others take of a node, and no more."""

from __future__ import annotations

import pytest

from depinmesh import Keypair, TopicError, connect
from tests.support import WAIT, fields_of

MOST = 20_000

pytestmark = pytest.mark.timeout(120)


async def test_a_node_has_no_more_topics_than_others_take_of_it() -> None:
    """Of one that comes with a topic more, a peer would take none at all, and that node would hear nothing."""
    key, friend = Keypair.generate(), Keypair.generate()
    wallets = [key.wallet, friend.wallet]
    async with connect(**fields_of(key, wallets)) as db:
        subscriptions = [await db.subscribe(f"t{number}") for number in range(MOST)]
        with pytest.raises(TopicError, match="20,000"):
            await db.subscribe("one more")
        # Another subscription of the same topic is none.
        await db.subscribe("t7")

        entries = db.node.bootstrap_entries()
        async with connect(**fields_of(friend, wallets, bootstrap_nodes=entries)) as other:
            for topic in ("t0", "t7", f"t{MOST - 1}"):
                await other.wait_for_peers(topic, 1, WAIT)
            # Whoever leaves one can have another, also with those who are connected.
            await subscriptions[0].close()
            await db.subscribe("another")
            await other.wait_for_peers("another", 1, WAIT)
