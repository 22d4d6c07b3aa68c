"""`depinmesh ping`: reach a node and measure the round trip."""

import asyncio
from collections.abc import Sequence
from time import monotonic

from depinmesh import Node, Peer, PeerId
from depinmesh.cli.app import Count, Seconds, app, run, say
from depinmesh.cli.settings import OwnNode
from depinmesh.errors import DialError

APP = app("ping")

_LOOK = 0.05  # seconds between two looks for the next measurement, which the node makes every 2 s
_NEXT = 2.0


def main(arguments: Sequence[str]) -> int:
    """Run it."""
    return run(APP, arguments)


@APP.default
async def ping(
    address: str,
    /,
    *,
    count: Count = 3,
    timeout: Seconds = 10.0,
    settings: OwnNode = OwnNode(),
) -> None:
    """Connect to a node, and show how long its answers take.

    It starts a node of its own, on free ports. A round trip is measured every 2 s.

    Args:
        address: Of the node: `wallet@host:quic:tcp`, a multiaddr, or the peer id of a node that is connected anyway.
        count: How many round trips are shown.
        timeout: Seconds that connecting, or an answer, may take.
    """
    async with settings.connect() as database:
        node = database.node
        start = monotonic()
        peer_id = await node.dial(address, timeout=timeout)
        peer = _peer(node, peer_id)
        say(f"connected to {peer.wallet} by {peer.transport} in {(monotonic() - start) * 1000:.0f} ms, {peer.agent}")
        for number in range(count):
            if number:
                await asyncio.sleep(_NEXT)
            print(f"{await _round_trip(node, peer_id, timeout) * 1000:.2f} ms", flush=True)


async def _round_trip(node: Node, peer_id: PeerId, timeout: float) -> float:
    until = monotonic() + timeout
    while monotonic() < until:
        rtt = _peer(node, peer_id).rtt
        if rtt is not None:
            return rtt
        await asyncio.sleep(_LOOK)
    raise DialError(f"{peer_id} is connected, but has not answered a ping within {timeout:g} s", peer_id=peer_id)


def _peer(node: Node, peer_id: PeerId) -> Peer:
    for peer in node.peers():
        if peer.peer_id == peer_id:
            return peer
    raise DialError(f"the connection to {peer_id} has ended", peer_id=peer_id)
