"""A node: one libp2p host, and the databases on it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import copy
import functools
import logging
import warnings
import weakref
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar, overload

from depinmesh import _observing
from depinmesh._arguments import registry, seconds, time_limit
from depinmesh._closing import Closing
from depinmesh._handlers import HandlerErrors
from depinmesh._opening import Connecting
from depinmesh._session import Session
from depinmesh._tasks import limit, to_the_end
from depinmesh.bootstrap import BootstrapNode
from depinmesh.config import merged
from depinmesh.database import Database
from depinmesh.errors import ClosedError, CoreError, MeshError
from depinmesh.events import EventStream, NodeEvent, Peer, from_core
from depinmesh.gate import GateView, wallet_of
from depinmesh.logs import adapt
from depinmesh.status import Metric, NodeState, Status

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Unpack

    from depinmesh.config import Config, ConfigFields
    from depinmesh.identity import PeerId, Wallet
    from depinmesh.wallets import WalletSource

E = TypeVar("E", bound=NodeEvent)


class Node:
    """One host in the mesh: its identity, its addresses, its peers, and any number of databases.

        async with Node(config) as node, node.database("rooms") as rooms, node.database("load") as load: ...

    It is one trust domain: whoever is on the list of one of its databases may connect. It starts once, and its
    coroutines belong to the event loop that started it.
    """

    def __init__(self, config: Config | None = None, /, **fields: Unpack[ConfigFields]) -> None:
        self._state = NodeState.NEW
        self._config = merged(config, fields)
        self._log = adapt(self._config.logger)
        self._context = contextvars.copy_context()
        self._session: Session | None = None
        self._failure: MeshError | None = None
        self._databases: list[Database] = []
        self._streams: weakref.WeakSet[EventStream[Any]] = weakref.WeakSet()
        self._handler_errors = HandlerErrors(self._log)
        self._started_at = 0.0
        self._closing = Closing(self._close)
        self._gate = GateView(self)

    @property
    def peer_id(self) -> PeerId:
        """The node's own peer id."""
        return self._config.private_key.peer_id

    @property
    def wallet(self) -> Wallet:
        """The node's own wallet."""
        return self._config.private_key.wallet

    @property
    def state(self) -> NodeState:
        """Where the node is in its life."""
        return self._state

    @property
    def addresses(self) -> list[str]:
        """Where the node listens, as multiaddrs; empty before the start."""
        return [] if self._session is None else self._session.core.addresses()

    @property
    def is_ready(self) -> bool:
        """Whether any peer is connected."""
        return self._session is not None and self._state is NodeState.RUNNING and self._session.core.is_ready(None)

    @property
    def gate(self) -> GateView:
        """Who may enter."""
        return self._gate

    async def start(self) -> None:
        """Start to listen and to look for peers. A start that fails or is cancelled leaves nothing running.

        Raises:
            ListenError: An address cannot be listened on.
            ClosedError: The node was started before.
        """
        if self._state is not NodeState.NEW:
            raise ClosedError(f"a node starts once, and this one is {self._state}: make a new one")
        self._state = NodeState.STARTING
        try:
            self._session = Session(self._config, self._context, self._log, self._on_event, self._on_stopped)
            for stream in list(self._streams):
                stream._loop = asyncio.get_running_loop()
            await self._session.start()
            self._running()  # it may have been closed, or have failed, in the same moment
        except BaseException:
            await self._give_up()
            raise
        self._state = NodeState.RUNNING
        self._started_at = monotonic()

    async def close(self, *, timeout: float = 10.0) -> None:
        """Close the node and its databases; nothing of it runs afterwards. Again it does nothing.

        It raises nothing but `ConfigError`, where `timeout` is no number of seconds. Events that were published are
        sent. Handlers that run may finish until `timeout` seconds have passed, then they are cancelled; a handler that
        calls this is not waited for. Events not yet taken are dropped, and counted.
        """
        timeout = seconds("timeout", timeout)
        if self._state is NodeState.NEW:
            self._state = NodeState.CLOSED
            self._end_all()  # streams of events may have been taken
        if self._state is NodeState.CLOSED:
            return
        if self._session is not None:
            self._session.pump.check()
        self._refuse_calls()
        await self._closing(timeout)

    async def __aenter__(self) -> Self:
        """Start it."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.close()

    def database(
        self, name: str | None = None, *, authorized_wallets: WalletSource | None = None
    ) -> Connecting[Database]:
        """Open a database on this node: `await` it, or enter it with `async with`.

        Args:
            name: Name of the database; by default that of the configuration.
            authorized_wallets: Who takes part in it; by default whom the configuration says.

        Raises:
            ConfigError: The name or the list cannot be used, or the node has a database of that name.
        """
        name = self._config.database if name is None else name
        source = self._config._wallets_of(name) if authorized_wallets is None else registry(authorized_wallets)
        return Connecting(functools.partial(self._attach, name, source), f"Node.database({name!r})")

    def peers(self) -> list[Peer]:
        """Return the connected peers."""
        return [] if self._session is None else [Peer._from_row(row) for row in self._session.core.peers(None)]

    def bootstrap_entries(self) -> list[str]:
        """Return where others reach this node, as entries for their bootstrap lists: `wallet@host:quic:tcp`.

        That is where `listen.announce` says. Without it: where on the Internet it has been reached or its router maps
        its ports, which is known some seconds after the start at the earliest, and then where it listens.
        """
        return _observing.bootstrap_entries(self)

    @overload
    def events(self) -> EventStream[NodeEvent]: ...
    @overload
    def events(self, *kinds: type[E]) -> EventStream[E]: ...
    def events(self, *kinds: type[E]) -> EventStream[E]:
        """Return the events of these classes, of all when none is named, that happen from now on."""
        stream = EventStream(*kinds)
        if self._state is not NodeState.NEW:
            self._running().pump.check()
            stream._loop = asyncio.get_running_loop()
        self._streams.add(stream)
        stream._follow(self)
        return stream

    async def wait_ready(self, timeout: float | None = None) -> None:
        """Wait until a peer is connected; after `timeout` seconds `MeshTimeoutError`."""
        session = self._running()
        session.pump.check()
        time_limit(timeout)
        if not session.core.is_ready(None):
            async with limit(timeout, "waiting for a peer"):
                await session.pump.call(session.core.wait_ready, None)

    def retry_bootstrap(self) -> None:
        """Ask the bootstrap nodes now, and not when their time has come."""
        self._running().core.retry_bootstrap()

    async def dial(self, address: BootstrapNode | str, *, timeout: float = 10.0) -> PeerId:
        """Connect to a peer and return its verified identity, at once when it is connected already.

        It does not matter which side's connection it is in the end. Cancelling is safe: nobody waits for the dial then.

        Args:
            address: A multiaddr, a bootstrap entry, or the peer id of a peer whose addresses are known.
            timeout: Seconds that it may take; then `MeshTimeoutError`.

        Raises:
            NotAuthorizedError: The gate of one side refused.
            DialError: Nobody could be reached there, no address is known, or the peer was hung up meanwhile.
            ConfigError, IdentityError: The text is no bootstrap entry or peer id; of a multiaddr it is a `DialError`.
            ConfigError: `timeout` is no number of seconds.
            TypeError: The address is neither text nor a `BootstrapNode`.
        """
        if not isinstance(address, str | BootstrapNode):
            raise TypeError(f"an address is text or a BootstrapNode, not {type(address).__name__}")
        return await self._running().dial(address, seconds("timeout", timeout))

    async def hang_up(self, peer: PeerId | Wallet | str) -> None:
        """Close all connections to a peer, and end the dials that wait for it.

        It is no ban: this node does not dial the peer by itself until it is found anew, and the peer may come back. To
        keep it out, take its wallet off the list. Returns when the peer is gone; a peer that is not connected is no
        error. Cancelling is safe, and takes nothing back.

        Raises:
            IdentityError: The text is neither a wallet nor a peer id.
        """
        session = self._running()
        await session.pump.call(session.core.hang_up, wallet_of(peer).peer_id)

    def status(self) -> Status:
        """Return what there is to say about the node."""
        return _observing.status(self)

    def metrics(self) -> list[Metric]:
        """Return the counters, gauges and histograms of the node; `docs/metrics.md` lists them."""
        return _observing.metrics(self)

    def __repr__(self) -> str:
        """Show identity and state; without an identity in the traceback of a wrong configuration."""
        return f"<Node {self.peer_id if hasattr(self, '_config') else '-'} {self._state}>"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        """Refuse to be copied or pickled: the end of a copy would be that of the node."""
        raise TypeError("a Node cannot be copied or pickled")

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        """Warn when it was never closed, and stop it."""
        session: Session | None = getattr(self, "_session", None)
        if session is None or self._state is NodeState.CLOSED or session.pump.forked:
            return
        session.abandon()
        _warn(f"unclosed node {self.peer_id}", ResourceWarning, stacklevel=2, source=self)

    def _running(self) -> Session:
        """Return what runs, or raise why nothing does."""
        if self._session is not None and self._state in (NodeState.RUNNING, NodeState.STARTING):
            return self._session
        if self._state is NodeState.FAILED and self._failure is not None:
            raise copy.copy(self._failure)  # each gets a traceback of its own
        raise ClosedError("the node was not started" if self._state is NodeState.NEW else "the node is closed")

    async def _attach(self, name: str, source: object, *, owns_node: bool = False) -> Database:
        session = self._running()
        database = Database(self, session, await session.attach(name, source), name, owns_node=owns_node)
        self._databases.append(database)
        return database

    def _on_event(self, name: str, fields: dict[str, Any]) -> None:
        if self._streams:
            event = from_core(name, fields)
            for stream in list(self._streams):
                stream._put(event)

    def _on_stopped(self, failure: MeshError | None) -> None:
        if self._state in (NodeState.CLOSING, NodeState.CLOSED):
            return
        self._failure = failure or CoreError("the core has ended")
        if self._state is NodeState.RUNNING:  # what keeps a node from starting is raised there
            self._log.log(logging.ERROR, "The node has failed", {"peer_id": self.peer_id, "error": self._failure})
        self._state = NodeState.FAILED
        self._end_all(self._failure)

    def _end_all(self, failure: MeshError | None = None) -> None:
        for database in self._databases:
            database._end(failure)
        for stream in list(self._streams):
            stream._end(failure)
        self._streams.clear()

    def _refuse_calls(self) -> None:
        if self._state is not NodeState.CLOSING:
            self._state = NodeState.CLOSING
            self._end_all()
            if self._session is not None:
                self._session.pump.end_operations()

    async def _give_up(self) -> None:
        """Close after a start that did not succeed, to the end, whoever is cancelled meanwhile."""
        self._refuse_calls()
        await to_the_end(asyncio.ensure_future(self._closing(0.0)))

    async def _close(self, timeout: float) -> None:
        until = monotonic() + timeout
        try:
            if self._session is not None:
                await self._session.close(timeout)
            calls = {call for database in self._databases for call in database._calls}
            self._report_left(await self._closing.finish(calls, max(0.0, until - monotonic())))
        finally:
            self._state = NodeState.CLOSED
            self._databases.clear()

    def _forget(self, database: Database) -> None:
        with contextlib.suppress(ValueError):  # the node may have been closed first
            self._databases.remove(database)

    def _report_left(self, handlers: int) -> None:
        if handlers:
            self._log.log(logging.WARNING, "Handlers go on after they were cancelled", {"count": handlers})
