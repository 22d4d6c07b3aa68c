"""Uses a key, which it makes or reads from a key file, and forgets it; it goes on at each line that it is told."""

from __future__ import annotations

import asyncio
import gc
import json
import sys

from depinmesh import Keypair, connect

LISTEN = {"hosts": ["127.0.0.1"], "quic_port": 0, "tcp_port": 0}


def say(event: str, **fields: str) -> None:
    print(json.dumps({"event": event, **fields}), flush=True)
    sys.stdin.readline()


async def main() -> None:
    if sys.argv[1:]:
        key = Keypair.from_file(sys.argv[1])
    else:
        key = Keypair.generate()
        say("made", secret=key.to_base58())
    friend = Keypair.generate()
    listed = [key.wallet, friend.wallet]
    # The friend goes on, and with it the threads that both have in common.
    async with (
        connect(private_key=friend, authorized_wallets=listed, listen=LISTEN) as other,
        other.subscribe("t") as events,
    ):
        known = other.node.bootstrap_entries()
        async with connect(
            private_key=key, authorized_wallets=listed, listen=LISTEN, bootstrap_nodes=known
        ) as database:
            await database.publish("t", "signed", min_peers=1, timeout=15)
            await events.get(timeout=15)
            say("used")
        del key, database
        gc.collect()
        say("forgotten")


asyncio.run(main())
