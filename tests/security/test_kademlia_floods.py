"""What a listed peer can put into the tables of a node, and ask of them: a bounded part, and an answer."""

from __future__ import annotations

import random
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair
from tests.security.attack import address_of, victim
from tests.security.raw import gossiping, raw
from tests.security.rpc import ED25519_PEER, framed, part, parts, peer_record, varint
from tests.security.test_gossip_floods import FEW_SECONDS, Flood, batches, flood
from tests.security.test_gossip_frames import attack
from tests.security.test_many import FIND_NODE, KADEMLIA, PUSH, identity, told_of
from tests.support import eventually

if TYPE_CHECKING:
    from collections import Counter

LARGEST = 448 << 10
"""Bytes of a message of Kademlia."""
STREAMS = 32
"""Streams that a table reads at a time, of one connection."""
PUT_VALUE, GET_VALUE, ADD_PROVIDER, GET_PROVIDERS = range(FIND_NODE)
RECORDS_OF_PEER = 64
HERE = bytes([4, 127, 0, 0, 1, 6, 0x0F, 0xA1])
"""/ip4/127.0.0.1/tcp/4001"""
ELSEWHERE = bytes([4, 127, 0, 0, 2, 6, 0x0F, 0xA1])

numbers = pytest.mark.parametrize("count", [10_000, pytest.param(200_000, marks=pytest.mark.slow)])
pytestmark = pytest.mark.timeout(300)


def key_of(number: int) -> bytes:
    return b"\x12\x20" + number.to_bytes(32, "big")


def ask(kind: int, key: bytes) -> bytes:
    return framed(part(1, kind) + part(2, key))


def provide(key: bytes, provider: Keypair, *, addresses: int = 1) -> bytes:
    """Say of a peer that it provides something."""
    peer = part(1, ED25519_PEER + bytes(provider.wallet)) + part(2, HERE) * addresses
    return framed(part(1, ADD_PROVIDER) + part(2, key) + part(9, peer))


async def answer(f: Flood, kind: int, key: bytes) -> dict[int, bytes | int]:
    """Ask on a stream of its own; return the fields of the answer."""
    stream = await f.peer.open(f.link, KADEMLIA)
    assert await f.peer.write(stream, ask(kind, key))
    data = bytes.fromhex((await f.peer.wait("read", stream=stream))["hex"])
    ((_, body),) = parts(b"\x0a" + data)
    assert isinstance(body, bytes)
    f.peer.tell("end", stream=stream)
    return dict(parts(body))


async def has_records(f: Flood, n: int) -> None:
    """Wait until so many provider records are kept: they are counted a little later than they are taken."""
    until = monotonic() + FEW_SECONDS
    while (kept := (await f.node.report())["metrics"]["provider_records"]) != n:
        assert monotonic() < until, kept


@numbers
async def test_d3_a_peer_provides_so_much_and_no_more(count: int) -> None:
    async with flood() as f:
        stream = await f.peer.open(f.link, KADEMLIA)
        for some in batches(count, 1_000):
            said = b"".join(provide(key_of(number), f.peer.key, addresses=20) for number in some)
            assert await f.peer.write(stream, said, within=60)
        assert await f.peer.write(stream, ask(FIND_NODE, key_of(0)), within=60)
        await f.peer.wait("read", stream=stream, within=60)
        await has_records(f, RECORDS_OF_PEER)  # the control: so much of it was taken
        await f.costs_little()
        await f.leaves_nothing()


async def test_d2_nobody_provides_in_the_name_of_another() -> None:
    async with flood() as f:
        stream = await f.peer.open(f.link, KADEMLIA)
        assert await f.peer.write(stream, b"".join(provide(key_of(0), Keypair.generate()) for _ in range(100)))
        assert await f.peer.write(stream, provide(key_of(1), f.peer.key))
        assert await f.peer.write(stream, ask(FIND_NODE, key_of(0)))
        await f.peer.wait("read", stream=stream)
        await has_records(f, 1)  # its own


@pytest.mark.parametrize("signer", ["itself", "another"])
async def test_d2_w7_what_another_has_signed_about_a_peer_is_not_believed(signer: str) -> None:
    async with raw() as peer, raw() as asking, victim(peer.key.wallet, asking.key.wallet) as db:
        by = peer.key if signer == "itself" else asking.key
        said = identity(peer.key, more=part(2, HERE) + part(8, peer_record(by, peer.key, ELSEWHERE)))
        await peer.connect(address_of(db.node, "tcp"), identify=said.hex())
        await eventually(lambda: [one.wallet for one in db.peers()] == [peer.key.wallet])
        link = await asking.connect(address_of(db.node, "tcp"))
        # The control is the record that is its own: the node believes it, and tells others.
        where = ELSEWHERE if signer == "itself" else HERE
        named: set[bytes] = set()
        until = monotonic() + FEW_SECONDS
        while not named:
            assert monotonic() < until
            named = await told_of(peer.key.wallet, asking, link)
        assert {one[: len(where)] for one in named} == {where}


@numbers
@pytest.mark.parametrize("kind", [GET_VALUE, GET_PROVIDERS, FIND_NODE])
async def test_d3_questions_without_end_are_answered_and_cost_nothing(kind: int, count: int) -> None:
    async with flood() as f:
        stream = await f.peer.open(f.link, KADEMLIA)
        for some in batches(count // 2, 500):
            assert await f.peer.write(stream, b"".join(ask(kind, key_of(number)) for number in some), within=60)
        await f.peer.wait("read", stream=stream)
        assert await answer(f, FIND_NODE, key_of(0))
        await f.is_heard()
        await f.costs_little()
        await f.leaves_nothing()


@pytest.mark.parametrize("count", [50, pytest.param(1_000, marks=pytest.mark.slow)])
async def test_d3_w7_values_are_not_kept_whatever_their_key(count: int) -> None:
    """Keys that no validator of another library looked at filled its disk: empty ones, and those without a slash."""
    async with flood() as f:
        for number in range(count):
            key = [b"", b"no slash", b"/pk/", b"/pk/" + bytes(34), key_of(number)][number % 5]
            value = part(1, key) + part(2, bytes(60_000 if number % 10 else 400_000))
            stream = await f.peer.open(f.link, KADEMLIA)
            assert await f.peer.write(stream, framed(part(1, PUT_VALUE) + part(2, key) + part(3, value)))
            await f.peer.wait("read", stream=stream)  # no stream is left without an end
            f.peer.tell("drop", stream=stream)
        for key in (b"", b"no slash", key_of(4)):
            assert 3 not in await answer(f, GET_VALUE, key)
        await f.is_heard()
        await f.costs_little()
        await f.leaves_nothing()


@pytest.mark.slow
async def test_r5_messages_that_are_never_finished_are_held_within_bounds() -> None:
    """As large as a message may be, and its last byte missing; on more streams than there may be."""
    async with flood() as f:
        for _ in range(40):
            stream = await f.peer.open(f.link, KADEMLIA)
            f.peer.write_only(stream, varint(LARGEST) + b"\x08" + bytes(LARGEST - 2))
        while await f.growth() < STREAMS * LARGEST // 2:  # the control: they are held
            pass
        await f.costs_little()
        await f.leaves_nothing()


@pytest.mark.parametrize("times", [100, pytest.param(5_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("protocol", [KADEMLIA, PUSH])
async def test_w6_messages_with_bytes_changed_at_random_do_not_end_the_node(
    protocol: str, times: int, malformed: Counter[str]
) -> None:
    start = random.randrange(2**32)
    print("random start value", start)
    chance = random.Random(start)
    async with attack() as a:
        if protocol == KADEMLIA:
            sample = (
                provide(key_of(1), a.peer.key, addresses=2) + ask(GET_PROVIDERS, key_of(1)) + ask(FIND_NODE, key_of(2))
            )
        else:
            sample = framed(identity(a.peer.key, more=part(2, HERE) + part(8, bytes(100))))
        link = a.link
        for _ in range(times):
            changed = bytearray(sample)
            for _ in range(chance.randint(1, 8)):
                changed[chance.randrange(len(changed))] = chance.randrange(256)
            opened = await a.peer.ask("open", "opened", link=link, protocol=protocol)
            if not opened["agreed"]:
                link, _ = await gossiping(a.peer, a.address, a.topic)
                continue
            a.peer.write_only(opened["stream"], bytes(changed))
            a.peer.tell("end", stream=opened["stream"])
            malformed["Kademlia" if protocol == KADEMLIA else "identify"] += 1
        a.peer.tell("hang-up", link=link)
        await a.peer.wait("ended", link=link)
        await eventually(lambda: a.db.peers() == [])
        _, stream = await gossiping(a.peer, a.address, a.topic)
        await a.is_heard(stream)
