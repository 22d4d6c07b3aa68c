"""Which nodes are asked first: `BootstrapNode`, its text forms, and what a list of them means to the core."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, Self, TypeAlias

from depinmesh.errors import ConfigError, ConfigProblem, IdentityError, shown
from depinmesh.identity import PeerId, Wallet, WalletLike
from depinmesh.multiaddr import HIGHEST_PORT, check_host, ip_version, parse_multiaddr, parse_port
from depinmesh.wallets import check_source

_FORMS = (
    "write wallet@host, wallet@host:quic or wallet@host:quic:tcp, with - for a transport that is off, or a multiaddr"
)


@dataclass(frozen=True, slots=True, init=False)
class BootstrapNode:
    """A node of the fleet and where it listens. Its wallet is its identity: nobody else is accepted at that address."""

    wallet: Wallet
    """Wallet of the node."""
    host: str
    """IPv4 address, IPv6 address or DNS name, of which all addresses are tried."""
    quic_port: int | None
    """UDP port of QUIC; `None`: not dialled."""
    tcp_port: int | None
    """TCP port; `None`: not dialled."""

    def __init__(
        self, wallet: WalletLike, host: str, quic_port: int | None = 4001, tcp_port: int | None = 4002
    ) -> None:
        """Check all fields and bring them into their canonical form; `ConfigError` has all that are wrong."""
        problems: list[ConfigProblem] = []
        try:
            wallet = Wallet(wallet)
        except IdentityError as error:
            problems.append(ConfigProblem("wallet", shown(wallet), str(error), None))
        try:
            host = check_host(host)
        except ConfigError as error:
            problems += error.errors
        ports = {"quic_port": quic_port, "tcp_port": tcp_port}
        for name, port in ports.items():
            if port is not None and not (type(port) is int and 1 <= port <= HIGHEST_PORT):
                reason = f"is not a port number from 1 to {HIGHEST_PORT}"
                problems.append(ConfigProblem(name, shown(port), reason, "None turns the transport off"))
        if quic_port is None and tcp_port is None:
            problems.append(ConfigProblem("tcp_port", None, "quic_port and tcp_port are both None", "keep one"))
        if problems:
            raise ConfigError.of(problems)
        for name, value in {"wallet": wallet, "host": host, **ports}.items():
            object.__setattr__(self, name, value)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `wallet@host`, `wallet@host:quic`, `wallet@host:quic:tcp`, `wallet@[::1]:quic:tcp` or a multiaddr.

        A port that is left out is the default one; `-` stands for a transport that is off. A multiaddr ends in
        `/p2p/PEER_ID` and names one transport, the other is off; `/dns4` and `/dns6` are read as `/dns`.
        """
        if text.startswith("/"):
            return cls._from_multiaddr(text)
        wallet, at, place = text.partition("@")
        if not (wallet and at and place):
            raise _wrong(text, "is not of the form wallet@host:quic:tcp", _FORMS)
        if place.startswith("["):
            host, bracket, tail = place[1:].partition("]")
            if not bracket or ":" not in host or (tail and not tail.startswith(":")):
                raise _wrong(text, "has no IPv6 address between its brackets", _FORMS)
            ports = tail.split(":")[1:]
        else:
            host, *ports = place.split(":")
        if len(ports) > len(("quic", "tcp")) or not host:
            raise _wrong(text, "has too many colons", f"an IPv6 address stands in brackets; {_FORMS}")
        return cls(wallet, host, *(None if port == "-" else parse_port(port, text) for port in ports))

    @classmethod
    def _from_multiaddr(cls, text: str) -> Self:
        address = parse_multiaddr(text)
        if address.peer_id is None:
            raise _wrong(text, "does not say which node it is", "end it in /p2p/PEER_ID")
        if address.relay is not None:
            raise _wrong(text, "leads through a relay", "give the text itself as a bootstrap node")
        if address.protocol == "dnsaddr":
            raise _wrong(text, "has no ports", "give the text itself as a bootstrap node, or a name and its ports")
        return cls(address.peer_id.wallet, address.host, address.quic_port, address.tcp_port)

    def multiaddrs(self) -> list[str]:
        """Return the addresses to dial, QUIC first."""
        version = ip_version(self.host)
        host = f"/ip{version}/{self.host}" if version else f"/dns/{self.host}"
        end = f"/p2p/{self.wallet.peer_id}"
        quic = [f"{host}/udp/{self.quic_port}/quic-v1{end}"] if self.quic_port is not None else []
        tcp = [f"{host}/tcp/{self.tcp_port}{end}"] if self.tcp_port is not None else []
        return quic + tcp

    def __str__(self) -> str:
        """Return the text that `parse` reads, with both ports: `wallet@host:quic:tcp`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        quic, tcp = ("-" if port is None else port for port in (self.quic_port, self.tcp_port))
        return f"{self.wallet}@{host}:{quic}:{tcp}"


class NodeProvider(Protocol):
    """An object that knows bootstrap nodes. The method may be plain or a coroutine function."""

    def bootstrap_nodes(self) -> "Iterable[BootstrapNode | str] | Awaitable[Iterable[BootstrapNode | str]]":
        """Return the nodes to ask now; called again at every attempt."""


NodeFunction: TypeAlias = Callable[[], Iterable[BootstrapNode | str] | Awaitable[Iterable[BootstrapNode | str]]]
NodeSource: TypeAlias = Iterable[BootstrapNode | str] | NodeFunction | NodeProvider


def check_node_source(source: object) -> object:
    """Check the form of a bootstrap list before it is used, and every entry of a fixed one, which becomes a tuple."""
    if isinstance(source, str):
        raise ValueError("is one text, not a list of nodes")  # noqa: TRY004  # pydantic collects these
    source = check_source(source, "bootstrap_nodes")
    if not isinstance(source, tuple):
        return source
    first: dict[BootstrapNode | str, int] = {}
    problems: list[ConfigProblem] = []
    for index, entry in enumerate(source):
        try:
            node = parse_node(entry)
        except ConfigError as error:
            problems += [problem.under(f"[{index}]") for problem in error.errors]
            continue
        if first.setdefault(node, index) != index:
            reason = f"is the same as entry {first[node]}"
            problems.append(ConfigProblem(f"[{index}]", shown(str(entry)), reason, "remove it"))
    if problems:
        raise ConfigError.of(problems)
    return tuple(first)


def check_relays(source: object) -> tuple[BootstrapNode | str, ...]:
    """Check a list of relays: nodes as in a bootstrap list, each reached directly."""
    if isinstance(source, str) or not isinstance(source, Iterable):
        raise ValueError("is not a list of nodes")  # noqa: TRY004  # pydantic collects these
    entries = tuple(source)
    check_node_source(entries)
    relays = tuple(dict.fromkeys(parse_node(entry) for entry in entries))
    for index, relay in enumerate(relays):
        if isinstance(relay, str) and parse_multiaddr(relay).relay is not None:
            reason = "is itself reached through a relay"
            raise ConfigError.of([ConfigProblem(f"[{index}]", shown(relay), reason, "give its own address")])
    return relays


def parse_node(entry: object) -> BootstrapNode | str:
    """Check one entry of a list; a multiaddr stays the text that it is."""
    if isinstance(entry, BootstrapNode):
        return entry
    if not isinstance(entry, str):
        raise ConfigError.of([ConfigProblem("", shown(entry), "is neither a BootstrapNode nor text", _FORMS)])
    if not entry.startswith("/"):
        return BootstrapNode.parse(entry)
    if parse_multiaddr(entry).peer_id is None:
        raise _wrong(entry, "does not say which node it is", "end it in /p2p/PEER_ID")
    return entry


def normalise_nodes(
    entries: Iterable[BootstrapNode | str], dropped: Callable[[ConfigError], None] | None = None
) -> list[list[str]]:
    """Return the addresses to dial, one list for each peer.

    Entries of the same peer are joined: dialled by themselves they would end in two connections to it. A wrong entry
    raises `ConfigError`; with `dropped` it is left out and its error handed to that function, so that one bad entry
    does not cost the others.
    """
    if isinstance(entries, str) or not isinstance(entries, Iterable):
        raise ConfigError.of([ConfigProblem("bootstrap_nodes", shown(entries), "is not a list of nodes", None)])
    peers: dict[PeerId, dict[str, None]] = {}
    for index, entry in enumerate(entries):
        try:
            node = parse_node(entry)
        except ConfigError as error:
            located = ConfigError.of(problem.under(f"bootstrap_nodes[{index}]") for problem in error.errors)
            if dropped is None:
                raise located from None
            dropped(located)
            continue
        addresses = [node] if isinstance(node, str) else node.multiaddrs()
        peer = PeerId._trusted(addresses[0].rpartition("/")[2])
        peers.setdefault(peer, {}).update(dict.fromkeys(addresses))
    return [list(addresses) for addresses in peers.values()]


def _wrong(text: str, reason: str, hint: str) -> ConfigError:
    return ConfigError.of([ConfigProblem("", shown(text), reason, hint)])
