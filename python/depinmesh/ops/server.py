"""The server: uvicorn in the event loop of the node, so that an answer shows that the loop is alive."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import logging
import socket
from time import monotonic
from typing import TYPE_CHECKING, Any, Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from depinmesh._tasks import to_the_end
from depinmesh.errors import ClosedError, ConfigError, ConfigProblem, ListenError, shown
from depinmesh.ops.pages import application

if TYPE_CHECKING:
    from collections.abc import Iterator

    from depinmesh.logs import Adapter
    from depinmesh.node import Node

_LARGEST_PORT = 65_535
# Operators, probes and scrapers come one by one.
_CONNECTIONS = 64
_KEEP_ALIVE = 5
_GRACE = 1
_SCARCE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
# Seconds until the next attempt to take a connection, and until the next word about it.
_AGAIN = 0.1
_SAY_AGAIN = 10.0


class OpsServer:
    """Health, metrics and status of a node over HTTP, as long as it is open.

        async with connect(config) as db, OpsServer(db.node, port=8081) as ops:
            print(ops.url)

    `/livez`, `/readyz` and `/startupz` answer 200 or 503, with `?verbose` a line for each check; `/metrics` is for
    Prometheus, `/status` a JSON document. All of them only read. There is no password and no TLS: on other hosts than
    loopback, let a firewall or a proxy decide who may read.
    """

    def __init__(self, node: Node, *, host: str = "127.0.0.1", port: int = 8081, min_peers: int = 1) -> None:
        """Make a server; it listens from `start` on.

        Args:
            node: Whose health, metrics and status it shows; it may be started later.
            host: IP address to listen on.
            port: TCP port; 0 takes any free one.
            min_peers: How many peers the node needs to be called ready.

        Raises:
            ConfigError: An argument cannot be used.
        """
        self._host, self._port = _check(host, port, min_peers)
        self._node = node
        self._min_peers = min_peers
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it answers, such as `http://127.0.0.1:8081`. Before the start `ClosedError`."""
        if self._server is None:
            raise ClosedError("the ops server was not started")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    async def start(self) -> None:
        """Listen. When it raises or is cancelled, nothing is left.

        Raises:
            ListenError: Another process has the port, or the address is not one of this machine.
            ClosedError: It was started before.
        """
        if self._server is not None:
            raise ClosedError("an ops server starts once: make a new one")
        listener = _listen(self._host, self._port)
        self._port = listener.getsockname()[1]
        app = application(self._node, self._min_peers, local=ipaddress.ip_address(self._host).is_loopback)
        # Its loggers are of the whole process, which may have a uvicorn of its own: they stay as they are.
        options = uvicorn.Config(
            app,
            date_header=False,
            lifespan="off",
            http=_Protocol,
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=_GRACE,
            timeout_keep_alive=_KEEP_ALIVE,
            ws="none",
        )
        self._server = _Server(options, self._node._log)
        self._task = asyncio.get_running_loop().create_task(self._server.serve([listener]), name="depinmesh-ops")
        try:
            await self._server.answers(self._task)
        except BaseException:
            try:
                await self.close()
            finally:
                listener.close()
            raise

    async def close(self) -> None:
        """End it; requests under way get a second. Closing again does nothing. Cancelled, it is closed all the same."""
        if self._server is None or self._task is None:
            return
        self._server.should_exit = True
        await to_the_end(self._task)
        if not self._task.cancelled():  # as a loop does that ends
            self._task.result()

    async def __aenter__(self) -> Self:
        """Start it."""
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.close()


class _Protocol(H11Protocol):
    """Gives the place of the oldest connection to a new one when there are too many.

    uvicorn would keep a connection without a request for ever, and answer everybody else 503: whoever opens some and
    stays silent would make a probe of `/livez` fail, and so have a healthy node restarted.
    """

    opened = 0.0

    def __init__(self, *args: Any, **options: Any) -> None:
        """Log no requests: probes and scrapers come all the time."""
        super().__init__(*args, **options)
        self.access_log = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, and end the oldest one if that is one too many."""
        super().connection_made(transport)
        self.opened = monotonic()
        if len(self.connections) > _CONNECTIONS:
            _end_oldest(self.connections)


def _end_oldest(connections: set[Any]) -> bool:
    """Return whether there was one."""
    oldest = min((one for one in connections if isinstance(one, _Protocol)), key=_opened, default=None)
    if oldest is None:
        return False
    connections.discard(oldest)  # now: others may come before the loop tells of its end
    oldest.transport.abort()
    return True


def _opened(connection: _Protocol) -> float:
    return connection.opened


class _Server(uvicorn.Server):
    """Leaves the signals to the program that it is a guest of, and takes connections itself.

    Where descriptors are used up, asyncio would log a traceback and plan an attempt for each place in the backlog, and
    each attempt would do so again: a million lines, and a loop that has no time to answer.
    """

    def __init__(self, config: uvicorn.Config, log: Adapter) -> None:
        super().__init__(config)
        self._log = log
        self._said = -_SAY_AGAIN
        self._accepting: list[asyncio.Task[None]] = []

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections from now on."""
        loop = asyncio.get_running_loop()
        for listener in sockets or ():
            listener.settimeout(0)
            self._accepting.append(loop.create_task(self._accept(listener), name="depinmesh-ops-accept"))
        await super().startup([])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more, and end those there are."""
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        await super().shutdown(sockets)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
                await loop.connect_accepted_socket(self._protocol, connection)
            except ConnectionAbortedError:  # it has gone before it was taken
                continue
            except OSError as error:
                self._tell(error)
                scarce = error.errno in _SCARCE and not _end_oldest(self.server_state.connections)
                await asyncio.sleep(_AGAIN if scarce else 0)  # a reset of one keeps no other waiting

    def _protocol(self) -> _Protocol:
        return _Protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    def _tell(self, error: OSError) -> None:
        if monotonic() - self._said >= _SAY_AGAIN:
            self._said = monotonic()
            self._log.log(logging.WARNING, "The ops server cannot take connections", {"error": error.strerror})

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def answers(self, task: asyncio.Task[None]) -> None:
        """Wait until it listens, or raise why it does not."""
        while not self.started:
            if task.done():
                task.result()
                raise ListenError("the ops server has ended at its start")
            await asyncio.sleep(0)


def _check(host: str, port: int, min_peers: int) -> tuple[str, int]:
    problems = []
    try:
        host = str(ipaddress.ip_address(host))
    except ValueError:
        problems.append(ConfigProblem("host", shown(host), "is not an IP address of this machine", "such as 127.0.0.1"))
    if type(port) is not int or not 0 <= port <= _LARGEST_PORT:
        problems.append(ConfigProblem("port", shown(port), "is not a port", f"0 to {_LARGEST_PORT}"))
    if type(min_peers) is not int or min_peers < 0:
        problems.append(ConfigProblem("min_peers", shown(min_peers), "is not a number of peers", "0 or more"))
    if problems:
        raise ConfigError.of(problems)
    return host, port


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        text = f"the ops server cannot listen on {host} port {port}: {error.strerror}; give another port, or 0 for any"
        raise ListenError(text, address=host, port=port) from error
