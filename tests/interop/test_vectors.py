"""What Go and we make of the same values, byte for byte: keys, ids, signatures and whole frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair
from tests.interop.peers import GO, TOPIC, Peer, address_of, full, go_peer, ours

if TYPE_CHECKING:
    from tests.program import Line

SECRET = "1GMkH3brNXiNNs1tiFZHu4yZSRrzJwxi5wB9bHFtMikjwpAW9DMZzU2Pqakc5it8X3N5vPmqdN7KF4CCUpmKhq"
PUBLISHED = {
    "secret": SECRET,
    "topic": "depin-network_status",
    "seqno": "1852f4c3a0000001",
    "data": '{"id":"6f1c2a34-0b1d-4e5f-8a9b-0c1d2e3f4a5b",'
    '"from_peer":"12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB","message":{"a":1},"timestamp":1752700000}',
}
PROVIDER_KEYS = {
    "depin-network": (
        "1220c4356fa77ae0093c7444c37a9b6dd64559b0f304768d9ceaac9b612f8072a7bf",
        "bafkreigegvx2o6xabe6hirgdpknw3vsflgypgbdwrwoovle3mexya4vhx4",
    ),
    "test-network": (
        "12200af654f81a11d66f065d758665daaf72bd9a574fa0159d0b3874e18d7dfdb0ed",
        "bafkreiak6zkpqgqr2zxqmxlvqzs5vl3sxwnfot5acwoqwodu4ggx37nq5u",
    ),
    "testdb": (
        "122038574590889ec9f533373b8e0a23d0452f2a45f654e668b69d5debecf10c8dc2",
        "bafkreibyk5czbce6zh2tgnz3ryfchucff4vel5su4zulnhk55pwpcdenyi",
    ),
}
RANDOM_KEYS = 1000


@pytest.mark.parametrize("pins", GO)
async def test_a_thousand_random_keys_have_the_same_wallets_and_peer_ids(pins: str) -> None:
    keys = [Keypair.from_base58(SECRET), *(Keypair.generate() for _ in range(RANDOM_KEYS))]
    async with go_peer(pins) as peer:
        theirs = await peer.ask("identities", "identities", secrets=[key.to_base58() for key in keys])
    assert theirs["peers"] == [key.peer_id for key in keys]
    assert theirs["wallets"] == [key.wallet for key in keys]


@pytest.mark.parametrize("pins", GO)
async def test_the_vector_of_a_published_event_is_what_go_makes_of_it(pins: str) -> None:
    """rust/core/tests/wire_vectors.rs holds our side of it."""
    async with go_peer(pins) as peer:
        signed = await peer.ask("sign", "signed", signed=PUBLISHED)
    assert signed["signature"] == (
        "25ef1a4d26b6536beb2c8643af477b40972bf7fa761ef34e2ff7a2db3cf995ab"
        "5d38922273bb1d435eb0b8c7676776984300334ec8c93e136667241f3f48b00d"
    )
    assert len(bytes.fromhex(signed["message"])) == 294
    assert signed["frame"].startswith("a90212a6020a260024080112")
    assert signed["sha256"] == "8894b39a3c60f2884d7174b130187bba58a7ed00efb4690c4d0566085150adb3"
    assert signed["id"] == (
        "00240801122003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b81852f4c3a0000001"
    )


@pytest.mark.parametrize("pins", GO)
async def test_the_provider_key_of_a_database_is_that_of_go(pins: str) -> None:
    async with go_peer(pins) as peer:
        made = await peer.ask("provider-keys", "provider-keys", names=list(PROVIDER_KEYS))
    assert list(zip(made["multihashes"], made["cids"], strict=True)) == list(PROVIDER_KEYS.values())


@pytest.mark.parametrize("pins", GO)
async def test_the_frame_that_we_send_is_what_go_makes_of_the_same_event(pins: str) -> None:
    key = Keypair.generate()
    async with go_peer(pins, "-raw") as peer, ours(peer.key.wallet, key=key) as db:
        await peer.dial(address_of(db.node))
        await peer.ask("rpc", "sent", peer=db.node.peer_id, rpc={"subscribe": [full(db)]})
        event = await db.publish(TOPIC, {"room": "Zürich", "load": [0.25, None, True]}, min_peers=1, timeout=10)
        heard = await published(peer)
        await same_as_made_by_go(peer, heard, key, full(db))
    data = fields_of(bytes.fromhex(heard["publish"][0]))[2]
    # In UTF-8 and in this order: nothing of it is escaped.
    assert data.decode() == (
        f'{{"id":"{event.id}","from_peer":"{key.peer_id}",'
        f'"message":{{"room":"Zürich","load":[0.25,null,true]}},"timestamp":{event.timestamp}}}'
    )


@pytest.mark.parametrize("pins", GO)
async def test_the_frame_that_go_sends_is_what_it_makes_of_the_same_event(pins: str) -> None:
    """The control of the test above: what `sign` makes is what their GossipSub sends."""
    topic = "control"
    async with go_peer(pins) as sender, go_peer(pins, "-raw") as peer:
        await peer.dial(sender.address)
        await sender.ask("subscribe", "subscribed", topic=topic)
        await peer.ask("rpc", "sent", peer=sender.peer_id, rpc={"subscribe": [topic]})
        await sender.knows(peer.peer_id, topic)
        await sender.publish(topic, {"room": 1})
        await same_as_made_by_go(peer, await published(peer), sender.key, topic)


async def published(peer: Peer) -> Line:
    """Wait for the first RPC that holds nothing but one message."""
    number = 1
    while not (line := await peer.wait("rpc", n=number))["publish"]:
        number += 1
    return line


async def same_as_made_by_go(peer: Peer, heard: Line, key: Keypair, topic: str) -> None:
    """Let Go sign what it heard with the author's key and compare all the bytes."""
    message = fields_of(bytes.fromhex(heard["publish"][0]))
    order = {"secret": key.to_base58(), "topic": topic, "seqno": message[3].hex(), "data": message[2].decode()}
    made = await peer.ask("sign", "signed", signed=order)
    assert heard["publish"] == [made["message"]]
    rpc = bytes.fromhex(heard["frame"])
    assert made["frame"] == (varint(len(rpc)) + rpc).hex()
    assert message[1].hex() + message[3].hex() == made["id"]
    assert (message[4].decode(), message[5].hex()) == (topic, made["signature"])
    assert sorted(message) == [1, 2, 3, 4, 5]  # no key: it is in the author's id


def fields_of(message: bytes) -> dict[int, bytes]:
    """Read a protobuf message that has nothing but bytes, each field once."""
    fields = {}
    while message:
        number, kind = message[0] >> 3, message[0] & 7
        assert kind == 2
        size, shift, at = 0, 0, 1
        while True:
            size |= (message[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if message[at - 1] < 0x80:
                break
        fields[number], message = message[at : at + size], message[at + size :]
    return fields


def varint(number: int) -> bytes:
    """Write a length as protobuf does."""
    written = []
    while number >= 0x80:
        written.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*written, number])
