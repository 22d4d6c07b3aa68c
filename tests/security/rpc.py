"""Messages of GossipSub, identify and Kademlia as bytes, right or wrong: a library would send only right ones."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import count
from time import time_ns
from typing import TYPE_CHECKING

from solders.keypair import Keypair as SoldersKeypair

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from depinmesh import Keypair

GOSSIP = "/meshsub/1.1.0"
NEWER_GOSSIP = "/meshsub/1.2.0"
ED25519_PEER = bytes.fromhex("002408011220")
SIGNED_PREFIX = b"libp2p-pubsub:"

_numbers = count(time_ns())


def varint(value: int) -> bytes:
    """Return a number as protobuf writes it."""
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def part(number: int, value: bytes | int) -> bytes:
    """Return a field of a message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def framed(message: bytes) -> bytes:
    """Return it behind its length, as on a stream."""
    return varint(len(message)) + message


def parts(message: bytes) -> Iterator[tuple[int, bytes | int]]:
    """Take a message apart; fields of other kinds than bytes and numbers do not occur."""
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            value |= (byte & 0x7F) << shift
            at, shift = at + 1, shift + 7
            if byte < 0x80:
                return value

    while at < len(message):
        tag = number()
        if tag & 7 == 0:
            yield tag >> 3, number()
        else:
            length = number()
            yield tag >> 3, message[at : at + length]
            at += length


@dataclass(frozen=True)
class Message:
    """An event as it travels, signed by `key` when its bytes are asked for; `...` leaves a field out."""

    key: Keypair
    topic: str
    data: str | bytes
    number: int | bytes | None = field(default_factory=lambda: next(_numbers))
    author: Keypair | None = None
    """Who is named in the place of whose key signs it."""
    signature: bytes | None = None
    """In the place of a good one; empty: none at all."""
    named_key: bytes = b""
    nameless: bool = False

    @cached_property
    def sequence(self) -> bytes:
        """Return the sequence number as bytes."""
        return self.number.to_bytes(8, "big") if isinstance(self.number, int) else self.number or b""

    def __bytes__(self) -> bytes:
        text = self.data if isinstance(self.data, bytes) else self.data.encode("utf-8", "surrogatepass")
        author = b"" if self.nameless else ED25519_PEER + bytes((self.author or self.key).wallet)
        named = [(1, author), (2, text), (3, self.sequence), (4, self.topic.encode())]
        body = b"".join(part(number, value) for number, value in named if value or number == 2)
        signature = self.signature
        if signature is None:
            signer = SoldersKeypair.from_base58_string(self.key.to_base58())
            signature = bytes(signer.sign_message(SIGNED_PREFIX + body))
        tail = [(5, signature), (6, self.named_key)]
        return body + b"".join(part(number, value) for number, value in tail if value)

    def but(self, **other: object) -> Message:
        """Return another one that differs in these fields."""
        return replace(self, **other)  # type: ignore[arg-type]


def rpc(
    *,
    subscribe: Iterable[str] = (),
    unsubscribe: Iterable[str] = (),
    publish: Iterable[Message | bytes] = (),
    control: bytes = b"",
) -> bytes:
    """Return a frame of GossipSub."""
    body = b"".join(part(1, part(1, 1) + part(2, topic.encode())) for topic in subscribe)
    body += b"".join(part(1, part(1, 0) + part(2, topic.encode())) for topic in unsubscribe)
    body += b"".join(part(2, bytes(message)) for message in publish)
    return framed(body + (part(3, control) if control else b""))


def ihave(topic: str, ids: Iterable[bytes]) -> bytes:
    """Say that we have these messages."""
    return part(1, part(1, topic.encode()) + b"".join(part(2, one) for one in ids))


def iwant(ids: Iterable[bytes]) -> bytes:
    """Ask for these messages."""
    return part(2, b"".join(part(1, one) for one in ids))


def graft(topic: str) -> bytes:
    """Enter the mesh of a topic."""
    return part(3, part(1, topic.encode()))


def prune(topic: str, backoff: int | None = None) -> bytes:
    """Leave the mesh of a topic, for so many seconds."""
    return part(4, part(1, topic.encode()) + (b"" if backoff is None else part(3, backoff)))


def idontwant(ids: Iterable[bytes]) -> bytes:
    """Say that we do not want these messages."""
    return part(5, b"".join(part(1, one) for one in ids))


def published(frame: bytes) -> list[bytes]:
    """Return the messages in a frame, whole."""
    return [value for number, value in parts(frame) if number == 2 and isinstance(value, bytes)]


def peer_record(signer: Keypair, of: Keypair, *addresses: bytes) -> bytes:
    """Say where a peer is, in an envelope that somebody has signed."""
    payload = (
        part(1, ED25519_PEER + bytes(of.wallet)) + part(2, 1) + b"".join(part(3, part(1, one)) for one in addresses)
    )
    kind = b"/libp2p/routing-state-record"
    signed = framed(b"libp2p-routing-state") + framed(kind) + framed(payload)
    signature = bytes(SoldersKeypair.from_base58_string(signer.to_base58()).sign_message(signed))
    return part(1, ED25519_PEER[2:] + bytes(signer.wallet)) + part(2, kind) + part(3, payload) + part(5, signature)
