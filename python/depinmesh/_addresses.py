"""What the addresses of a node are to other nodes."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from depinmesh.bootstrap import BootstrapNode
from depinmesh.errors import ConfigError
from depinmesh.multiaddr import parse_multiaddr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from depinmesh.identity import Wallet


def bootstrap_entries(
    wallet: Wallet, listening: Sequence[str], *, announced: Sequence[str] = (), public: Sequence[str] = ()
) -> list[str]:
    """Return one entry for each host, `wallet@host:quic:tcp`; loopback only when there is nothing else.

    Args:
        wallet: Of the node.
        listening: Where it listens; while it does so nowhere, it has no entries.
        announced: What its operator says that others reach, in place of the rest.
        public: Where others have been found to reach it: these come first.
    """
    hosts: dict[str, dict[str, int | None]] = {}
    for text in (announced or (*public, *listening)) if listening else ():
        try:
            address = parse_multiaddr(text)
        except ConfigError:
            continue  # an unspecified address
        if address.protocol != "dnsaddr" and address.relay is None:
            ports = hosts.setdefault(address.host, {"quic_port": None, "tcp_port": None})
            ports["quic_port"] = ports["quic_port"] or address.quic_port
            ports["tcp_port"] = ports["tcp_port"] or address.tcp_port
    distant = [host for host in hosts if not _is_loopback(host)]
    return [str(BootstrapNode(wallet, host, **hosts[host])) for host in distant or hosts]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
