"""How many connections one address and one wallet may have, and how long one that says nothing of itself may stay."""

from __future__ import annotations

from contextlib import AsyncExitStack
from time import monotonic
from typing import TYPE_CHECKING

from depinmesh import Keypair, PeerRefused
from tests.security.attack import ROOMY, address_of, reasons, victim
from tests.security.raw import raw
from tests.support import WAIT, eventually, soon

if TYPE_CHECKING:
    from tests.security.raw import Raw

PLACES = 3


async def test_r4_an_address_has_so_many_connections_and_one_that_ends_makes_room() -> None:
    async with AsyncExitStack() as stack:
        peers = [await stack.enter_async_context(raw()) for _ in range(PLACES + 1)]
        wallets = [peer.key.wallet for peer in peers]
        db = await stack.enter_async_context(victim(*wallets, connections={**ROOMY, "max_per_ip": PLACES}))
        address = address_of(db.node, "tcp")
        *inside, late = peers
        links = [await peer.connect(address) for peer in inside]
        await eventually(lambda: {peer.wallet for peer in db.peers()} == set(wallets[:-1]))
        refusals = db.node.events(PeerRefused)
        late.tell("connect", address=address)
        await late.first("connect-failed", "connected", after=0)
        refusal = await soon(anext(refusals))
        assert (refusal.peer_id, refusal.wallet, refusal.reason) == (None, None, "too-many-from-address")
        assert [peer.said("ended") for peer in inside] == [[]] * PLACES
        # The control: the same one gets in as soon as there is a place.
        inside[0].tell("hang-up", link=links[0])
        await eventually(lambda: len(db.peers()) == PLACES - 1)
        await late.connect(address)
        await eventually(lambda: {peer.wallet for peer in db.peers()} == set(wallets[1:]))
        assert reasons(db.node, "refused_total") == {"too-many-from-address": 1}


PROCESSES = 4
DIALS = 5


async def have_ended(peer: Raw, dials: int) -> None:
    """Wait for the end of so many of its dials, well or not."""
    await peer.wait_for(lambda: len(peer.said("connected")) + len(peer.said("connect-failed")) >= dials, WAIT)


async def test_r4_a_wallet_has_four_connections_at_once_and_no_more() -> None:
    """What comes a tenth of a second later takes the place of what was there, so all of them come at the same time."""
    key = Keypair.generate()
    async with raw() as other, victim(key.wallet, other.key.wallet) as db, AsyncExitStack() as stack:
        many = [await stack.enter_async_context(raw(key=key)) for _ in range(PROCESSES)]
        address = address_of(db.node, "tcp")
        await other.connect(address)
        refusals = db.node.events(PeerRefused)
        dialled, until = 0, monotonic() + WAIT
        while not (refused := reasons(db.node, "refused_total")):
            assert monotonic() < until
            dialled += DIALS
            for peer in many:
                for _ in range(DIALS):
                    peer.tell("connect", address=address)
            for peer in many:
                await have_ended(peer, dialled)
        assert refused.keys() == {"too-many-from-wallet"}
        refusal = await soon(anext(refusals))
        assert (refusal.peer_id, refusal.wallet) == (key.peer_id, key.wallet)
        # The control: some got in, and nobody else had to go for them.
        assert any(peer.said("asked", protocol="/ipfs/id/1.0.0") for peer in many)
        await eventually(lambda: other.key.wallet in [peer.wallet for peer in db.peers()])
        assert other.said("ended") == []


LIMIT = 2.0
"""Seconds that a peer has to say who it is; ten where nothing else is said."""
SLACK = 3


async def test_g9_a_listed_peer_that_never_says_who_it_is_is_put_out() -> None:
    limits = {**ROOMY, "handshake_timeout": LIMIT}
    async with raw() as mute, raw() as other, victim(mute.key.wallet, other.key.wallet, connections=limits) as db:
        address = address_of(db.node, "tcp")
        await other.connect(address)
        began = monotonic()
        link = await mute.connect(address, mute=True)
        await mute.wait("asked", link=link, protocol="/ipfs/id/1.0.0")
        await eventually(lambda: [peer.wallet for peer in db.peers()] == [other.key.wallet])
        await mute.wait("ended", link=link, within=LIMIT * SLACK)
        assert monotonic() - began > LIMIT * 0.9
        # The control: who has said it stays, and the same one stays when it says it.
        await mute.connect(address)
        await eventually(lambda: {peer.wallet for peer in db.peers()} == {mute.key.wallet, other.key.wallet})
        assert other.said("ended") == []
