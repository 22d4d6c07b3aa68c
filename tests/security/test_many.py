"""More of everything than anybody needs, by a listed peer: streams, connections, pings, identities, protocols."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair, NodeState
from depinmesh._observing import library_metrics
from tests.security.attack import address_of, envelope, full, victim
from tests.security.raw import gossiping, raw
from tests.security.rpc import ED25519_PEER, Message, framed, part, parts, rpc, varint
from tests.support import WAIT, eventually, state_of

if TYPE_CHECKING:
    from depinmesh import Wallet
    from tests.security.raw import Raw

TOPIC = "rooms"
MOST_STREAMS = 1_024


@pytest.mark.parametrize("dials", [100, pytest.param(1_000, marks=pytest.mark.slow)])
@pytest.mark.timeout(300)
async def test_r4_a_listed_peer_holds_a_few_connections_however_many_it_dials(dials: int) -> None:
    async with raw() as many, raw() as other, victim(many.key.wallet, other.key.wallet) as db:
        address = address_of(db.node, "tcp")
        await other.connect(address)
        for _ in range(dials):
            many.tell("connect", address=address)
        await many.wait_for(lambda: len(many.said("connected")) + len(many.said("connect-failed")) == dials, within=250)
        await many.wait_for(lambda: len(many.said("ended")) >= len(many.said("connected")) - 4, within=30)
        await eventually(lambda: {peer.wallet for peer in db.peers()} == {many.key.wallet, other.key.wallet})
        assert other.said("ended") == []


@pytest.mark.parametrize("streams", [2_000, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.timeout(300)
async def test_r4_a_listed_peer_has_so_many_streams_and_no_more(streams: int) -> None:
    async with raw() as many, raw() as other, victim(many.key.wallet, other.key.wallet) as db:
        await other.connect(address_of(db.node, "tcp"))
        link = await many.connect(address_of(db.node, "tcp"))
        many.tell("open", link=link, protocol="/ipfs/ping/1.0.0", times=streams)
        await many.wait_for(lambda: bool(many.said("opened") or many.said("ended")), within=250)
        assert not many.said("opened") or many.said("opened")[0]["agreed"] <= MOST_STREAMS
        await eventually(lambda: other.key.wallet in [peer.wallet for peer in db.peers()])
        assert other.said("ended") == []
        # The control: with a new connection it is as welcome as before.
        _, stream = await gossiping(many, address_of(db.node, "tcp"), full(db, TOPIC))
        async with db.subscribe(TOPIC) as events:
            message = Message(many.key, full(db, TOPIC), envelope(many.key.peer_id, "again"))
            assert await many.write(stream, rpc(publish=[message]))
            assert (await events.get(15)).message == "again"


FOREIGN = ["/rendezvous/1.0.0", "/mplex/6.7.0", "/plaintext/2.0.0", "/ipfs/bitswap/1.2.0", "/http/1.1", "/x/nothing/1"]


async def test_r6_protocols_that_are_not_offered_are_refused_and_the_connection_stays() -> None:
    async with raw() as peer, victim(peer.key.wallet) as db:
        link = await peer.connect(address_of(db.node, "tcp"))
        for protocol in FOREIGN:
            opened = await peer.ask("open", "opened", link=link, protocol=protocol)
            assert (opened["agreed"], opened["error"]) == (0, "refused"), protocol
        assert await peer.open(link, "/ipfs/ping/1.0.0")  # the control
        assert peer.said("ended") == []


async def test_r6_pings_are_answered_and_a_flood_of_them_harms_nobody() -> None:
    async with raw() as peer, raw() as other, victim(peer.key.wallet, other.key.wallet) as db:
        await other.connect(address_of(db.node, "tcp"))
        link = await peer.connect(address_of(db.node, "tcp"))
        stream = await peer.open(link, "/ipfs/ping/1.0.0")
        assert await peer.write(stream, bytes(32), times=10_000)
        await peer.wait("read", stream=stream)
        assert {peer.wallet for peer in db.peers()} == {peer.key.wallet, other.key.wallet}
        assert other.said("ended") == []


PING = "/ipfs/ping/1.0.0"
PUSH = "/ipfs/id/push/1.0.0"
KADEMLIA = "/ipfs/lan/kad/1.0.0"
FIND_NODE = 4
SERVED = ("/ipfs/id/1.0.0", "/meshsub/1.1.0", PING, KADEMLIA)


def identity(key: Keypair, **other: bytes) -> bytes:
    """Return what identify says of a peer, with `more` behind it."""
    public = bytes.fromhex("08011220") + bytes(key.wallet)
    protocols = b"".join(part(3, name.encode()) for name in SERVED)
    return part(1, other.get("public", public)) + protocols + part(6, b"raw/1.0") + other.get("more", b"")


async def told_of(wallet: Wallet, asking: Raw, link: int) -> set[bytes]:
    """Ask a node where a peer is; return the addresses that it tells, each with the peer at its end."""
    peer = ED25519_PEER + bytes(wallet)
    stream = await asking.open(link, KADEMLIA)
    assert await asking.write(stream, framed(part(1, FIND_NODE) + part(2, peer)))
    data = bytes.fromhex((await asking.wait("read", stream=stream))["hex"])
    asking.tell("drop", stream=stream)  # a connection has 512 of them
    ((_, body),) = parts(b"\x0a" + data)
    assert isinstance(body, bytes)
    closer = [list(parts(value)) for number, value in parts(body) if number == 8 and isinstance(value, bytes)]
    of_peer = [fields for fields in closer if (1, peer) in fields]
    return {value for fields in of_peer for number, value in fields if number == 2 and isinstance(value, bytes)}


LIES = {
    "another's key": {"public": bytes.fromhex("08011220") + bytes(Keypair.generate().wallet)},
    "an rsa key": {"public": bytes.fromhex("0800120430818902")},
    "no key": {"public": b""},
    "no address": {"more": part(2, b"\xff" * 100)},
    "a record that is none": {"more": part(8, b"\xff" * 3_000)},
    "an endless field": {"more": b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"},
}


@pytest.mark.parametrize("lie", LIES)
async def test_w6_who_says_of_itself(lie: str) -> None:
    """Whatever it says, it is at most no peer: it is known by its handshake, and by nothing that it says later."""
    async with raw() as peer, raw() as other, victim(peer.key.wallet, other.key.wallet) as db:
        others = await other.connect(address_of(db.node, "tcp"))
        link = await peer.connect(address_of(db.node, "tcp"), identify=identity(peer.key, **LIES[lie]).hex())
        await eventually(lambda: other.key.wallet in [one.wallet for one in db.peers()])
        # Said again, and this time it shows when it was read: the node is done with the stream, or with the peer.
        push = await peer.open(link, PUSH)
        await peer.write(push, framed(identity(peer.key, **LIES[lie])))
        peer.tell("end", stream=push)
        await peer.wait_for(lambda: bool(peer.said("read-end", stream=push) or peer.said("ended", link=link)))
        # The control: the other one is served as before.
        ping = await other.open(others, PING)
        assert await other.write(ping, bytes(32))
        await other.wait("read", stream=ping)
        assert {one.wallet for one in db.peers()} <= {peer.key.wallet, other.key.wallet}
        assert state_of(db.node) is NodeState.RUNNING
        assert other.said("ended") == []


TOLD = 300
"""Addresses in one message: about as many as fit into the 4 KiB that identify reads."""
PUSHES = 100
KEPT = 8
"""`MAX_ADDRESSES` of a peer in a table (rust/core/src/discovery/records.rs)."""


def addresses(message: int) -> list[bytes]:
    """Return the addresses in one message, which no other message has."""
    numbers = range(message * TOLD, (message + 1) * TOLD)
    return [bytes([4, 10, number // 256, number % 256, 1, 6, 0x0F, 0xA1]) for number in numbers]


async def test_r7_addresses_beyond_measure_are_not_kept() -> None:
    """Hundreds of addresses in identify, and a hundred pushes of hundreds of others: a few of the last are kept."""

    def said(message: int) -> bytes:
        return identity(peer.key, more=b"".join(part(2, address) for address in addresses(message)))

    async with raw() as peer, raw() as asking, victim(peer.key.wallet, asking.key.wallet) as db:
        link = await peer.connect(address_of(db.node, "tcp"), identify=said(0).hex())
        await eventually(lambda: peer.key.wallet in [one.wallet for one in db.peers()])
        for message in range(1, PUSHES + 1):
            stream = await peer.open(link, PUSH)
            assert await peer.write(stream, framed(said(message)))
            peer.tell("end", stream=stream)
            await peer.wait("read-end", stream=stream)  # it has been read: of more than ten at once some are not
        others = await asking.connect(address_of(db.node, "tcp"))
        last = set(addresses(PUSHES))
        told: set[bytes] = set()
        until = monotonic() + WAIT
        while not last & {address[:8] for address in told}:  # what was read takes effect a moment later
            assert monotonic() < until, told
            told = await told_of(peer.key.wallet, asking, others)
        print(f"{len(told)} addresses are kept")
        assert len(told) <= KEPT
        assert {address[:8] for address in told} <= last
        assert peer.said("ended") == []


ODD = [varint(code) for code in (479, 276, 480)]  # /p2p-websocket-star, /p2p-webrtc-direct, /http: nothing behind them


@pytest.mark.timeout(120)
async def test_r7_addresses_that_a_peer_makes_up_leave_no_metrics_behind() -> None:
    """A metric of libp2p has a label for each form of address: those that nobody uses are not counted."""

    def said(message: int) -> bytes:
        digits = [message // 3**place % 3 for place in range(5)]
        odd = b"".join(ODD[digit] for digit in digits) * 150
        return identity(peer.key, more=part(2, odd) + part(4, odd))

    async with raw() as peer, raw() as honest, victim(peer.key.wallet, honest.key.wallet) as db:
        link = await peer.connect(address_of(db.node, "tcp"), identify=said(0).hex())
        await eventually(lambda: peer.key.wallet in [one.wallet for one in db.peers()])
        for message in range(PUSHES + 1):
            stream = await peer.open(link, PUSH)
            assert await peer.write(stream, framed(said(message)))
            peer.tell("end", stream=stream)
            await peer.wait("read-end", stream=stream)
        usual = identity(honest.key, more=part(2, bytes.fromhex("0408080808060001")))  # /ip4/8.8.8.8/tcp/1
        await honest.connect(address_of(db.node, "tcp"), identify=usual.hex())
        await eventually(lambda: 'listen_address="/ip4/tcp"' in library_metrics(db.node))
        text = library_metrics(db.node)
        assert "depinmesh_libp2p_identify_received_total" in text
        assert "websocket-star" not in text
        assert len(text) < 64 * 1024


async def test_w6_queries_of_a_table_that_are_none_end_their_stream_alone() -> None:
    bad = [
        b"\xff" * 50,
        part(1, 99),
        part(2, bytes(5_000)),
        part(1, 0) + part(3, bytes(100)),
        b"",
        part(8, b"\xff" * 64),
    ]
    async with raw() as peer, victim(peer.key.wallet) as db:
        link = await peer.connect(address_of(db.node, "tcp"))
        for message in bad:
            stream = await peer.open(link, KADEMLIA)
            await peer.write(stream, framed(message))
        # The control: a query that is one is answered.
        stream = await peer.open(link, KADEMLIA)
        assert await peer.write(stream, framed(part(1, 4) + part(2, bytes(34))))
        await peer.wait("read", stream=stream)
        assert peer.said("ended") == []
