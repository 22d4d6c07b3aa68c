"""Two nodes that a program on Solana lists, on a chain inside of this process: one is taken off the list, and is gone.

    python solana_local.py

The nodes are configured by solana_node.yaml; only the endpoints and the address of the registry are those of the chain.
Needs the extras `config` and `solana`.
"""

import asyncio
from pathlib import Path

from depinmesh import Config, Keypair, PeerDisconnected, connect
from depinmesh.testing.chain import LocalChain
from depinmesh.testing.tokens import DTelecom

FILE = Path(__file__).with_name("solana_node.yaml")


async def main() -> None:
    ada, bob = Keypair.generate(), Keypair.generate()
    async with LocalChain() as chain:
        fleet = DTelecom(chain)
        for key in (ada, bob):
            await fleet.set_node(key.wallet)

        def config(key: Keypair, known: list[str]) -> Config:
            """Put over the file what is different here; the type of the registry is that of the file."""
            registry = {"rpc": chain.url, "websocket": chain.websocket_url, "registry": str(fleet.registry)}
            listen = {"hosts": "127.0.0.1", "quic_port": 0, "tcp_port": 0}
            return Config.load(
                FILE, env=False, private_key=key, authorized_wallets=registry, bootstrap_nodes=known, listen=listen
            )

        async with (
            connect(config(ada, [])) as first,
            connect(config(bob, first.node.bootstrap_entries())) as second,
            second.subscribe("rooms") as rooms,
            first.node.events(PeerDisconnected) as ends,
        ):
            await first.publish("rooms", {"room": "lobby"}, min_peers=1, timeout=20)
            event = await rooms.get(timeout=20)
            print(f"{event.wallet} says {event.message}", flush=True)
            await fleet.set_node(bob.wallet, active=False)
            gone = await anext(ends)
            print(f"{gone.wallet} was switched off on the chain: {gone.reason}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
