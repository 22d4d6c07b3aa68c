"""Ends a process that has used a node, in the way that the first argument names.

Without an argument it is the parent of one process for each line that it is given, which names a way, and files for
stdout and stderr. Each ends as any process does, but has nothing to import first. It says their ids and exit codes.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import os
import sys
import threading
import warnings
from typing import TYPE_CHECKING

from depinmesh import Database, ForkedProcessError, Keypair, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

kept: list[object] = []
"""What lives until the interpreter goes."""


async def opened() -> Database:
    """Open a node that has everything: a registry in a thread, a handler, a waiting task."""
    key = Keypair.generate()
    listen = {"hosts": ["127.0.0.1"], "quic_port": 0, "tcp_port": 0}
    db = await connect(private_key=key, authorized_wallets=lambda: [key.wallet], listen=listen)
    await db.subscribe("t", print)
    await db.publish("t", 1)
    return db


async def normal() -> None:
    db = await opened()
    await db.close()


async def exception() -> None:
    kept.append(await opened())
    raise LookupError("the program has failed")


async def sys_exit() -> None:
    db = await opened()
    try:
        sys.exit(3)
    finally:
        await db.close()


async def sys_exit_unclosed() -> None:
    kept.append(await opened())
    sys.exit(3)


async def unclosed() -> None:
    kept.append(await opened())


async def at_once() -> None:
    kept.append(await opened())
    os._exit(7)


def at_exit() -> None:
    """The last thing that the interpreter does is to close the node."""
    runner = asyncio.Runner()
    db = runner.run(opened())

    def leave() -> None:
        with runner:
            runner.run(db.close())

    atexit.register(leave)


def in_thread() -> None:
    """A loop in a thread, and the main thread ends while the node lives in it."""
    started = threading.Event()

    async def live() -> None:
        kept.append(await opened())
        started.set()
        await asyncio.Event().wait()

    threading.Thread(target=asyncio.run, args=(live(),), daemon=True).start()
    started.wait()


def thread_closed() -> None:
    """A loop in a thread from its beginning to its end."""
    thread = threading.Thread(target=asyncio.run, args=(normal(),))
    thread.start()
    thread.join()


def fork(after: Callable[[Database], None]) -> None:
    """Fork while a node runs; the child does something with it and leaves as any program does."""
    with asyncio.Runner() as runner:
        db = runner.run(opened())
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):  # newer Pythons advise against it
            child = os.fork()
        if child == 0:
            after(db)
            print("child", flush=True)
            sys.exit(5)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 5, status
        runner.run(db.publish("t", 2))  # the parent's is as it was
        runner.run(db.close())


def refused(db: Database) -> None:
    try:
        db.publish_nowait("t", 1)
    except ForkedProcessError:
        return
    raise AssertionError("the child could use its parent's node")


def run(main: Callable[[], Coroutine[object, object, None]]) -> Callable[[], None]:
    return lambda: asyncio.run(main())


WAYS: dict[str, Callable[[], None]] = {
    "normal": run(normal),
    "exception": run(exception),
    "sys.exit": run(sys_exit),
    "sys.exit unclosed": run(sys_exit_unclosed),
    "never closed": run(unclosed),
    "daemon thread": in_thread,
    "thread": thread_closed,
    "os._exit": run(at_once),
    "atexit": at_exit,
    "fork": lambda: fork(refused),
}


def next_copy() -> str:
    """Fork for each line, and return its way, in the copies alone."""
    while line := sys.stdin.readline():
        way, *files = json.loads(line)
        child = os.fork()
        if child == 0:
            for descriptor, file in enumerate(files, 1):
                os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT), descriptor)
            return str(way)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    sys.exit()


if __name__ == "__main__":
    WAYS[sys.argv[1] if len(sys.argv) > 1 else next_copy()]()
