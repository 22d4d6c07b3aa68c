"""C1: every event reaches every subscriber once, and nobody else, whatever the network looks like."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict

import pytest

from tests.integration.shapes import SHAPES, shaped, subscribed
from tests.security.attack import counted
from tests.support import eventually, received

EVENTS_A_SECOND = 20
SIZE = 1024
WITHIN = 5.0
SLACK = 3

pytestmark = pytest.mark.timeout(90)
slow = pytest.mark.slow


@pytest.mark.parametrize(
    ("nodes", "events"),
    [pytest.param(6, 30, id="6"), pytest.param(10, 1_000, id="10", marks=[slow, pytest.mark.timeout(240)])],
)
@pytest.mark.parametrize("shape", SHAPES)
async def test_c1_every_subscriber_hears_every_event_once_in_a_network_that_is(
    shape: str, nodes: int, events: int
) -> None:
    edges = SHAPES[shape](nodes)
    # Events are passed on by subscribers alone, so those of a part of the nodes are neighbours.
    members = {"all": set(range(nodes)), "few": set(range(nodes // 2))}
    async with shaped(nodes, edges) as databases:
        inboxes = {
            topic: dict(zip(sorted(who), await subscribed(databases, edges, topic, who), strict=True))
            for topic, who in members.items()
        }
        sent: dict[str, list[tuple[int, int]]] = defaultdict(list)
        start = time.monotonic()
        for number in range(events):
            await asyncio.sleep(start + number / EVENTS_A_SECOND - time.monotonic())
            topic = ("all", "few")[number % 2]
            author = number // 2 % len(members[topic])
            sent[topic].append((author, number))
            await databases[author].publish(topic, [author, number, time.time(), "x" * SIZE])

        def expected(topic: str, receiver: int) -> list[tuple[int, int]]:
            return [(author, number) for author, number in sent[topic] if author != receiver]

        took = []
        for topic, subscriptions in inboxes.items():
            for receiver, subscription in subscriptions.items():
                wanted = expected(topic, receiver)
                await eventually(lambda: received(subscription) >= len(wanted), within=WITHIN * SLACK)  # noqa: B023
                got = []
                for _ in range(received(subscription)):
                    event = await subscription.get(0)
                    author, number, at, _ = event.message
                    assert event.from_peer == databases[author].node.peer_id
                    got.append((author, number))
                    took.append(event.received_at.timestamp() - at)
                assert sorted(got) == sorted(wanted), (topic, receiver)

        # Nothing that nobody asked for came in either: the core counts what subscriptions never see.
        for receiver, db in enumerate(databases):
            wanted_here = sum(len(expected(topic, receiver)) for topic, who in members.items() if receiver in who)
            assert counted(db.node, "accepted_total") == counted(db.node, "received_total") == wanted_here
    took.sort()
    print(
        f"{shape}: {len(took)} deliveries, p99 {took[int(len(took) * 0.99)] * 1000:.0f} ms, max {took[-1] * 1000:.0f}"
    )
    assert took[-1] <= WITHIN * SLACK
