"""Hosts on a public network, and hosts behind routers that translate addresses, each router of a kind of its own.

Nothing outside of the namespaces is touched. It needs what `tests.faults.lab` needs, `nft` and `conntrack`;
`require_nat_lab` skips a test with the name of what is missing.
"""

from __future__ import annotations

import itertools
import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, TypeAlias

import pytest

from tests.faults.lab import PUBLIC, Host, ip, missing, new_name, nft_missing, remove, run

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Kind: TypeAlias = Literal["open", "port-restricted", "symmetric"]
"""open: a port, once used to the outside, takes packets of everybody (full cone). port-restricted: it keeps its number,
and takes packets only from where it sent one to. symmetric: the same, and each destination sees another port."""
KINDS: tuple[Kind, ...] = ("open", "port-restricted", "symmetric")

_RULES = """
table ip nat {
  map udp_ports { type inet_service : ipv4_addr; }
  map tcp_ports { type inet_service : ipv4_addr; }
  chain prerouting {
    type nat hook prerouting priority dstnat;
    iifname eth0 dnat to udp dport map @udp_ports
    iifname eth0 dnat to tcp dport map @tcp_ports
  }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    ip saddr != LAN return
    oifname eth0 TRANSLATION
  }
}
table ip filter {
  chain input {
    type filter hook input priority filter;
    iifname eth0 ct state new drop
  }
}
"""
_TRANSLATION: dict[Kind, str] = {
    "open": """add @udp_ports { udp sport : ip saddr }
    oifname eth0 add @tcp_ports { tcp sport : ip saddr }
    oifname eth0 masquerade""",
    "port-restricted": "masquerade",
    "symmetric": "masquerade random,fully-random",
}


@cache
def nat_missing() -> str | None:
    """Say which capability this machine lacks for a lab with routers, if any."""
    if (reason := missing()) is not None:
        return reason
    if shutil.which("conntrack") is None:
        return "the program conntrack, of the package conntrack"
    return nft_missing("flush ruleset;".join(_rules(kind, "192.168.1") for kind in KINDS))


def require_nat_lab() -> None:
    """Skip the test, with the reason, where there can be no lab with routers."""
    if (reason := nat_missing()) is not None:
        pytest.skip(f"missing: {reason}")


def _rules(kind: Kind, network: str) -> str:
    return _RULES.replace("TRANSLATION", _TRANSLATION[kind]).replace("LAN", f"{network}.0/24")


@dataclass(eq=False)
class Router(Host):
    """A router; its address is the public one."""

    kind: Kind
    network: str
    """What the addresses behind it begin with."""

    async def build(self, bridge: str) -> None:
        """Make it, and connect it to the public network."""
        await super().build(bridge)
        there = ["-n", self.namespace]
        await ip(*there, "link", "add", "lan", "type", "bridge")
        await ip(*there, "link", "set", "lan", "up")
        await ip(*there, "address", "add", f"{self.network}.1/24", "dev", "lan")
        await run(*self.command("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"))
        await run(*self.command("nft", "-f", "-"), given=_rules(self.kind, self.network))

    async def forget(self) -> None:
        """Let it forget every connection, as one that was switched off and on."""
        await run(*self.command("nft", "flush map ip nat udp_ports; flush map ip nat tcp_ports"))
        await run(*self.command("conntrack", "-F"))

    async def block_udp(self) -> None:
        """Let it drop every UDP packet of the hosts behind it, without a word."""
        chain = "add chain ip filter forward { type filter hook forward priority filter; }"
        await run(*self.command("nft", f"{chain}; add rule ip filter forward meta l4proto udp drop"))


class NatLab:
    """A public network, the hosts on it, the routers at it, and the hosts behind them."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._internet = f"{name}-net"
        self._numbers = itertools.count(2)
        self._namespaces = [self._internet]

    async def host(self, behind: Router | None = None) -> Host:
        """Add a host behind a router, or else on the public network."""
        # One row of numbers for hosts and routers, from 2 on, as 1 is the router of its network.
        n = next(self._numbers)
        switch, network = (behind.namespace, behind.network) if behind else (self._internet, PUBLIC)
        host = Host(f"{self._name}-{n}", switch, f"p{n}", f"{network}.{n}")
        self._namespaces.append(host.namespace)
        await host.build("lan" if behind else "br0")
        if behind:
            await ip("-n", host.namespace, "route", "add", "default", "via", f"{network}.1")
        return host

    async def router(self, kind: Kind) -> Router:
        """Add a router, with a private network of its own behind it."""
        n = next(self._numbers)
        network = f"192.168.{n}"
        router = Router(f"{self._name}-{n}", self._internet, f"p{n}", f"{PUBLIC}.{n}", kind, network)
        self._namespaces.append(router.namespace)
        await router.build("br0")
        return router

    async def build(self) -> None:
        """Make the public network."""
        await ip("netns", "add", self._internet)
        await ip("-n", self._internet, "link", "add", "br0", "type", "bridge")
        await ip("-n", self._internet, "link", "set", "br0", "up")

    async def remove(self) -> None:
        """Leave nothing of it, also when it was built in part."""
        await remove(self._namespaces)


@asynccontextmanager
async def nat_lab() -> AsyncIterator[NatLab]:
    """Build a public network for the block; hosts and routers are added to it."""
    require_nat_lab()
    made = NatLab(new_name())
    try:
        await made.build()
        yield made
    finally:
        await made.remove()
