"""Telling systemd how a node is: ready, alive, stopping. Without systemd it does nothing.

The protocol is that of sd_notify(3): lines of text in a datagram to the socket that `NOTIFY_SOCKET` names.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from depinmesh._tasks import to_the_end
from depinmesh.health import liveness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from depinmesh.node import Node

# Seconds between two lines of status.
_STATUS_EVERY = 10.0


class Notifier:
    """Sends to the service manager that started the process."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Take the place to send to, and the wish for a watchdog, from environment variables."""
        address = environment.get("NOTIFY_SOCKET", "")
        # A name that begins with @ is in the abstract namespace of Linux.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog = _watchdog(environment) if address else None
        """Seconds within which the watchdog wants to hear of us; None: there is no watchdog."""

    @property
    def is_wanted(self) -> bool:
        """Whether anybody listens."""
        return bool(self._address)

    def send(self, *lines: str) -> None:
        """Send lines such as `READY=1`. A service manager that does not listen is no reason to fail."""
        if self._address and hasattr(socket, "AF_UNIX"):
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)  # noqa: FBT003  # the name says it
                sender.sendto("\n".join(lines).encode(), self._address)


@asynccontextmanager
async def notifying(node: Node, environment: Mapping[str, str] = os.environ) -> AsyncIterator[None]:
    """Tell systemd that the node is ready, keep its watchdog content while it is alive, and say when it stops.

        async with Node(config) as node, notifying(node): ...

    The watchdog is fed from the event loop, and only while the core of the node works: a loop that is blocked, and a
    core that has failed, let systemd restart the process. A node without peers is alive.
    """
    notifier = Notifier(environment)
    if not notifier.is_wanted:
        yield
        return
    notifier.send("READY=1", _status(node))
    task = asyncio.get_running_loop().create_task(_keep_telling(notifier, node), name="depinmesh-systemd")
    try:
        yield
    finally:
        notifier.send("STOPPING=1", "STATUS=closing the node")
        task.cancel()
        await to_the_end(task)  # of the two cancellations that may come here, only the program's own is raised
        if not task.cancelled():
            task.result()


async def _keep_telling(notifier: Notifier, node: Node) -> None:
    pause = _STATUS_EVERY if notifier.watchdog is None else min(_STATUS_EVERY, notifier.watchdog / 3)
    while True:
        alive = notifier.watchdog is not None and all(check.ok for check in liveness(node))
        notifier.send(*(["WATCHDOG=1"] if alive else []), _status(node))
        await asyncio.sleep(pause)


def _status(node: Node) -> str:
    peers = len(node.peers())
    return f"STATUS={node.state}, {peers} peer{'' if peers == 1 else 's'}"


def _watchdog(environment: Mapping[str, str]) -> float | None:
    microseconds = environment.get("WATCHDOG_USEC", "")
    of_us = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 1e6 if of_us and microseconds.isdecimal() and int(microseconds) else None
