"""What happens on a node, one class for each kind of event, as `node.events()` gives them."""

# _trusted skips what the core has checked

import asyncio
import contextlib
import copy
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeAlias, TypeVar

from depinmesh.errors import WrongLoopError
from depinmesh.identity import PeerId, Wallet
from depinmesh.status import Reachability

if TYPE_CHECKING:
    from depinmesh._core import PeerRow

Direction: TypeAlias = Literal["inbound", "outbound"]
DisconnectReason: TypeAlias = Literal["closed", "timeout", "revoked", "trimmed", "reset"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A connected peer, as it was when this was made."""

    peer_id: PeerId
    wallet: Wallet
    addresses: tuple[str, ...]
    """Where its connections lead, as seen from here, one multiaddr for each; not necessarily where it listens."""
    direction: Direction
    """`inbound`: the peer dialled us."""
    transport: Literal["quic", "tcp", "relay"]
    connected_at: datetime
    """When the connection was opened, in UTC."""
    agent: str
    """What the peer calls its software; depinmesh says `depinmesh/<version>`."""
    rtt: float | None
    """Round trip of the last ping in seconds; `None` before the first."""

    @classmethod
    def _from_row(cls, row: "PeerRow") -> Self:
        peer_id, wallet, addresses, direction, transport, connected_at, agent, rtt = row
        return cls(
            peer_id=PeerId._trusted(peer_id),
            wallet=Wallet._trusted(wallet),
            addresses=tuple(addresses),
            direction=direction,  # type: ignore[arg-type]  # the core knows these words only
            transport=transport,  # type: ignore[arg-type]  # the core knows these words only
            connected_at=datetime.fromtimestamp(connected_at, UTC),
            agent=agent,
            rtt=rtt,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeEvent:
    """Base of all node events. In every class, `database` is a name, and `None` there means the whole node."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerConnected(NodeEvent):
    """A peer passed the gate and has been identified; `node.peers()` has it from now on."""

    peer: Peer


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerDisconnected(NodeEvent):
    """The last connection to a peer ended."""

    peer_id: PeerId
    wallet: Wallet
    reason: DisconnectReason


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerRefused(NodeEvent):
    """A gate refused a peer, or ours was refused by it (`refused-by-peer`)."""

    peer_id: PeerId | None
    """`None`: it was refused by its address, before it could say who it is (`too-many-from-address`)."""
    wallet: Wallet | None
    """`None`: the peer has no Ed25519 key, its peer id then has no `.wallet`; or there is no peer id."""
    direction: Direction
    reason: str
    """Why, such as `not-listed`."""
    count: int
    """How often within the second that this event stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready(NodeEvent):
    """The first peer is connected: any for the node, one of its own list for a database."""

    database: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotReady(NodeEvent):
    """The last peer is gone: any for the node, one of its own list for a database."""

    database: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletRevoked(NodeEvent):
    """A wallet left the last list that had it; its connections are being closed, unless `gate.revocation` is `keep`."""

    wallet: Wallet


@dataclass(frozen=True, slots=True, kw_only=True)
class WalletsChanged(NodeEvent):
    """A new list took effect. The numbers are wallets."""

    database: str
    added: int
    removed: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryFailed(NodeEvent):
    """A registry call failed; the last good list stays."""

    database: str
    error: str
    failures: int
    """How many calls have failed in a row."""
    retry_in: float
    """Seconds until the next call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryStale(NodeEvent):
    """The last good list is older than `gate.max_stale`: nobody new is admitted, those inside stay."""

    database: str
    age: float
    """Age of the list in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageDropped(NodeEvent):
    """A received message was not delivered, or one of ours could not be sent."""

    topic: str
    """Its name; empty where copies of ours to a slow peer were dropped (`peer-too-slow`), whatever their topics."""
    author: PeerId | None
    """Who signed it, where that is known."""
    reason: str
    count: int
    """How many within the second that this event stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueOverflow(NodeEvent):
    """A subscription did not take its events fast enough and lost some."""

    topic: str
    count: int
    """How many events within the second that this one stands for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenAddress(NodeEvent):
    """The node listens on one more address."""

    address: str
    """The address as a multiaddr."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReachabilityChanged(NodeEvent):
    """Whether others can connect to the node directly, or where, is known or has changed."""

    reachability: Reachability
    addresses: tuple[str, ...]
    """Public addresses beyond those it listens on, as multiaddrs: mapped by the router, or tried by a peer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplicateIdentity(NodeEvent):
    """Another host has the key of this node, so its peers take the two for one. Give each node a wallet of its own."""

    address: str
    """Where it answered or came from, as a multiaddr."""


NOISY = (PeerRefused, MessageDropped, QueueOverflow)
"""Events that strangers and load can cause in any number: they never push out the others."""

_CLASSES: dict[str, type[NodeEvent]] = {
    cls.__name__: cls
    for cls in (
        PeerConnected,
        PeerDisconnected,
        PeerRefused,
        Ready,
        NotReady,
        WalletRevoked,
        WalletsChanged,
        RegistryFailed,
        RegistryStale,
        MessageDropped,
        QueueOverflow,
        ListenAddress,
        ReachabilityChanged,
        DuplicateIdentity,
    )
}
_CONVERT: dict[str, Callable[[Any], object]] = {
    "peer": Peer._from_row,
    "peer_id": PeerId._trusted,
    "author": PeerId._trusted,
    "wallet": Wallet._trusted,
}


def from_core(name: str, fields: Mapping[str, Any]) -> NodeEvent:
    """Make the event that the core names; plain text becomes wallets and peer ids."""
    converted = {
        key: _CONVERT[key](value) if key in _CONVERT and value is not None else value for key, value in fields.items()
    }
    return _CLASSES[name](**converted)


E_co = TypeVar("E_co", bound=NodeEvent, covariant=True)

_KEPT = 1024


class EventStream(Generic[E_co]):
    """Node events from the moment the stream was made, oldest first.

    An async iterator, and a context manager that closes it. At most 1,024 events wait; then the oldest is dropped and
    counted in `dropped`. `PeerRefused`, `MessageDropped` and `QueueOverflow` give way first. The iteration ends when
    the node has closed and everything was taken, and at once after `close`; after a failure of the node it raises that.
    Cancelling a wait loses no event.

        async with asyncio.timeout(10):
            async for event in node.events(PeerConnected):
                print(event.peer.wallet)
    """

    def __init__(self, *kinds: type[E_co]) -> None:
        for kind in kinds:
            if not issubclass(kind, NodeEvent):
                raise TypeError(f"node events are filtered by their classes, not by {kind!r}")
        self._kinds: tuple[type[NodeEvent], ...] = kinds or (NodeEvent,)
        # Each with its number, so that both are read in the order of what happened.
        self._events: deque[tuple[int, E_co]] = deque()
        self._noise: deque[tuple[int, E_co]] = deque()
        self._number = 0
        self._dropped = 0
        self._ended = False
        self._failure: BaseException | None = None
        self._wake = asyncio.Event()
        self._node: weakref.ref[object] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        """That of the node, once it has been started."""
        self._waits_in: asyncio.AbstractEventLoop | None = None
        """That of who reads before."""

    @property
    def dropped(self) -> int:
        """How many events were dropped because nobody took them."""
        return self._dropped

    def close(self) -> None:
        """End the stream; what waits in it is gone. Closing again does nothing."""
        self._events.clear()
        self._noise.clear()
        self._end()

    def _put(self, event: NodeEvent) -> None:
        """Take an event of the node, if it is of these kinds."""
        if self._ended or not isinstance(event, self._kinds):
            return
        noisy = isinstance(event, NOISY)
        if len(self._events) + len(self._noise) >= _KEPT:
            self._dropped += 1
            if self._noise:
                self._noise.popleft()
            elif noisy:
                return
            else:
                self._events.popleft()
        self._number += 1
        queue = self._noise if noisy else self._events
        queue.append((self._number, event))  # type: ignore[arg-type]  # it is of these kinds
        self._wake.set()

    def _end(self, failure: BaseException | None = None) -> None:
        """Let the iteration end when everything was taken: the node has closed, or has failed with this."""
        self._ended = True
        self._failure = failure
        self._wake.set()

    def _follow(self, node: object) -> None:
        """End with the node, also when that is collected: it knows its streams no longer by then."""
        own = weakref.ref(self)

        def gone(_: object) -> None:
            if (stream := own()) is not None:
                stream._abandon()

        self._node = weakref.ref(node, gone)

    def _abandon(self) -> None:
        loop = self._loop or self._waits_in
        if self._ended:
            return
        if loop is None:
            self._end()
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(self._end)

    def __aiter__(self) -> Self:
        """Return itself: two loops over one stream share its events."""
        return self

    async def __anext__(self) -> E_co:
        """Wait for the next event. `WrongLoopError`: not in the loop that started the node."""
        if not self._ended and self._loop is not None and self._loop is not asyncio.get_running_loop():
            raise WrongLoopError("this node belongs to the event loop that started it")
        while not (self._events or self._noise):
            if self._failure is not None:
                raise copy.copy(self._failure)  # each reader its own, as raising adds the traceback
            if self._ended:
                raise StopAsyncIteration
            self._wake.clear()
            self._waits_in = asyncio.get_running_loop()
            await self._wake.wait()
        oldest = min(filter(None, (self._events, self._noise)), key=lambda waiting: waiting[0][0])
        return oldest.popleft()[1]

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the stream."""
        self.close()

    async def __aenter__(self) -> Self:
        """Return itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the stream."""
        self.close()
