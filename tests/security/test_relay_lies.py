"""Relays that lie about where they are, by a listed peer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from depinmesh import Keypair, connect
from tests.integration.relays import circuits
from tests.security.attack import address_of, victim
from tests.security.raw import raw
from tests.security.rpc import ED25519_PEER, part
from tests.security.test_many import identity
from tests.support import eventually, fields_of

if TYPE_CHECKING:
    from depinmesh import Wallet

HOP = "/libp2p/circuit/relay/0.2.0/hop"
STATUS, OK = 2, 100
MOST = 2
"""Private addresses of one relay that a node takes."""


def at(number: int) -> bytes:
    """Return the bytes of `/ip4/10.x.y.1/tcp/1`."""
    return bytes([4, 10, *divmod(number, 256), 1, 6, 0, 1])


def named(relay: Wallet) -> bytes:
    """Return the bytes of `/p2p/<relay>`."""
    peer = ED25519_PEER + bytes(relay)
    return b"\xa5\x03" + bytes([len(peer)]) + peer


def reservation(relay: Wallet, addresses: int) -> bytes:
    """Return the answer to whoever asks for a reservation, for an hour."""
    given = b"".join(part(2, at(number) + named(relay)) for number in range(addresses))
    return part(1, STATUS) + part(3, part(1, int(time.time()) + 3_600) + given) + part(5, OK)


async def test_a_relay_that_names_all_addresses_that_fit_cuts_nobody_off() -> None:
    """All of them together would be more than others read of a node."""
    guest = Keypair.generate()
    async with raw() as relay, victim(relay.key.wallet, guest.wallet) as db:
        said = identity(relay.key, more=part(2, at(0)) + part(3, HOP.encode()))
        serves = {HOP: reservation(relay.key.wallet, 70).hex()}
        await relay.connect(address_of(db.node, "tcp"), identify=said.hex(), serves=serves)
        await eventually(lambda: circuits(db.node))  # the control: it takes some
        known = db.node.bootstrap_entries()
        async with connect(**fields_of(guest, [db.node.wallet], bootstrap_nodes=known)) as other:
            assert [peer.wallet for peer in other.peers()] == [db.node.wallet]
        assert len(circuits(db.node)) == MOST
