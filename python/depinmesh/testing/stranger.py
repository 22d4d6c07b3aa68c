"""A peer from outside: it speaks libp2p, has no gate, and asks nobody for permission."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from depinmesh import _core
from depinmesh.bootstrap import normalise_nodes
from depinmesh.identity import Keypair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from depinmesh.bootstrap import BootstrapNode
    from depinmesh.identity import PeerId, Wallet

# The stranger lives in a thread that knows no event loop, so it is looked at.
_LOOK = 0.02
_GOODBYE = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What came of a visit."""

    connected: int
    """Handshakes that ended well. Who dials sees one even when the gate of the other side is about to refuse it."""
    identified: int
    """Connections over which the node said who it is: it let the stranger in."""
    events_received: int
    """Events of others on the topic."""
    events_sent: int
    """Events that went out to at least one node."""
    events_published: int
    """Events that it tried to send, twenty a second."""
    ends: tuple[str, ...]
    """How dials and connections ended, a sentence each; the first 256 of them."""


class Stranger:
    """A raw libp2p peer (QUIC, TCP with Noise, GossipSub) to knock at nodes with, listed or not.

        visit = await Stranger().visit(db.node.bootstrap_entries(), "presence", seconds=1)
        assert visit.events_received == 0

    A test that a stranger gets nothing proves something only beside one in which the same key is listed, and gets it.
    """

    def __init__(self, keypair: Keypair | None = None) -> None:
        self._keypair = Keypair.generate() if keypair is None else keypair

    @property
    def wallet(self) -> Wallet:
        """Its wallet: listed, it is let in."""
        return self._keypair.wallet

    @property
    def peer_id(self) -> PeerId:
        """Its peer id."""
        return self._keypair.peer_id

    async def visit(
        self,
        addresses: Iterable[BootstrapNode | str],
        topic: str,
        *,
        database: str = "depin-network",
        seconds: float = 2.0,
        until: Callable[[Visit], bool] | None = None,
    ) -> Visit:
        """Knock at nodes, by each of their addresses, subscribe to the topic and publish there, then leave.

        Args:
            addresses: The nodes, as in `bootstrap_nodes`.
            topic: Name of the topic.
            database: Name of the database that it belongs to.
            seconds: How long the visit lasts.
            until: Ends the visit earlier, as soon as this is true of what came of it so far.
        """
        async with self._visiting(addresses, f"{database}_{topic}") as look:
            try:
                async with asyncio.timeout(seconds):
                    while until is None or not until(look()):  # noqa: ASYNC110  # a thread without a loop
                        await asyncio.sleep(_LOOK)
            except TimeoutError:
                pass
        return look()

    @asynccontextmanager
    async def _visiting(
        self, addresses: Iterable[BootstrapNode | str], full_topic: str
    ) -> AsyncIterator[Callable[[], Visit]]:
        core = _core.Stranger(self._keypair._secret, normalise_nodes(addresses), full_topic)

        def look() -> Visit:
            connected, identified, received, sent, published, ends, _ = core.report()
            return Visit(
                connected=connected,
                identified=identified,
                events_received=received,
                events_sent=sent,
                events_published=published,
                ends=tuple(ends),
            )

        try:
            yield look
        finally:
            core.leave()
            async with asyncio.timeout(_GOODBYE):
                while not core.report()[-1]:  # noqa: ASYNC110  # as above
                    await asyncio.sleep(_LOOK)
