"""The guide for those who come from the Go library: its configuration beside a Go node, driven by the command line."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from depinmesh import BootstrapNode, Keypair
from depinmesh.multiaddr import parse_multiaddr
from tests.configs import key_file
from tests.interop.peers import GO, TOPIC, Peer, go_peer
from tests.program import PATIENCE
from tests.support import eventually

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import AsyncIterator

EXAMPLE = Path(__file__).parents[2] / "examples" / "migration.yaml"


def environment(peer: Peer, key: Keypair) -> dict[str, str]:
    """Return what differs from the example: the wallets of the test, and its addresses."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DEPINMESH_")}
    address = parse_multiaddr(peer.address)
    entry = BootstrapNode(peer.key.wallet, address.host, address.quic_port, address.tcp_port)
    return inherited | {
        "DEPINMESH_AUTHORIZED_WALLETS": f"{peer.key.wallet},{key.wallet}",
        "DEPINMESH_BOOTSTRAP_NODES": str(entry),
        "DEPINMESH_LISTEN__HOSTS": "127.0.0.1",
        "DEPINMESH_LISTEN__QUIC_PORT": "0",
        "DEPINMESH_LISTEN__TCP_PORT": "0",
    }


@asynccontextmanager
async def command(peer: Peer, file: Path, *arguments: str) -> AsyncIterator[Process]:
    pipe = asyncio.subprocess.PIPE
    words = ("-P", "-m", "depinmesh", *arguments, "-c", str(EXAMPLE), "--set", f"key_file={file}")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, stdout=pipe, stderr=pipe, env=environment(peer, Keypair.from_file(file))
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.mark.parametrize("pins", GO)
async def test_a_node_of_ours_takes_part_beside_a_go_node(pins: str, tmp_path: Path) -> None:
    """With the configuration of the guide, events go both ways: `sub` hears the Go node, which hears `pub`."""
    key, topic = Keypair.generate(), f"depin-network_{TOPIC}"
    file = key_file(tmp_path, key)
    async with go_peer(pins) as peer:
        await peer.ask("subscribe", "subscribed", topic=topic)
        async with command(peer, file, "sub", TOPIC, "--json", "-n", "1") as sub:
            await peer.knows(key.peer_id, topic)
            await peer.publish(topic, {"room": "lobby"})
            assert sub.stdout is not None
            heard = json.loads(await asyncio.wait_for(sub.stdout.readline(), PATIENCE))
            assert (heard["wallet"], heard["message"]) == (peer.key.wallet, {"room": "lobby"})
            assert await asyncio.wait_for(sub.wait(), PATIENCE) == 0
        async with command(peer, file, "pub", TOPIC, '{"load": 1}') as pub:
            assert await asyncio.wait_for(pub.wait(), PATIENCE) == 0
        await eventually(lambda: peer.messages(topic))
