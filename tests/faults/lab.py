"""Hosts in network namespaces of their own, on one switch that can be split, and cables that can be pulled.

Nothing outside of the namespaces is touched. It needs root and `ip` of iproute2; `require_lab` skips a test with the
name of what is missing.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.program import Program

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

NODE = Path(__file__).with_name("node.py")
NETWORK = "10.77.0"
"""Private addresses, which exist in the namespaces alone."""
PUBLIC = "45.77.0"
"""Public ones, as the nodes see it; they exist in the namespaces alone, too."""

_labs = itertools.count()


@cache
def missing() -> str | None:
    """Say which capability this machine lacks for a lab, if any."""
    if sys.platform != "linux":
        return "network namespaces, which only Linux has"
    if shutil.which("ip") is None:
        return "the program ip, of the package iproute2"
    if os.geteuid() != 0:
        return "root, to make network namespaces"
    name = f"dm{os.getpid()}-try"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode == 0:
        bridge = ["ip", "-n", name, "link", "add", "br0", "type", "bridge"]
        made = subprocess.run(bridge, capture_output=True, text=True, check=False)
        subprocess.run(["ip", "netns", "del", name], check=True)
    return f"network namespaces with a bridge: {made.stderr.strip()}" if made.returncode else None


def require_lab() -> None:
    """Skip the test, with the reason, where there can be no lab."""
    if (reason := missing()) is not None:
        pytest.skip(f"missing: {reason}")


@dataclass(eq=False)
class Host:
    """A machine of the lab."""

    namespace: str
    port: str
    """Its place at the switch."""
    address: str

    def command(self, *words: object) -> list[str]:
        """Return a command that runs there."""
        return ["ip", "netns", "exec", self.namespace, *map(str, words)]


class Lab:
    """A switch and its hosts."""

    def __init__(self, name: str, hosts: int, network: str) -> None:
        self._switch = f"{name}-sw"
        self.hosts = [Host(f"{name}-{n}", f"p{n}", f"{network}.{n}") for n in range(1, hosts + 1)]

    async def split(self, *groups: Iterable[Host]) -> None:
        """Let only the hosts of one group reach each other; they notice nothing but the silence of the others."""
        for number, group in enumerate(groups):
            for host in group:
                await _ip("-n", self._switch, "link", "set", host.port, "master", f"br{number}")

    async def heal(self) -> None:
        """Let all hosts reach each other."""
        await self.split(self.hosts)

    async def unplug(self, host: Host) -> None:
        """Pull the cable of a host: it notices, the others hear nothing of it any more."""
        await _ip("-n", self._switch, "link", "set", host.port, "down")

    async def plug(self, host: Host) -> None:
        """Put the cable back."""
        await _ip("-n", self._switch, "link", "set", host.port, "up")

    async def move(self, host: Host, address: str) -> None:
        """Give a host another address in place of the one it had."""
        # In this order, as the kernel takes away a later address of the same network together with the first.
        await _ip("-n", host.namespace, "address", "del", f"{host.address}/24", "dev", "eth0")
        await _ip("-n", host.namespace, "address", "add", f"{address}/24", "dev", "eth0")
        host.address = address

    async def build(self) -> None:
        """Make it all."""
        await _ip("netns", "add", self._switch)
        for bridge in ("br0", "br1"):
            await _ip("-n", self._switch, "link", "add", bridge, "type", "bridge")
            await _ip("-n", self._switch, "link", "set", bridge, "up")
        for host in self.hosts:
            there = ["-n", host.namespace]
            await _ip("netns", "add", host.namespace)
            pair = ["type", "veth", "peer", "name", "eth0", "netns", host.namespace]
            await _ip("-n", self._switch, "link", "add", host.port, *pair)
            await _ip(*there, "address", "add", f"{host.address}/24", "dev", "eth0")
            await _ip(*there, "link", "set", "eth0", "up")
            await _ip(*there, "link", "set", "lo", "up")
            await _ip("-n", self._switch, "link", "set", host.port, "up", "master", "br0")

    async def remove(self) -> None:
        """Leave nothing of it, also when it was built in part."""
        for namespace in [self._switch, *(host.namespace for host in self.hosts)]:
            if os.path.exists(f"/run/netns/{namespace}"):  # noqa: ASYNC240, PTH110  # no disk is asked
                await _ip("netns", "del", namespace)


@asynccontextmanager
async def lab(hosts: int, network: str = NETWORK) -> AsyncIterator[Lab]:
    """Build a lab for the block, its hosts being the first ones of a /24 network."""
    require_lab()
    made = Lab(f"dm{os.getpid()}-{next(_labs)}", hosts, network)
    try:
        await made.build()
        yield made
    finally:
        await made.remove()


class Node(Program):
    """A depinmesh node on a host: tests/faults/node.py."""

    peer_id: str
    entries: list[str]

    async def publish(self, number: int) -> None:
        """Let it publish a number."""
        await self.ask("publish", "published", number=number)

    async def peers(self) -> list[str]:
        """Return whom it calls connected."""
        peers: list[str] = (await self.ask("peers", "peers"))["peers"]
        return peers


@asynccontextmanager
async def node_on(host: Host, **config: Any) -> AsyncIterator[Node]:
    """Run a node on a host; `config` as tests/faults/node.py takes it."""
    async with Node.run(*host.command(sys.executable, NODE)) as node:
        node.tell("start", **{"hosts": [host.address], **config})
        started = await node.wait("started")
        node.peer_id, node.entries = started["peer_id"], started["entries"]
        yield node


async def _ip(*words: str) -> None:
    process = await asyncio.create_subprocess_exec("ip", *words, stderr=asyncio.subprocess.PIPE)
    _, error = await process.communicate()
    assert process.returncode == 0, f"ip {' '.join(words)}: {error.decode().strip()}"
