"""Where others are told that a node is, by a node that it is connected to."""

from __future__ import annotations

import socket
from time import monotonic

from depinmesh import Keypair, connect
from depinmesh.multiaddr import parse_multiaddr
from tests.security.attack import address_of, victim
from tests.security.raw import raw
from tests.security.rpc import ED25519_PEER, framed, varint
from tests.security.test_many import told_of
from tests.support import LISTEN, WAIT, fields_of

IP4, TCP, UDP, P2P, QUIC_V1 = 4, 6, 273, 421, 461
"""The codes of the parts of an address."""
ANNOUNCED = "/ip4/10.9.8.7/tcp/4002"


def as_told(address: str) -> bytes:
    """Return an address that ends in a peer as it stands in an answer."""
    at = parse_multiaddr(address)
    assert at.peer_id is not None
    host = varint(IP4) + socket.inet_aton(at.host)
    peer = varint(P2P) + framed(ED25519_PEER + bytes(at.peer_id))
    if at.tcp_port is not None:
        return host + varint(TCP) + at.tcp_port.to_bytes(2, "big") + peer
    assert at.quic_port is not None
    return host + varint(UDP) + at.quic_port.to_bytes(2, "big") + varint(QUIC_V1) + peer


async def test_what_is_announced_is_told_in_the_place_of_where_a_node_listens() -> None:
    mapped_key, plain_key = Keypair.generate(), Keypair.generate()
    async with raw() as asking, victim(asking.key.wallet, mapped_key.wallet, plain_key.wallet) as db:
        known = db.node.bootstrap_entries()
        # Each lists the node in the middle alone: nobody dials what is announced.
        mapped_wallets, plain_wallets = ([key.wallet, db.node.wallet] for key in (mapped_key, plain_key))
        announcing = {**LISTEN, "announce": [ANNOUNCED]}
        async with (
            connect(**fields_of(mapped_key, mapped_wallets, bootstrap_nodes=known, listen=announcing)) as mapped,
            connect(**fields_of(plain_key, plain_wallets, bootstrap_nodes=known)) as plain,
        ):
            link = await asking.connect(address_of(db.node, "tcp"))
            until = monotonic() + WAIT
            # The control: who announces nothing is told of with all addresses that it listens on.
            real = {as_told(address) for address in plain.node.addresses}
            assert len(real) == 2
            while (told := await told_of(plain.node.wallet, asking, link)) != real:
                assert monotonic() < until, told
            while not (told := await told_of(mapped.node.wallet, asking, link)):
                assert monotonic() < until
            assert told == {as_told(f"{ANNOUNCED}/p2p/{mapped.node.peer_id}")}
