"""`depinmesh ping`: reach a node and measure the round trip."""

import asyncio
from collections.abc import Sequence
from time import monotonic

from depinmesh import Node, Peer, PeerId
from depinmesh._text import in_a_line
from depinmesh.cli.app import Count, Seconds, app, run, say
from depinmesh.cli.settings import OwnNode
from depinmesh.errors import DialError, MeshTimeoutError

APP = app("ping")

_LOOK = 0.05  # seconds between two looks for the next measurement
_NEXT = 2.0  # seconds after which the node makes it


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

    It starts a node of its own, on free ports. A round trip is measured every 2 s. The exit code is 3 when an answer
    does not come in time, and 1 when the connection ends.

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
        say(
            f"connected to {peer.wallet} by {peer.transport} in {(monotonic() - start) * 1000:.0f} ms, "
            + in_a_line(peer.agent)
        )
        shown: set[float] = set()
        for _ in range(count):
            rtt = await _round_trip(node, peer_id, shown, timeout)
            shown.add(rtt)
            print(f"{rtt * 1000:.2f} ms", flush=True)


async def _round_trip(node: Node, peer_id: PeerId, shown: set[float], timeout: float) -> float:
    """Return the next one, which is none of those before: they are measured in nanoseconds."""
    until = monotonic() + timeout + (_NEXT if shown else 0)
    while monotonic() < until:
        rtt = _peer(node, peer_id).rtt
        if rtt is not None and rtt not in shown:
            return rtt
        await asyncio.sleep(_LOOK)
    text = f"{peer_id} has not answered a ping within {timeout:g} s, though the connection is still there"
    raise MeshTimeoutError(text, timeout=timeout)


def _peer(node: Node, peer_id: PeerId) -> Peer:
    for peer in node.peers():
        if peer.peer_id == peer_id:
            return peer
    raise DialError(f"the connection to {peer_id} has ended", peer_id=peer_id)
