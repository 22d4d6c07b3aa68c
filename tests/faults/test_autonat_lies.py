"""Servers of AutoNAT that lie about where a node was reached, and where they see it, by a listed peer."""

from __future__ import annotations

from contextlib import asynccontextmanager
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

import pytest

from tests.faults.nat_lab import nat_lab
from tests.faults.test_reachability import ASKED, FOUND_OUT, SERVER, SILENT, TCP, node
from tests.security.attack import TRANSPORTS, binary
from tests.security.raw import Raw
from tests.security.rpc import part
from tests.security.test_many import identity

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from depinmesh import Keypair
    from tests.faults.lab import Host, Node

AUTONAT = "/libp2p/autonat/1.0.0"
RESPONSE, OK, DIAL_ERROR = 1, 0, 100
ELSEWHERE = "45.77.0.250"


def at(host: str) -> bytes:
    """Return the bytes of `/ip4/<host>/tcp/<TCP>`."""
    return bytes([4]) + IPv4Address(host).packed + bytes([6]) + TCP.to_bytes(2)


def answer(status: int, *told: bytes) -> str:
    """Return the answer to whoever asks to be dialled."""
    body = part(1, status) + b"".join(part(3, address) for address in told)
    return (part(1, RESPONSE) + part(3, body)).hex()


async def told(one: Node) -> tuple[str, set[str]]:
    """Return whether a node says that it can be reached, and the hosts at which it says so."""
    nat = await one.ask("nat", "nat")
    return nat["reachability"], {address.split("/")[2] for address in nat["public_addresses"]}


@asynccontextmanager
async def server(host: Host, key: Keypair, asked: Host, *, says: str, sees: str) -> AsyncIterator[Raw]:
    """Run a server that dials nobody, gives everybody the same answer, and sees everybody at the same place."""
    words = (binary(), "raw", "--key", key.to_base58(), *TRANSPORTS["tcp-noise"])
    async with Raw.run(*host.command(*words)) as one:
        await one.wait("started")
        said = identity(key, more=part(2, at(host.address)) + part(3, AUTONAT.encode()) + part(4, at(sees)))
        address = f"/ip4/{asked.address}/tcp/{TCP}/p2p/{ASKED.peer_id}"
        await one.connect(address, identify=said.hex(), serves={AUTONAT: says})
        yield one


@pytest.mark.timeout(120)
async def test_a_server_that_names_an_address_that_is_none_of_a_node_is_not_believed() -> None:
    async with nat_lab() as net:
        host, liar, honest = [await net.host() for _ in range(3)]
        async with node(host, ASKED) as asked:
            lie = answer(OK, at(ELSEWHERE))
            async with server(liar, SERVER, host, says=lie, sees=ELSEWHERE) as one:
                # It is asked again after half a minute: what it said first has been heard by then.
                for n in (1, 2):
                    await one.wait("asked", n=n, within=FOUND_OUT, protocol=AUTONAT)
                assert await told(asked) == ("unknown", {host.address})
                # The control: who gives the same answer about the address where the node is, is believed.
                truth = answer(OK, at(host.address))
                async with server(honest, SILENT, host, says=truth, sees=host.address):
                    await asked.wait("reachability", within=FOUND_OUT, reachability="public")
                    assert await told(asked) == ("public", {host.address})
