"""Keys of small order, the all-zero one of an empty registry row first: anybody can sign for them without a secret."""

from __future__ import annotations

import pytest

from depinmesh import IdentityError, Keypair, PeerRefused, Wallet
from tests.security.attack import address_of, attacker, counted, intruder, reasons, victim
from tests.support import eventually

ALL_ZERO = "11111111111111111111111111111111"

# Every encoding that a decoder of Ed25519 takes for a point of small order: the eight canonical ones, then those with a
# sign that means nothing or a coordinate above the field prime.
SMALL_ORDER = [
    bytes.fromhex(text)
    for text in (
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    )
]


NAMED: list[str | bytes] = [ALL_ZERO, *SMALL_ORDER]


async def test_weak_keys_on_a_list_are_dropped_and_the_others_count(caplog: pytest.LogCaptureFixture) -> None:
    guest = Keypair.generate()
    async with (
        victim(authorized_wallets=[*NAMED, guest.wallet]) as db,
        intruder(key=guest) as (process, _),
    ):
        assert db.node.gate.wallets == [guest.wallet]
        await process.dial(address_of(db.node, "tcp"), hold_ms=0)
        await eventually(lambda: [peer.wallet for peer in db.peers()] == [guest.wallet])

        def dropped() -> set[str]:
            return {
                record.__dict__["fields"]["public_key"]
                for record in list(caplog.records)
                if "dropped an entry of the wallet list" in record.getMessage()
            }

        await eventually(lambda: ALL_ZERO in dropped())


def test_a_weak_key_is_no_wallet() -> None:
    for key in NAMED:
        with pytest.raises(IdentityError):
            Wallet(key)


async def test_nobody_gets_in_with_a_forged_handshake_even_when_the_list_names_the_weak_keys() -> None:
    async with (
        victim(authorized_wallets=NAMED) as db,
        attacker("forge", "--address", address_of(db.node, "tcp")) as forger,
    ):
        refusals = db.node.events(PeerRefused)
        done = await forger.finish("forge-done", within=30)
        forged = forger.said("forged")
        assert {bytes.fromhex(line["point"]) for line in forged} == set(SMALL_ORDER)
        assert (done["points"], done["identified"], done["streams_served"]) == (14, 0, 0)
        assert {(line["end"], line["bytes_read"], line["streams_accepted"]) for line in forged} == {("closed", 0, 0)}
        # The gate stands behind the handshake: each had proved its identity to libp2p, and the gate stopped it.
        await eventually(lambda: reasons(db.node, "refused_total") == {"weak-key": 14})
        assert counted(db.node, "connections_total") == counted(db.node, "admitted_total") == 0
        assert db.peers() == []
        refused = await anext(refusals)
        assert (refused.reason, refused.direction, refused.wallet) == ("weak-key", "inbound", None)


async def test_plain_libp2p_accepts_every_one_of_the_forged_handshakes() -> None:
    """The control: the same attack on a node without a gate."""
    async with attacker("forge", "--control-listen", "/ip4/127.0.0.1/tcp/0") as control:
        (address,) = (await control.wait("started"))["addresses"]
        async with attacker("forge", "--address", address, "--hold-ms", 300) as forger:
            done = await forger.finish("forge-done", within=30)
        assert (done["points"], done["handshakes"], done["identified"]) == (14, 14, 14)
        assert done["streams_served"] >= 14
        await control.wait("accepted", n=14)
        accepted = {line["peer_id"] for line in control.said("accepted")}
        assert accepted == {line["peer_id"] for line in forger.said("forged")}
