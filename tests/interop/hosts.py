"""Go nodes and ours on the hosts of a lab, with everybody on one list."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair
from tests.faults.lab import Host, Node, node_on
from tests.interop.peers import TARGET, Peer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AsyncExitStack

    from depinmesh import PeerId

QUIC, TCP = 4001, 4002


class Network:
    """Hosts, by their number, and a key for each."""

    def __init__(self, stack: AsyncExitStack, hosts: Sequence[Host]) -> None:
        self._stack, self._hosts = stack, hosts
        self.keys = [Keypair.generate() for _ in hosts]

    def id(self, which: int) -> PeerId:
        """Return who lives on a host."""
        return self.keys[which].peer_id

    def address(self, which: int, transport: str = "quic") -> str:
        """Return where it listens."""
        ends = {"quic": f"udp/{QUIC}/quic-v1", "tcp": f"tcp/{TCP}"}
        return f"/ip4/{self._hosts[which].address}/{ends[transport]}/p2p/{self.id(which)}"

    def circuit(self, relay: int, which: int, transport: str = "quic") -> str:
        """Return where it is reached through a relay."""
        return f"{self.address(relay, transport)}/p2p-circuit/p2p/{self.id(which)}"

    async def go(self, which: int, pins: str, *flags: str) -> Peer:
        """Run a Go node."""
        binary = TARGET / "interop" / pins
        if not binary.exists():
            pytest.skip(f"{binary} is missing: make go-peers")
        host = self._hosts[which]
        listen = f"/ip4/{host.address}/udp/{QUIC}/quic-v1,/ip4/{host.address}/tcp/{TCP}"
        words = host.command(binary, "-key", self.keys[which].to_base58(), "-listen", listen, *flags)
        peer = await self._stack.enter_async_context(Peer.run(*words))
        await peer.wait("started")
        peer.key, peer.peer_id = self.keys[which], self.id(which)
        return peer

    async def ours(self, which: int, *knows: str, **more: Any) -> Node:
        """Run a node of ours that knows these addresses; `more` are fields of its configuration."""
        wallets = [key.wallet for key in self.keys]
        config = {"key": self.keys[which].to_base58(), "wallets": wallets, "nodes": knows, "quic": QUIC, "tcp": TCP}
        return await self._stack.enter_async_context(node_on(self._hosts[which], more=more, **config))
