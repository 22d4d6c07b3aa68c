"""NATS with a signature: two nats-py clients of one nats-server over mutual TLS, each event signed with Ed25519.

The receiver starts the server, which has no core of its own, and what it uses is counted as part of the price.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import ssl
import subprocess
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import nats

from benches.peers.signed import AUTHOR, Signer, credentials
from benches.support.peer import (
    LOOK,
    STALLED,
    Credit,
    Events,
    Received,
    Usage,
    Window,
    free_port,
    on_schedule,
    options,
    say,
)

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from nats.aio.client import Client
    from nats.aio.msg import Msg

SUBJECT = "bench.events"
SERVER = os.environ.get("NATS_SERVER", "nats-server")


@contextmanager
def broker(given: Namespace, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server that wants to see the certificate of each client."""
    authority, certificate, key = credentials(Path(given.credit).parent)
    files = ("--tlscacert", str(authority), "--tlscert", str(certificate), "--tlskey", str(key))
    quiet = subprocess.DEVNULL
    command = [SERVER, "--addr", "127.0.0.1", "--port", str(port), "--tlsverify", *files]
    with subprocess.Popen(command, stdout=quiet, stderr=quiet) as server:
        os.sched_setaffinity(server.pid, range(os.cpu_count() or 1))
        try:
            yield server
        finally:
            server.kill()


async def client(given: Namespace, address: str) -> Client:
    """Connect; a server that is just starting is tried again."""
    authority, certificate, key = credentials(Path(given.credit).parent)
    context = ssl.create_default_context(cafile=str(authority))
    context.load_cert_chain(certificate, key)
    until = monotonic() + STALLED
    while True:
        try:
            return await nats.connect(address, tls=context, allow_reconnect=False, error_cb=_unheard)
        except OSError:
            if monotonic() > until:
                raise
            await asyncio.sleep(LOOK)


async def _unheard(error: Exception) -> None:
    """Say nothing: what matters is raised too."""


async def receive(given: Namespace) -> None:
    """Verify and decode each event in the callback, and tell how far it is."""
    address = f"tls://127.0.0.1:{(port := free_port())}"
    signer, ended = Signer(), asyncio.Event()
    with broker(given, port) as server:
        opened = await client(given, address)
        received = Received(Credit(given.credit), given.count, given.warmup, latency=given.latency, broker=server.pid)

        async def take(message: Msg) -> None:
            event = json.loads(signer.verified(message.data))
            if received.add(event["message"]["t"]):
                ended.set()

        await opened.subscribe(SUBJECT, cb=take, pending_msgs_limit=-1, pending_bytes_limit=-1)
        await opened.flush()
        versions = {name: version(name) for name in ("nats-py", "pynacl")}
        say("listening", address=address, versions={**versions, "nats-server": str(opened.connected_server_version)})
        await ended.wait()
        received.say()
        await asyncio.sleep(given.linger)
        await opened.close()


async def send(given: Namespace) -> None:
    """Sign and publish each event, as fast as the window allows or on a schedule."""
    began = monotonic()
    opened = await client(given, given.address)
    say("connected", ms=(monotonic() - began) * 1e3)
    signer, events = Signer(), Events(AUTHOR, given.size)
    window = Window(Credit(given.credit), given.window)

    async def put(due: int) -> None:
        await opened.publish(SUBJECT, signer.signed(events.event(window.sent, due)))
        window.sent += 1

    async def fast(total: int) -> None:
        while (room := window.room(total)) is not None:
            for _ in range(room):
                await put(0)
            await asyncio.sleep(LOOK)

    await fast(given.warmup)
    usage = Usage()
    if given.rate:
        loop = asyncio.get_running_loop()

        def now(due: int) -> None:
            asyncio.run_coroutine_threadsafe(put(due), loop)

        await asyncio.to_thread(on_schedule, given.rate, given.seconds, now)
        await fast(window.sent)
    else:
        await fast(given.warmup + given.count)
    say("sent", **usage.until_now(window.sent - given.warmup))
    await asyncio.sleep(given.linger)
    await opened.close()


if __name__ == "__main__":
    arguments = options()
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # TLS over asyncio warns whenever a link ends
    asyncio.run({"recv": receive, "send": send}[arguments.role](arguments))
