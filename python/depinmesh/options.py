"""The groups of options. The description of a field is its documentation: it says the unit and the effect."""

import ipaddress
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, PlainValidator, ValidationInfo, field_validator
from pydantic.config import JsonDict

from depinmesh._validation import Options
from depinmesh.bootstrap import BootstrapNode, check_relays
from depinmesh.errors import ConfigError, ConfigProblem, shown
from depinmesh.multiaddr import parse_multiaddr

LARGEST_MESSAGE = 1_048_000
"""Bytes that the wire carries in one event, together with the full name of its topic."""

_YEAR = 365 * 86_400

_SECONDS: JsonDict = {"unit": "seconds"}  # a file may then say "30s", and the documents say the unit
_BYTES: JsonDict = {"unit": "bytes"}  # "8MiB"

# Strict: in code a number is a number. `default=` is spelt out below, as type checkers overlook a positional one.
Seconds: TypeAlias = Annotated[
    float, Field(strict=True, gt=0, le=_YEAR, allow_inf_nan=False, json_schema_extra=_SECONDS)
]
SecondsOrZero: TypeAlias = Annotated[
    float, Field(strict=True, ge=0, le=_YEAR, allow_inf_nan=False, json_schema_extra=_SECONDS)
]
Count: TypeAlias = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
Port: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=65_535)]
Flag: TypeAlias = Annotated[bool, Field(strict=True)]


def _check_address(text: str) -> str:
    if "%" in text:
        raise ValueError("has a zone (%...), with which a node cannot listen")
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("is not an IPv4 or IPv6 address of this machine") from None


def _check_announced(text: str) -> str:
    address = parse_multiaddr(text)
    if address.protocol == "dnsaddr" or address.peer_id is not None:
        reason = "is announced as host, transport and port alone"
        raise ConfigError.of([ConfigProblem("", shown(text), reason, "such as /ip4/203.0.113.7/udp/4001/quic-v1")])
    return text


class Listen(Options, frozen=True):
    """Where the node listens and what it tells others about it."""

    quic_port: Port | None = Field(
        default=4001, description="UDP port of QUIC; 0 takes any free port, None turns QUIC off, for dialling too"
    )
    tcp_port: Port | None = Field(
        default=4002, description="TCP port; 0 takes any free port, None turns TCP off, for dialling too"
    )
    hosts: tuple[Annotated[str, AfterValidator(_check_address)], ...] = Field(
        default=("0.0.0.0", "::"),  # noqa: S104  # a node of a public fleet; the gate decides who may enter
        description="IP addresses of this machine to listen on; only loopback ones keep the node on this machine",
    )
    announce: tuple[Annotated[str, AfterValidator(_check_announced)], ...] = Field(
        default=(),
        description="multiaddrs to announce in place of the detected addresses, for a node behind a port mapping",
    )

    @field_validator("hosts")
    @classmethod
    def _some_host(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        if not hosts:
            raise ValueError("must not be empty")
        return hosts

    @field_validator("tcp_port")
    @classmethod
    def _one_transport(cls, tcp_port: int | None, info: ValidationInfo) -> int | None:
        if tcp_port is None and info.data.get("quic_port", 0) is None:
            raise ValueError("must not be None when quic_port is None: a node needs one transport")
        return tcp_port


class Gate(Options, frozen=True):
    """Who may enter: how the registry is read, and how long its answers hold."""

    refresh_interval: Seconds = Field(default=30.0, description="seconds between two reads of the registry")
    timeout: Seconds = Field(
        default=10.0, description="seconds that one read of the registry may take before it counts as failed"
    )
    min_interval: Seconds = Field(
        default=1.0,
        description="seconds at least between two reads that unknown wallets cause: dials cannot flood the registry",
    )
    negative_ttl: SecondsOrZero = Field(
        default=10.0,
        description="seconds that a refusal is remembered; a refresh that lists the wallet ends it at once",
    )
    max_stale: Seconds = Field(
        default=900.0, description="seconds without a good read after which nobody new is admitted; those inside stay"
    )
    revocation: Literal["close", "keep"] = Field(
        default="close",
        description="what becomes of the connections of a wallet that is removed: 'close' them at once, or 'keep' them",
    )

    @field_validator("max_stale")
    @classmethod
    def _outlives_refresh(cls, max_stale: float, info: ValidationInfo) -> float:
        if max_stale < info.data.get("refresh_interval", 0):
            raise ValueError("must not be below refresh_interval: every list would be stale before the next one comes")
        return max_stale


class Bootstrap(Options, frozen=True):
    """How the node finds its first peers, and finds them again."""

    wait: Literal["first-round", "ready", "none"] = Field(
        default="first-round",
        description="what connect() waits for: 'first-round' of dials, 'ready' (a peer, or an error), or 'none'",
    )
    connect_timeout: Seconds = Field(default=30.0, description="seconds that this wait may take")
    retry_interval: Seconds = Field(
        default=5.0, description="seconds between two readings of the bootstrap nodes while not ready"
    )
    loss_delay: SecondsOrZero = Field(
        default=2.0, description="seconds from the loss of the last peer to asking the bootstrap nodes again"
    )


class Discovery(Options, frozen=True):
    """How the nodes of a database find each other beyond the bootstrap nodes."""

    dht: Flag = Field(
        default=True, description="take part in the distributed tables of the fleet, where each finds all others"
    )
    rendezvous_interval: Seconds = Field(
        default=2.0,
        description="seconds between two rounds of the search while it finds somebody; then it looks once a minute",
    )
    max_new_per_round: Count = Field(
        default=5,
        description="listed peers at most that a round of the search adds to those it asks, up to 20, "
        "and as many that a registry is asked about",
    )
    mdns: Flag = Field(
        default=False,
        description="look for nodes on the local network by multicast, and tell it of this one's addresses",
    )
    registry: Flag = Field(
        default=False,
        description="read the bootstrap nodes once a minute also while ready, and dial those that are not connected",
    )


class Connections(Options, frozen=True):
    """Limits of connections."""

    low: Count = Field(
        default=100,
        description="peers that stay when there are too many; mesh peers and relays always do, and bootstrap nodes "
        "unless discovery.registry is on",
    )
    high: Count = Field(default=400, description="peers above which the least useful ones are closed")
    grace: SecondsOrZero = Field(default=60.0, description="seconds that a new connection is safe from that")
    max_per_ip: Count = Field(
        default=64,
        description="connections from one IPv4 address, or IPv6 network of 64 bits, at the same time; more are refused",
    )
    max_pending_per_ip: Count = Field(
        default=16,
        description="unfinished handshakes from one IPv4 address, or IPv6 network of 64 bits; more are refused",
    )
    dial_concurrency: Annotated[int, Field(strict=True, ge=1, le=255)] = Field(
        default=128, description="peers that are dialled at the same time"
    )
    handshake_timeout: Seconds = Field(
        default=10.0,
        description="seconds that a dialled TCP connection may take to prove who it is; inbound ones and QUIC have 3",
    )

    @field_validator("high")
    @classmethod
    def _above_low(cls, high: int, info: ValidationInfo) -> int:
        if high < info.data.get("low", 0):
            raise ValueError("must not be below low: closing the surplus would leave more than that")
        return high


class Nat(Options, frozen=True):
    """How a node behind a NAT (a home router, a carrier) is reached: by a mapped port, a relay, then directly."""

    relay_client: Flag = Field(
        default=True, description="be reached through relays while others cannot connect here, and reach others so"
    )
    relay_server: Flag = Field(
        default=False, description="be a relay for the listed wallets; for a node with a public address and bandwidth"
    )
    hole_punching: Flag = Field(
        default=True, description="replace a relayed connection by a direct one where the routers between allow it"
    )
    upnp: Flag = Field(default=True, description="let the router of the local network map the ports, by UPnP")
    autonat: Flag = Field(
        default=True, description="ask peers that offer it (as Go nodes do) whether others can connect here directly"
    )
    autonat_server: Flag = Field(
        default=False, description="answer such questions of listed peers; for a node with a public address"
    )
    relays: Annotated[tuple[BootstrapNode | str, ...], PlainValidator(check_relays)] = Field(
        default=(),
        description="relays to use before any other, as in bootstrap_nodes; without, peers that offer it are used",
    )

    @field_validator("relays")
    @classmethod
    def _has_a_client(
        cls, relays: tuple[BootstrapNode | str, ...], info: ValidationInfo
    ) -> tuple[BootstrapNode | str, ...]:
        if relays and not info.data.get("relay_client", True):
            raise ValueError("must be empty when relay_client is off: they would not be used")
        return relays


class PubSub(Options, frozen=True):
    """Sizes and policies of messages."""

    max_message_size: Annotated[int, Field(strict=True, ge=1024, le=LARGEST_MESSAGE, json_schema_extra=_BYTES)] = Field(
        default=LARGEST_MESSAGE,
        description="bytes of the largest event, sent or received; the wire takes off the length of its topic",
    )
    queue_size: Count = Field(
        default=1024, description="events that wait for one subscription before its overflow policy applies"
    )
    queue_bytes: Annotated[int, Field(strict=True, ge=1024, le=2**31 - 1, json_schema_extra=_BYTES)] = Field(
        default=8 * 1024 * 1024, description="bytes that wait for one subscription before its overflow policy applies"
    )
    overflow: Literal["drop_oldest", "drop_newest"] = Field(
        default="drop_oldest",
        description="which events a full subscription loses, 'drop_oldest' or 'drop_newest'; they are counted "
        "either way",
    )
    flood_publish: Flag = Field(
        default=False,
        description="send own events to every subscriber at once instead of the mesh alone: faster, more traffic",
    )
    batching: Flag = Field(
        default=False,
        description="sign events of a topic that wait together as one message, while only depinmesh nodes are on it",
    )

    @field_validator("queue_bytes")
    @classmethod
    def _holds_one_message(cls, queue_bytes: int, info: ValidationInfo) -> int:
        if queue_bytes < info.data.get("max_message_size", 0):
            raise ValueError("must not be below max_message_size: the largest event would never be delivered")
        return queue_bytes
