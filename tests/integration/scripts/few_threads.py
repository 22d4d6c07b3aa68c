"""Starts a node, or reads its registry, where the process may have no more threads; prints what came of it."""

from __future__ import annotations

import asyncio
import os
import resource
import sys

from depinmesh import Keypair, MeshError, Node, RegistryError, Wallet

LOCAL = {"hosts": ["127.0.0.1"], "quic_port": 0, "tcp_port": 0}
KEEPS_THREADS = 10.5
"""Seconds after which the core ends a thread that has nothing to do."""
KEY = Keypair.generate()
LISTED = [KEY.wallet, *(Keypair.generate().wallet for _ in range(100))]
HARD = resource.getrlimit(resource.RLIMIT_NPROC)[1]


async def wallets() -> list[Wallet]:
    return list(LISTED)


def allow(threads: int) -> None:
    """Let the process have so many, of a user that has no other one."""
    resource.setrlimit(resource.RLIMIT_NPROC, (threads, HARD))


async def start(threads: int) -> None:
    node = Node(private_key=KEY, authorized_wallets=LISTED, listen=LOCAL)
    allow(threads)
    try:
        await node.start()
        print("started")
    except MeshError as error:
        print(type(error).__name__, error)
    allow(HARD)
    await node.close()
    async with Node(private_key=KEY, authorized_wallets=LISTED, listen=LOCAL):
        print("started again")


async def read() -> None:
    async with Node(private_key=KEY, authorized_wallets=wallets, listen=LOCAL) as node, node.database():
        await node.gate.refresh()
        await asyncio.sleep(KEEPS_THREADS)
        allow(1)
        try:
            await node.gate.refresh()
            print("read")
        except RegistryError as error:
            print(type(error).__name__, error)
        allow(HARD)
        gone = LISTED.pop()
        await node.gate.refresh()
        print("read again", node.state.value, node.gate.is_authorized(gone))


os.setuid(54_321 + os.getpid() % 1_000)
asyncio.run(read() if sys.argv[1] == "read" else start(int(sys.argv[1])))
