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
"""Public ones, as the nodes see it; they exist in the namespaces alone, too. There is a router between any two of them:
a Go node takes those that it reaches without one for members of its own network."""

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


def nft_missing(rules: str) -> str | None:
    """Say what a machine that can have a lab lacks for these rules of nftables, if anything."""
    if shutil.which("nft") is None:
        return "the program nft, of the package nftables"
    name = f"{new_name()}-try"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        command = ["ip", "netns", "exec", name, "nft", "-f", "-"]
        made = subprocess.run(command, input=rules, capture_output=True, text=True, check=False)
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)
    return f"rules of nftables: {made.stderr.strip()}" if made.returncode else None


def require_lab() -> None:
    """Skip the test, with the reason, where there can be no lab."""
    if (reason := missing()) is not None:
        pytest.skip(f"missing: {reason}")


def new_name() -> str:
    """Name a lab, so that those of processes that run side by side differ."""
    return f"dm{os.getpid()}-{next(_labs)}"


@dataclass(eq=False)
class Host:
    """A machine of the lab."""

    namespace: str
    switch: str
    """The namespace of what its cable leads to."""
    port: str
    """The end of the cable there."""
    address: str

    def command(self, *words: object) -> list[str]:
        """Return a command that runs there."""
        return ["ip", "netns", "exec", self.namespace, *map(str, words)]

    async def build(self, bridge: str) -> None:
        """Make it, and connect it to a bridge of its switch."""
        there = ["-n", self.namespace]
        await ip("netns", "add", self.namespace)
        pair = ["type", "veth", "peer", "name", "eth0", "netns", self.namespace]
        await ip("-n", self.switch, "link", "add", self.port, *pair)
        await ip(*there, "address", "add", f"{self.address}/24", "dev", "eth0")
        await ip(*there, "link", "set", "eth0", "up")
        await ip(*there, "link", "set", "lo", "up")
        await ip("-n", self.switch, "link", "set", self.port, "up", "master", bridge)

    async def unplug(self) -> None:
        """Pull its cable: it notices, the others hear nothing of it any more."""
        await ip("-n", self.switch, "link", "set", self.port, "down")

    async def plug(self) -> None:
        """Put the cable back."""
        await ip("-n", self.switch, "link", "set", self.port, "up")

    async def move(self, address: str) -> None:
        """Give it another address in place of the one it had."""
        # In this order, as the kernel takes away a later address of the same network together with the first.
        await ip("-n", self.namespace, "address", "del", f"{self.address}/24", "dev", "eth0")
        await ip("-n", self.namespace, "address", "add", f"{address}/24", "dev", "eth0")
        self.address = address


class Lab:
    """A switch and its hosts."""

    def __init__(self, name: str, hosts: int, network: str) -> None:
        self._switch = f"{name}-sw"
        self._network = network
        self.hosts = [Host(f"{name}-{n}", self._switch, f"p{n}", f"{network}.{n}") for n in range(1, hosts + 1)]

    async def split(self, *groups: Iterable[Host]) -> None:
        """Let only the hosts of one group reach each other; they notice nothing but the silence of the others."""
        for number, group in enumerate(groups):
            for host in group:
                await ip("-n", self._switch, "link", "set", host.port, "master", f"br{number}")

    async def heal(self) -> None:
        """Let all hosts reach each other."""
        await self.split(self.hosts)

    async def build(self) -> None:
        """Make it all."""
        await ip("netns", "add", self._switch)
        for bridge in ("br0", "br1"):
            await ip("-n", self._switch, "link", "add", bridge, "type", "bridge")
            await ip("-n", self._switch, "link", "set", bridge, "up")
        for host in self.hosts:
            await host.build("br0")
        if self._network == PUBLIC:
            await self._route()

    async def _route(self) -> None:
        """Put a router between each host and the others."""
        router = f"{self._network}.254"
        await ip("-n", self._switch, "address", "add", f"{router}/24", "dev", "br0")
        settings = ("ip_forward=1", "conf.all.send_redirects=0", "conf.br0.send_redirects=0")
        there = ("ip", "netns", "exec", self._switch, "sysctl", "-qw")
        await run(*there, *(f"net.ipv4.{setting}" for setting in settings))
        for host in self.hosts:
            await ip("-n", host.namespace, "route", "add", router, "dev", "eth0")
            await ip("-n", host.namespace, "route", "add", "default", "via", router)
            await ip("-n", host.namespace, "route", "del", f"{self._network}.0/24")

    async def remove(self) -> None:
        """Leave nothing of it, also when it was built in part."""
        await remove([self._switch, *(host.namespace for host in self.hosts)])


@asynccontextmanager
async def lab(hosts: int, network: str = NETWORK) -> AsyncIterator[Lab]:
    """Build a lab for the block, its hosts being the first ones of a /24 network."""
    require_lab()
    made = Lab(new_name(), hosts, network)
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

    async def close(self) -> None:
        """Let it close its node and end."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        await self.process.wait()

    async def transports(self) -> dict[str, str]:
        """Return whom it calls connected, and how."""
        transports: dict[str, str] = (await self.ask("transports", "transports"))["transports"]
        return transports

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


async def ip(*words: str) -> None:
    """Run `ip`."""
    await run("ip", *words)


async def run(*words: str, given: str | None = None) -> str:
    """Run a program, give it a text to read, return what it writes, and fail with what it says when it fails."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*words, stdin=pipe, stdout=pipe, stderr=pipe)
    output, error = await process.communicate(None if given is None else given.encode())
    assert process.returncode == 0, f"{' '.join(words)}: {error.decode().strip()}"
    return output.decode()


async def remove(namespaces: Iterable[str]) -> None:
    """Remove namespaces, those that were made."""
    for namespace in namespaces:
        if os.path.exists(f"/run/netns/{namespace}"):  # noqa: ASYNC240, PTH110  # no disk is asked
            await ip("netns", "del", namespace)
