"""Real nodes on loopback, and waiting for what they do."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import random
import socket
import threading
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from depinmesh import Keypair, connect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    from depinmesh import Database, EventStream, Node, NodeState, Subscription, Wallet

T = TypeVar("T")

LISTEN = {"hosts": ["127.0.0.1"], "quic_port": 0, "tcp_port": 0}
"""Any free ports, reachable from this machine alone."""

WAIT = 15.0
"""Seconds that anything may take before a test fails: much more than it takes on a busy machine."""


def fields_of(key: Keypair, wallets: list[Wallet], **more: Any) -> dict[str, Any]:
    """Return what `connect` and `Node` need for a node on loopback; `more` comes on top."""
    return {"private_key": key, "authorized_wallets": wallets, "listen": LISTEN, **more}


def alone(**more: Any) -> dict[str, Any]:
    """Return the fields of a node that nobody else knows."""
    key = Keypair.generate()
    return fields_of(key, [key.wallet], **more)


@asynccontextmanager
async def mesh_of(n: int, **more: Any) -> AsyncIterator[list[Database]]:
    """Connect n nodes, each with each, on one static list."""
    keys = [Keypair.generate() for _ in range(n)]
    wallets = [key.wallet for key in keys]
    entries: list[str] = []
    async with AsyncExitStack() as stack:
        databases = []
        for key in keys:
            fields = fields_of(key, wallets, **{"bootstrap_nodes": list(entries), **more})
            database = await stack.enter_async_context(connect(**fields))
            databases.append(database)
            entries += database.node.bootstrap_entries()
        await eventually(lambda: all(len(database.peers()) == n - 1 for database in databases))
        yield databases


async def eventually(condition: Callable[[], object], within: float = WAIT) -> None:
    """Wait until the condition holds, and fail with its source when it does not in time."""
    try:
        async with asyncio.timeout(within):
            while not condition():  # noqa: ASYNC110  # whatever it is about tells nobody
                await asyncio.sleep(0.005)
    except TimeoutError:
        source = inspect.getsource(condition).strip() if inspect.isfunction(condition) else repr(condition)
        raise AssertionError(f"not within {within:g} s: {source}") from None


def free_ports() -> tuple[int, int]:
    """Return a UDP and a TCP port that nobody has now, and that nobody gets who takes any."""
    return free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM)


def free_port(kind: socket.SocketKind) -> int:
    """Return one of this kind."""
    while True:
        port = random.randrange(10_000, 32_768)  # below those that the system gives away
        with socket.socket(type=kind) as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@asynccontextmanager
async def mute() -> AsyncIterator[int]:
    """Listen over TCP, and answer nobody; gives the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


async def waiting_in(stream: EventStream[Any]) -> list[Any]:
    """Take what waits in a stream of node events, which ends with that; `close` would drop it."""
    stream._end()
    return [event async for event in stream]


async def soon(awaitable: Awaitable[T]) -> T:
    """Await it, and fail instead of hanging."""
    async with asyncio.timeout(WAIT):
        return await awaitable


async def heard(sender: Database, receiver: Database, topic: str) -> None:
    """Wait until the sender knows that the receiver subscribes to the topic."""
    await eventually(lambda: receiver.node.peer_id in sender.topic_peers(topic))


def received(subscription: Subscription) -> int:
    """Return how many events it has had, whatever became of them."""
    stats = subscription.stats
    return stats.delivered + stats.dropped + stats.pending


def other_tasks() -> set[asyncio.Task[Any]]:
    """Return the tasks of the loop beside the present one."""
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


def threads_of_ours() -> list[str]:
    """Return the names of the threads of depinmesh, Python's and the core's; those of logging stay a moment longer."""
    python = [one.name for one in threading.enumerate() if one.name.startswith("depinmesh") and "logs" not in one.name]
    return python + [name for name in _native_threads() if name.startswith("depinmesh-net")]


def open_sockets() -> set[str]:
    """Return the sockets that the process has open."""
    return {name for name in _descriptors() if name.startswith("socket:")}


def state_of(node: Node) -> NodeState:
    """Return the state; a property would be narrowed by the type checker."""
    return node.state


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """Check that what runs in the block leaves no task, thread or socket."""
    sockets = open_sockets()
    yield
    gc.collect()
    assert other_tasks() == set()
    await eventually(lambda: threads_of_ours() == [])
    await eventually(lambda: open_sockets() <= sockets)


def _native_threads() -> Iterator[str]:
    for comm in Path("/proc/self/task").glob("*/comm"):
        with contextlib.suppress(OSError):  # it has just ended
            yield comm.read_text().strip()


def _descriptors() -> list[str]:
    names: list[str] = []
    folder = Path("/proc/self/fd")
    for descriptor in folder.iterdir() if folder.exists() else ():  # other systems than Linux do not say
        with contextlib.suppress(OSError):  # that of the listing itself
            names.append(str(descriptor.readlink()))
    return names
