"""A node in a process of its own that says what it hears: seed, wallets, entries and ports come as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from depinmesh import Keypair, connect


async def main(given: dict[str, Any]) -> None:
    listen = {"hosts": ["127.0.0.1"], "quic_port": given["quic_port"], "tcp_port": given["tcp_port"]}
    key = Keypair.from_seed(bytes.fromhex(given["seed"]))
    fields: dict[str, Any] = {"private_key": key, "authorized_wallets": given["wallets"], "listen": listen}
    async with connect(**fields, bootstrap_nodes=given["entries"]) as db, db.subscribe("t") as events:
        print("up", flush=True)
        async for event in events:
            print(event.message, flush=True)


asyncio.run(main(json.loads(sys.argv[1])))
