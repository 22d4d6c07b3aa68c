"""Addresses of a machine that are not there, or are gone for a moment."""

from __future__ import annotations

import time

from depinmesh import Keypair
from tests.faults.lab import PUBLIC, Host, ip, lab, node_on, run
from tests.faults.test_partitions import QUIC, TCP

LATER = 1.5
"""Seconds by which such a node may start later than another one; it waits for 0.3."""


async def started(host: Host) -> tuple[list[str], float]:
    """Run a node on all addresses of a host; return its entries, and the seconds until it had started."""
    key, began = Keypair.generate(), time.monotonic()
    everywhere = {"hosts": ["0.0.0.0", "::"], "quic": QUIC, "tcp": TCP}
    async with node_on(host, key=key.to_base58(), wallets=[key.wallet], nodes=[], **everywhere) as node:
        return node.entries, time.monotonic() - began


async def test_a_node_on_all_addresses_starts_on_a_machine_whose_ipv6_is_switched_off() -> None:
    """Its IPv6 port can be opened there, and no address is ever reported for it."""
    async with lab(2) as place:
        off, on = place.hosts
        await run(*off.command("sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"))
        await run(*on.command("ip", "address", "add", "fd00::2/64", "dev", "eth0", "nodad"))
        # The control: the other one has IPv6.
        entries, control = await started(on)
        print(f"with IPv6: {entries}, {control:.2f} s")
        assert any("[fd00::2]" in entry for entry in entries)

        entries, seconds = await started(off)
        print(f"without: {entries}, {seconds:.2f} s")
        assert [entry.partition("@")[2] for entry in entries] == [f"{off.address}:{QUIC}:{TCP}"]
        assert seconds < control + LATER


async def test_an_announced_address_of_the_machine_that_is_gone_for_a_moment_is_announced_again() -> None:
    async with lab(1, PUBLIC) as place:
        (host,) = place.hosts
        key, address = Keypair.generate(), [f"{host.address}/24", "dev", "eth0"]
        announced = f"/ip4/{host.address}/tcp/{TCP}"
        listen = {"hosts": ["0.0.0.0"], "quic_port": QUIC, "tcp_port": TCP, "announce": [announced]}
        start = {"key": key.to_base58(), "wallets": [key.wallet], "nodes": [], "quic": QUIC, "tcp": TCP}
        async with node_on(host, **start, more={"listen": listen}) as node:
            assert (await node.ask("nat", "nat"))["public_addresses"] == [announced]
            full = f"{announced}/p2p/{node.peer_id}"
            before = len(node.said("address", address=full))
            await ip("-n", host.namespace, "address", "del", *address)
            await ip("-n", host.namespace, "address", "add", *address)
            await node.wait("address", address=full, n=before + 1)  # so that it has heard of both
            assert (await node.ask("nat", "nat"))["public_addresses"] == [announced]
