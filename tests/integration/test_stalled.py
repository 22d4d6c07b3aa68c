"""A peer that has stopped to read: who publishes to others does not wait for it."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair
from tests.security.attack import address_of, victim
from tests.security.raw import raw
from tests.security.rpc import graft, rpc
from tests.support import eventually, heard, soon

if TYPE_CHECKING:
    from depinmesh import Database

FULL = 1_024
"""Events that wait at most, on topics of which nobody takes anything."""
TRIES = 10
OTHERS = 40
"""Topics of the same reader: more than one round tries again."""


async def without_end(database: Database, topic: str) -> None:
    """Publish as much as there is room for."""
    for number in itertools.count():
        await database.publish(topic, number)
        await asyncio.sleep(0)


def sent(database: Database) -> float:
    return database.node.status().counters["published_total"]


@pytest.mark.slow  # a build without optimisation takes seconds to fill a queue, and the peer is put out after five
@pytest.mark.timeout(180)
async def test_a_topic_that_nobody_takes_keeps_no_other_waiting() -> None:
    one, two = Keypair.generate(), Keypair.generate()
    async with (
        raw() as deaf,
        victim(two.wallet, deaf.key.wallet, key=one) as author,
        victim(one.wallet, key=two, bootstrap_nodes=author.node.bootstrap_entries()) as reader,
        reader.subscribe("heard") as events,
    ):
        await heard(author, reader, "heard")
        others = [f"stalled {number}" for number in range(OTHERS)]
        topics = [f"{author.name}_{topic}" for topic in ("stalled", *others)]
        publishing = asyncio.create_task(without_end(author, "stalled"))
        try:
            for _ in range(TRIES):
                link = await deaf.connect(address_of(author.node, "tcp"), deaf=True)
                assert await deaf.write(await deaf.open(link), rpc(subscribe=topics, control=graft(topics[0])))

                def is_over(link: int = link) -> bool:
                    return deaf.said("ended", link=link) != []

                await eventually(lambda: is_over() or author.node.status().outbox >= FULL)
                stalled = False
                while not stalled and not is_over():  # which it is after 5 s
                    before = sent(author)
                    for number in range(10):
                        await soon(author.publish("heard", number))
                        assert (await events.get(15)).message == number
                    # The control: nobody has taken anything of the other topic meanwhile.
                    stalled = sent(author) == before + 10
                for other in others if stalled else ():
                    await soon(author.publish(other, "waits too"))
                if stalled:
                    break
            else:
                pytest.skip(f"the queue of a peer that reads nothing was not full in time, {TRIES} times")
            # Who publishes on it goes on once that peer is put out.
            await eventually(is_over, 60)
            await eventually(lambda: author.node.status().outbox < FULL // 2)
        finally:
            publishing.cancel()
        # And of the other topics, of which nobody publishes any more, nothing is left behind.
        await eventually(lambda: author.node.status().outbox == 0)
