"""A node of py-libp2p, driven by JSON lines as the Go node beside it: TCP, Noise, Yamux and GossipSub."""

from __future__ import annotations

import argparse
import json
import sys
import time
import uuid
from functools import partial
from importlib.metadata import version
from typing import Any

import base58
import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_new_x25519_key_pair
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import info_from_p2p_addr
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.security.noise.transport import PROTOCOL_ID, Transport
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

SEED = 32
POLL = 0.01


def say(event: str, **fields: Any) -> None:
    """Write a line."""
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


class Traced(GossipSub):  # type: ignore[misc]  # it is in another environment
    """GossipSub that says what every RPC holds."""

    async def handle_rpc(self, rpc: Any, sender_peer_id: ID) -> None:
        say_rpc("in", rpc)
        await super().handle_rpc(rpc, sender_peer_id)

    def send_rpc(self, peer_id: ID, rpc: Any, priority: bool = False) -> None:
        say_rpc("out", rpc)
        super().send_rpc(peer_id, rpc, priority)


def say_rpc(way: str, rpc: Any) -> None:
    """Write a line about an RPC."""
    say(
        "rpc",
        way=way,
        publish=[message.data.hex() for message in rpc.publish],
        ihave=[id_.hex() for one in rpc.control.ihave for id_ in one.messageIDs],
        iwant=[id_.hex() for one in rpc.control.iwant for id_ in one.messageIDs],
        graft=[one.topicID for one in rpc.control.graft],
        prune={one.topicID: one.backoff for one in rpc.control.prune},
    )


class Peer:
    """The host, its gossip, and the tasks of the topics."""

    def __init__(self, secret: str, nursery: trio.Nursery, *, leaf: bool, trace: bool) -> None:
        key = create_new_key_pair(base58.b58decode(secret)[:SEED])
        noise = Transport(libp2p_keypair=key, noise_privkey=create_new_x25519_key_pair().private_key)
        self.nursery = nursery
        self.host = new_host(key_pair=key, sec_opt={PROTOCOL_ID: noise}, muxer_preference="YAMUX")
        # Degrees and times of a Go node, or of a leaf, which stays out of every mesh; a limit of 10 events a second and
        # topic would be the peer's own loss.
        degree, low, high = (0, 0, 0) if leaf else (6, 5, 12)
        self.router = (Traced if trace else GossipSub)(
            protocols=["/meshsub/1.1.0"],
            degree=degree,
            degree_low=low,
            degree_high=high,
            adaptive_gossip_enabled=not leaf,
            heartbeat_interval=1,
            spam_protection_enabled=False,
        )
        self.gossip = Pubsub(self.host, self.router, strict_signing=True)

    async def dial(self, addresses: list[str]) -> None:
        started, error = time.monotonic(), None
        try:
            await self.host.connect(info_from_p2p_addr(Multiaddr(addresses[0])))
        except Exception as failure:  # noqa: BLE001  # whatever it is, it is what is asked for
            error = repr(failure)
        say("dialled", addresses=addresses, error=error, ms=(time.monotonic() - started) * 1000)

    async def subscribe(self, topic: str) -> None:
        subscription = await self.gossip.subscribe(topic)
        self.nursery.start_soon(self.receive, topic, subscription)
        self.nursery.start_soon(self.watch, topic)
        say("subscribed", topic=topic)

    async def receive(self, topic: str, subscription: Any) -> None:
        while True:
            message = await subscription.get()
            author = ID(message.from_id)
            if author == self.host.get_id():
                continue
            read = json.loads(message.data)
            number = (message.from_id + message.seqno).hex()
            say("message", topic=topic, author=str(author), message=number, bytes=len(message.data), read=read)

    async def watch(self, topic: str) -> None:
        """Tell who comes into the mesh, which nothing else tells."""
        known: set[ID] = set()
        while True:
            for peer in set(self.router.mesh.get(topic, ())) - known:
                known.add(peer)
                say("graft", topic=topic, peer=str(peer))
            await trio.sleep(POLL)

    async def publish(self, topic: str, message: object) -> None:
        event = {
            "id": str(uuid.uuid4()),
            "from_peer": str(self.host.get_id()),
            "message": message,
            "timestamp": int(time.time()),
        }
        await self.gossip.publish(topic, json.dumps(event, separators=(",", ":")).encode())
        say("published", topic=topic, id=event["id"], error=None)

    async def obey(self, command: dict[str, Any]) -> None:
        match command["cmd"]:
            case "dial":
                await self.dial(command["addresses"])
            case "subscribe":
                await self.subscribe(command["topic"])
            case "publish":
                await self.publish(command["topic"], command["message"])
            case "topic-peers":
                peers = [str(peer) for peer in self.gossip.peer_topics.get(command["topic"], ())]
                say("topic-peers", topic=command["topic"], peers=peers)
            case other:
                raise SystemExit(f"unknown command: {other}")


async def main(listen: str, secret: str, *, leaf: bool, trace: bool) -> None:
    """Run until stdin ends."""
    async with trio.open_nursery() as nursery:
        peer = Peer(secret, nursery, leaf=leaf, trace=trace)
        async with (
            peer.host.run([Multiaddr(listen)]),
            background_trio_service(peer.gossip),
            background_trio_service(peer.router),
        ):
            await peer.gossip.wait_until_ready()
            addresses = [str(address) for address in peer.host.get_addrs()]
            say("started", peer_id=str(peer.host.get_id()), addresses=addresses, versions={"libp2p": version("libp2p")})
            async for line in trio.wrap_file(sys.stdin):
                await peer.obey(json.loads(line))
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--key", required=True)
    arguments.add_argument("--listen", required=True)
    arguments.add_argument("--leaf", action="store_true", help="messages come and go by IHAVE and IWANT alone")
    arguments.add_argument("--trace", action="store_true", help="say what every RPC holds")
    given = arguments.parse_args()
    trio.run(partial(main, given.listen, given.key, leaf=given.leaf, trace=given.trace))
