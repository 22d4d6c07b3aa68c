"""The forms of libp2p addresses that a node dials or announces, such as `/ip4/1.2.3.4/udp/4001/quic-v1/p2p/12D3...`."""

import ipaddress
import re
from dataclasses import dataclass

from depinmesh.errors import ConfigError, ConfigProblem, IdentityError, shown
from depinmesh.identity import PeerId

HIGHEST_PORT = 65535
_FORMS = "/ip4|ip6|dns|dns4|dns6/HOST, then /udp/PORT/quic-v1 or /tcp/PORT, or /dnsaddr/NAME"
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_LONGEST_NAME = 253


@dataclass(frozen=True, slots=True)
class Multiaddr:
    """The parts of an address. `quic_port` or `tcp_port` is set; neither for `/dnsaddr`, whose record has them."""

    protocol: str
    host: str
    quic_port: int | None
    tcp_port: int | None
    peer_id: PeerId | None
    relay: PeerId | None = None
    """The node that connects us there; host and port are its own then."""


def parse_multiaddr(text: str) -> Multiaddr:
    """Read an address; `ConfigError` says which part is wrong."""
    try:
        empty, protocol, host, *rest = text.split("/")
    except ValueError:
        empty, protocol, host, rest = text, "", "", []
    if empty or protocol not in ("ip4", "ip6", "dns", "dns4", "dns6", "dnsaddr"):
        raise _wrong(text, "is not an address of a known form")
    quic_port = tcp_port = peer_id = relay = None
    match rest:
        case ["udp", port, "quic-v1", *rest] if protocol != "dnsaddr":
            quic_port = parse_port(port, text)
        case ["tcp", port, *rest] if protocol != "dnsaddr":
            tcp_port = parse_port(port, text)
        case _ if protocol != "dnsaddr":
            raise _wrong(text, "names no transport of ours")
    match rest:
        case []:
            pass
        case ["p2p", peer]:
            peer_id = _peer_of(peer, text)
        case ["p2p", through, "p2p-circuit", "p2p", peer]:
            relay, peer_id = _peer_of(through, text), _peer_of(peer, text)
        case _:
            raise _wrong(text, f"has parts after its transport that are not supported: /{'/'.join(rest)}")
    return Multiaddr(protocol, _host_of(protocol, host, text), quic_port, tcp_port, peer_id, relay)


def _peer_of(peer: str, text: str) -> PeerId:
    try:
        return PeerId(peer)
    except IdentityError as error:
        raise _wrong(text, f"has a peer id that is not usable: {error}") from None


def _host_of(protocol: str, host: str, text: str) -> str:
    checked = check_host(host)
    family = {"ip4": 4, "ip6": 6}.get(protocol)
    if family != ip_version(checked):
        raise _wrong(text, f"has {shown(host)} where /{protocol} wants another kind of host")
    return checked


def parse_port(text: str, whole: str) -> int:
    """Read a port number out of an address."""
    if not _PORT.fullmatch(text) or int(text) > HIGHEST_PORT:
        raise _wrong(whole, f"has {shown(text)} for a port", f"a port is a number from 1 to {HIGHEST_PORT}")
    return int(text)


def check_host(host: str) -> str:
    """Return the canonical text of an IPv4 or IPv6 address or of a DNS name; `ConfigError` when it is none of these."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        if address.is_unspecified or address.is_multicast or "%" in host:
            kind = "with a zone" if "%" in host else "that nobody can be reached at"
            raise ConfigError.of([ConfigProblem("host", shown(host), f"is an address {kind}", None)])
        return str(address)
    name = host.lower().removesuffix(".")
    labels = name.split(".")
    if len(name) > _LONGEST_NAME or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        hint = "other letters than a to z are written in the xn-- form" if not host.isascii() else None
        reason = "is neither an IPv4 or IPv6 address nor a DNS name"
        raise ConfigError.of([ConfigProblem("host", shown(host), reason, hint)])
    return name


def ip_version(host: str) -> int | None:
    """Return 4 or 6 for an address, `None` for a DNS name."""
    try:
        return ipaddress.ip_address(host).version
    except ValueError:
        return None


def _wrong(
    text: str,
    reason: str,
    hint: str = f"known are {_FORMS}, and /p2p/PEER_ID or /p2p/RELAY/p2p-circuit/p2p/PEER_ID at the end",
) -> ConfigError:
    return ConfigError.of([ConfigProblem("", shown(text), reason, hint)])
