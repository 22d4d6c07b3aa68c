"""Node events and their streams."""

import asyncio
import dataclasses
import inspect
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from depinmesh import CoreError, EventStream, Keypair, Peer, PeerId, Wallet, events
from depinmesh.events import (
    ListenAddress,
    MessageDropped,
    NodeEvent,
    NotReady,
    PeerConnected,
    PeerRefused,
    QueueOverflow,
    Ready,
    from_core,
)
from tests.support import waiting_in

KEY = Keypair.from_seed(bytes(range(32)))
W, P = str(KEY.wallet), str(KEY.peer_id)
ROW = (P, W, ["/ip4/203.0.113.7/tcp/4002"], "inbound", "quic", 1_700_000_000.5, "depinmesh/0.1.0", None)
CLASSES = [
    cls for cls in vars(events).values() if inspect.isclass(cls) and issubclass(cls, NodeEvent) and cls is not NodeEvent
]
# The fields of each event as the core sends them.
FIELDS: dict[str, dict[str, Any]] = {
    "PeerConnected": {"peer": ROW},
    "PeerDisconnected": {"peer_id": P, "wallet": W, "reason": "revoked"},
    "PeerRefused": {"peer_id": P, "wallet": None, "direction": "outbound", "reason": "not-listed", "count": 3},
    "Ready": {"database": None},
    "NotReady": {"database": "a"},
    "WalletRevoked": {"wallet": W},
    "WalletsChanged": {"database": "a", "added": 1, "removed": 2, "total": 3},
    "RegistryFailed": {"database": "a", "error": "no answer", "failures": 2, "retry_in": 4.0},
    "RegistryStale": {"database": "a", "age": 901.0},
    "MessageDropped": {"topic": "t", "author": P, "reason": "json", "count": 1},
    "QueueOverflow": {"topic": "t", "count": 9},
    "ListenAddress": {"address": "/ip4/127.0.0.1/tcp/4002"},
    "ReachabilityChanged": {"reachability": "public", "addresses": ("/ip4/192.0.2.1/tcp/4002",)},
    "DuplicateIdentity": {"address": "/ip4/192.0.2.1/tcp/4002"},
}


def test_who_is_refused_by_its_address_has_no_name() -> None:
    """It could not say yet who it is."""
    event = from_core("PeerRefused", {**FIELDS["PeerRefused"], "peer_id": None})
    assert isinstance(event, PeerRefused)
    assert (event.peer_id, event.wallet) == (None, None)


def refused(number: int) -> PeerRefused:
    """Make a noisy event."""
    return PeerRefused(peer_id=KEY.peer_id, wallet=None, direction="inbound", reason="not-listed", count=number)


def dropped_message(number: int) -> MessageDropped:
    """Make a noisy event."""
    return MessageDropped(topic="t", author=None, reason="json", count=number)


def overflow(number: int) -> QueueOverflow:
    """Make a noisy event."""
    return QueueOverflow(topic="t", count=number)


def listening(number: int) -> ListenAddress:
    """Make an event that is not noisy."""
    return ListenAddress(address=str(number))


def test_every_event_of_the_core_has_its_class() -> None:
    """The events here are those of the core, by name."""
    assert {cls.__name__ for cls in CLASSES} == set(FIELDS)
    source = Path(__file__).parents[2] / "rust" / "core" / "src" / "events.rs"
    if source.exists():
        body = source.read_text().split("pub enum NodeEvent {")[1].split("\n}\n")[0]
        assert set(re.findall(r"^    (\w+) \{", body, re.MULTILINE)) == set(FIELDS)


@pytest.mark.parametrize("name", FIELDS)
def test_events_of_the_core(name: str) -> None:
    """An event has exactly the fields that the core sends."""
    event = from_core(name, FIELDS[name])
    assert type(event).__name__ == name
    assert {field.name for field in dataclasses.fields(event)} == set(FIELDS[name])
    for field, value in FIELDS[name].items():
        if field != "peer":
            assert getattr(event, field) == value


@pytest.mark.parametrize("cls", [Peer, *CLASSES])
def test_events_are_plain_values(cls: type[NodeEvent]) -> None:
    """Events are documented, frozen, without dictionary, and made by keyword."""
    parameters = cls.__dataclass_params__  # type: ignore[attr-defined]
    assert parameters.frozen
    assert cls.__doc__
    assert not cls.__doc__.startswith(cls.__name__)
    assert "__slots__" in vars(cls)
    assert all(field.kw_only for field in dataclasses.fields(cls))


def test_text_becomes_identities() -> None:
    """Wallets, peer ids and authors of an event are of their types; what is unknown stays None."""
    gone = from_core("PeerDisconnected", FIELDS["PeerDisconnected"])
    assert isinstance(gone, events.PeerDisconnected)
    assert (type(gone.peer_id), type(gone.wallet)) == (PeerId, Wallet)
    message = from_core("MessageDropped", FIELDS["MessageDropped"])
    assert isinstance(message, MessageDropped)
    assert type(message.author) is PeerId
    assert dataclasses.replace(message, author=None).author is None
    stranger = from_core("PeerRefused", FIELDS["PeerRefused"])
    assert isinstance(stranger, PeerRefused)
    assert stranger.wallet is None


def test_a_peer_has_typed_fields() -> None:
    """A peer has its identities, addresses, and the moment it came in UTC."""
    event = from_core("PeerConnected", FIELDS["PeerConnected"])
    assert isinstance(event, PeerConnected)
    assert event.peer == Peer(
        peer_id=KEY.peer_id,
        wallet=KEY.wallet,
        addresses=("/ip4/203.0.113.7/tcp/4002",),
        direction="inbound",
        transport="quic",
        connected_at=datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=UTC),
        agent="depinmesh/0.1.0",
        rtt=None,
    )
    assert (type(event.peer.peer_id), type(event.peer.wallet)) == (PeerId, Wallet)


async def test_events_come_in_order() -> None:
    """A stream gives events in the order in which they happened, noisy ones among the others."""
    stream = EventStream[NodeEvent]()
    sent: list[NodeEvent] = [listening(1), refused(1), listening(2), overflow(1), dropped_message(1), listening(3)]
    for event in sent:
        stream._put(event)
    assert await waiting_in(stream) == sent
    assert stream.dropped == 0


async def test_kinds_filter() -> None:
    """A stream with kinds has events of these classes only."""
    stream = EventStream(Ready, NotReady)
    for event in (listening(1), Ready(database=None), refused(1), NotReady(database="a")):
        stream._put(event)
    assert await waiting_in(stream) == [Ready(database=None), NotReady(database="a")]


@pytest.mark.parametrize("kind", [int, "Ready", Ready(database=None), None])
def test_kinds_are_event_classes(kind: Any) -> None:
    """A filter that is not a class of events is a TypeError."""
    with pytest.raises(TypeError):
        EventStream(kind)


async def test_the_oldest_is_dropped() -> None:
    """1,024 events are kept; then the oldest gives way and is counted."""
    stream = EventStream[NodeEvent]()
    for number in range(1030):
        stream._put(listening(number))
    assert stream.dropped == 6
    assert await waiting_in(stream) == [listening(number) for number in range(6, 1030)]


@pytest.mark.parametrize("noise", [refused, dropped_message, overflow])
async def test_noise_pushes_out_nothing_else(noise: Any) -> None:
    """Noisy events never push out the others, and give way to them."""
    stream = EventStream[NodeEvent]()
    for number in range(1000):
        stream._put(listening(number))
    for number in range(5000):
        stream._put(noise(number))
    assert stream.dropped == 5000 - 24
    for number in range(1000, 1024):
        stream._put(listening(number))
    stream._put(noise(0))
    assert stream.dropped == 5001
    assert await waiting_in(stream) == [listening(number) for number in range(1024)]


async def test_the_newest_noise_is_kept() -> None:
    """Among noisy events the oldest gives way."""
    stream = EventStream[NodeEvent]()
    for number in range(1025):
        stream._put(refused(number))
    assert (await waiting_in(stream))[0] == refused(1)


async def test_waiting_for_an_event() -> None:
    """An iteration waits for the next event."""
    stream = EventStream[NodeEvent]()
    waiting = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    assert not waiting.done()
    stream._put(listening(1))
    assert await waiting == listening(1)


async def test_cancelling_a_wait_loses_nothing() -> None:
    """A wait that is cancelled in the moment of an event leaves it to the next wait."""
    stream = EventStream[NodeEvent]()
    waiting = asyncio.create_task(anext(stream))
    await asyncio.sleep(0)
    stream._put(listening(1))
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await anext(stream) == listening(1)


async def test_two_readers_share_a_stream() -> None:
    """Of two iterations over one stream each event goes to one."""
    stream = EventStream[NodeEvent]()
    readers = [asyncio.create_task(anext(stream)) for _ in range(2)]
    await asyncio.sleep(0)
    stream._put(listening(1))
    await asyncio.sleep(0.01)
    assert sum(reader.done() for reader in readers) == 1
    stream._put(listening(2))
    assert {event.address for event in await asyncio.gather(*readers) if isinstance(event, ListenAddress)} == {"1", "2"}


async def test_the_node_closes() -> None:
    """When the node has closed, waiting iterations end, after what still waits was taken."""
    stream = EventStream[NodeEvent]()
    waiting = [asyncio.create_task(anext(stream, None)) for _ in range(2)]
    await asyncio.sleep(0)
    stream._end()
    assert await asyncio.gather(*waiting) == [None, None]
    stream._put(listening(1))
    assert await anext(stream, None) is None


async def test_the_node_fails() -> None:
    """When the node has failed, an iteration raises that, after what still waits was taken."""
    stream = EventStream[NodeEvent]()
    stream._put(listening(1))
    stream._end(CoreError("the core has ended"))
    assert await anext(stream) == listening(1)
    for _ in range(2):
        with pytest.raises(CoreError, match="the core has ended"):
            await anext(stream)


async def test_closing_a_stream() -> None:
    """close ends the iteration at once, drops what waits, and may be called again."""
    stream = EventStream[NodeEvent]()
    stream._put(listening(1))
    stream.close()
    stream.close()
    assert [event async for event in stream] == []


async def test_a_stream_is_a_context_manager() -> None:
    """A stream closes at the end of its block, plain or async."""
    with EventStream[NodeEvent]() as stream:
        stream._put(listening(1))
    assert await anext(stream, None) is None
    async with EventStream[NodeEvent]() as stream:
        stream._put(listening(1))
    assert await anext(stream, None) is None
