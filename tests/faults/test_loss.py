"""A link that loses packets at random, both ways: what is published arrives all the same, once and in order."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.faults.lab import lab, missing, nft_missing, run
from tests.faults.test_partitions import HEALED, QUIC, SLACK, TCP, everywhere, fleet

if TYPE_CHECKING:
    from tests.faults.lab import Host, Node

FIRST, COUNT, INTERVAL, SIZE = 1_000_000, 400, 0.05, 1_000
ARRIVED = 20.0
"""Seconds after the last event was published in which it arrives: many times the pause after which TCP sends again."""
FEW = 10
"""Packets that a host has lost at least when it has taken hundreds: chance makes it fewer once in 100,000 times."""

# Dropped where it arrives: the sender would notice what is dropped on its way out, and send it again at once.
_RULES = """
table ip loss {
  counter dropped { }
  chain input {
    type filter hook input priority filter;
    iifname eth0 numgen random mod 100 < PERCENT counter name dropped drop
  }
}
"""


def rules(percent: int) -> str:
    return _RULES.replace("PERCENT", str(percent))


async def lost(host: Host) -> int:
    """Return how many packets to a host were dropped."""
    listed = json.loads(await run(*host.command("nft", "-j", "list", "counter", "ip", "loss", "dropped")))
    (packets,) = [one["counter"]["packets"] for one in listed["nftables"] if "counter" in one]
    return int(packets)


def heard(node: Node) -> list[int]:
    """Return the numbers of the stream that a node has heard, in order of arrival."""
    return [line["number"] for line in node.said("heard") if line["number"] >= FIRST]


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("ports", "percent"),
    [
        pytest.param((QUIC, None), 10, id="quic-10"),
        pytest.param((QUIC, None), 20, id="quic-20"),
        # With more of them TCP itself is silent for so long at times that the peer counts as gone.
        pytest.param((None, TCP), 10, id="tcp-10"),
    ],
)
async def test_p1_events_arrive_once_and_in_order_over_a_link_that_loses_packets(
    ports: tuple[int | None, int | None], percent: int
) -> None:
    if (reason := missing() or nft_missing(rules(percent))) is not None:
        pytest.skip(f"missing: {reason}")
    async with lab(2) as place, fleet(place, ports) as nodes:
        await everywhere(nodes, within=15)
        before = [len(node.said("disconnected")) for node in nodes]
        for host in place.hosts:
            await run(*host.command("nft", "-f", "-"), given=rules(percent))
        stream = {"first": FIRST, "count": COUNT, "interval": INTERVAL, "size": SIZE}
        for node in nodes:
            node.tell("stream", stream=stream)
        for node, other in (nodes, nodes[::-1]):
            streamed = await node.wait("streamed", within=COUNT * INTERVAL + ARRIVED)
            last = await other.wait("heard", number=FIRST + COUNT - 1, within=ARRIVED)
            print(f"the last event arrived {last['at'] - streamed['at']:.2f} s after it was published")
        dropped = [await lost(host) for host in place.hosts]
        print(f"{dropped} packets were lost")
        for host in place.hosts:
            await run(*host.command("nft", "delete", "table", "ip", "loss"))
        # What would arrive a second time, or late, has done so before these.
        await everywhere(nodes, within=HEALED * SLACK)
        assert [heard(node) for node in nodes] == [list(range(FIRST, FIRST + COUNT))] * 2
        assert [len(node.said("disconnected")) for node in nodes] == before
        assert min(dropped) >= FEW  # the control
