"""A pair of py-libp2p nodes: TCP, Noise, Yamux or QUIC, and GossipSub with the settings of a Go node."""

from __future__ import annotations

import json
import math
from importlib.metadata import version
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_new_x25519_key_pair
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.security.noise.transport import PROTOCOL_ID, Transport
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

from benches.support.peer import LOOK, Credit, Events, Received, Usage, Window, free_port, options, say

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Awaitable, Callable

TOPIC = "bench_events"
LOST_AFTER = 0.5
"""Seconds. It loses one event of some hundreds, without any limit being reached."""


class Peer:
    """The host and its gossip."""

    def __init__(self, transport: str) -> None:
        key = create_new_key_pair()
        noise = Transport(libp2p_keypair=key, noise_privkey=create_new_x25519_key_pair().private_key)
        quic = transport == "quic"
        security = None if quic else {PROTOCOL_ID: noise}
        self.host = new_host(key_pair=key, sec_opt=security, muxer_preference="YAMUX", enable_quic=quic)
        # A limit of 10 events a second and topic would be the peer's own loss.
        self.router = GossipSub(
            protocols=["/meshsub/1.1.0"],
            degree=6,
            degree_low=5,
            degree_high=12,
            heartbeat_interval=1,
            spam_protection_enabled=False,
        )
        self.gossip = Pubsub(self.host, self.router, strict_signing=True)

    async def run(self, transport: str, act: Callable[[Peer], Awaitable[None]]) -> None:
        """Run it while something is done with it."""
        port = free_port()
        listen = f"/ip4/127.0.0.1/udp/{port}/quic-v1" if transport == "quic" else f"/ip4/127.0.0.1/tcp/{port}"
        async with (
            self.host.run([Multiaddr(listen)]),
            background_trio_service(self.gossip),
            background_trio_service(self.router),
        ):
            await self.gossip.wait_until_ready()
            await act(self)


async def receive(peer: Peer, given: Namespace) -> None:
    """Decode each event, and tell how far it is."""
    received = Received(Credit(given.credit), given.count, given.warmup, latency=given.latency)
    subscription = await peer.gossip.subscribe(TOPIC)
    say("listening", address=str(peer.host.get_addrs()[0]), versions={"py-libp2p": version("libp2p")})
    while True:
        message = await subscription.get()
        if received.add(json.loads(message.data)["message"]["t"]):
            break
    received.say()
    await trio.sleep(given.linger)


async def send(peer: Peer, given: Namespace) -> None:
    """Publish as fast as the window allows, or on a schedule."""
    began = monotonic()
    await peer.host.connect(info_from_p2p_addr(Multiaddr(given.address)))
    say("connected", ms=(monotonic() - began) * 1e3)
    while not peer.gossip.peer_topics.get(TOPIC):  # noqa: ASYNC110  # nothing tells of it
        await trio.sleep(LOOK)
    events = Events(str(peer.host.get_id()), given.size)
    window = Window(Credit(given.credit), given.window, lost_after=LOST_AFTER)

    async def put(due: int) -> None:
        await peer.gossip.publish(TOPIC, events.event(window.sent, due))
        window.sent += 1

    async def fast(total: int) -> None:
        while (room := window.room(total)) is not None:
            for _ in range(room):
                await put(0)
            await trio.sleep(LOOK)

    await fast(given.warmup)
    usage = Usage()
    if given.rate:
        start = monotonic_ns()
        for number in range(math.floor(given.rate * given.seconds)):
            due = start + number * 1_000_000_000 // given.rate
            await trio.sleep(max(0, due - monotonic_ns()) / 1e9)
            await put(due)
        await fast(window.sent)
    else:
        await fast(given.warmup + given.count)
    say("sent", **usage.until_now(window.sent - given.warmup), lost=window.lost)
    await trio.sleep(given.linger)


if __name__ == "__main__":
    arguments = options()
    role = {"recv": receive, "send": send}[arguments.role]
    trio.run(Peer(arguments.transport).run, arguments.transport, lambda peer: role(peer, arguments))
