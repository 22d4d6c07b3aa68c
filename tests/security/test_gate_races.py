"""G5: wallets come and go in the registry while their owners knock, in any order; what counts is the newest list."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from depinmesh import Keypair
from tests.security.attack import Attacker, address_of, intruder, victim
from tests.support import eventually, soon

if TYPE_CHECKING:
    from depinmesh import Database, Node, Wallet

pytestmark = pytest.mark.timeout(90)

GUESTS = 8
OTHERS = 2 * GUESTS
"""Wallets that are always listed, so that no list is suspiciously short."""
QUIET_WITHIN = 1.0
SLACK = 3
STEPS = 3
"""Calls of each kind in a round, of which each guest makes as many."""


class SlowRegistry:
    """Answers with what it listed when it was asked, which may be some time ago."""

    def __init__(self, choice: random.Random) -> None:
        self.wallets: list[Wallet] = [Keypair.generate().wallet for _ in range(OTHERS)]
        self._choice = choice

    async def __call__(self) -> list[Wallet]:
        wallets = list(self.wallets)
        await asyncio.sleep(self._choice.random() * 0.05)
        return wallets

    def toggle(self, wallet: Wallet) -> None:
        """List it, or list it no longer."""
        self.list(wallet, listed=wallet not in self.wallets)

    def list(self, wallet: Wallet, *, listed: bool) -> None:
        """List it, or not."""
        others = [one for one in self.wallets if one != wallet]
        self.wallets = [*others, wallet] if listed else others


def is_open(guest: Attacker) -> bool:
    """Tell whether it has a connection, as it sees it."""
    return len(guest.said("connected")) > len(guest.said("closed"))


async def knock(node: Node, guest: Attacker, choice: random.Random) -> None:
    """Come again and again, at any time."""
    for _ in range(STEPS):
        await asyncio.sleep(choice.random() * 0.1)
        await guest.dial(address_of(node, "quic" if choice.random() < 0.5 else "tcp-noise"), hold_ms=0)


async def enter(db: Database, guest: Attacker, wallet: Wallet) -> None:
    """Come until it is inside. A connection may be one of two, which the node closes to have one."""
    while wallet not in {peer.wallet for peer in db.peers()}:
        if not is_open(guest):
            await guest.dial(address_of(db.node, "quic"), hold_ms=0)
        await asyncio.sleep(0.05)


@pytest.mark.parametrize("rounds", [2, pytest.param(125, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])
async def test_g5_nobody_is_inside_whom_the_newest_list_does_not_name(rounds: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    choice = random.Random(seed)
    registry = SlowRegistry(choice)
    gate = {"refresh_interval": 1.0, "min_interval": 0.02, "negative_ttl": 0.1}
    async with victim(authorized_wallets=registry, gate=gate) as db, AsyncExitStack() as stack:
        registry.wallets.append(db.node.wallet)
        guests = [await stack.enter_async_context(intruder()) for _ in range(GUESTS)]

        async def change() -> None:
            for _ in range(STEPS * GUESTS):
                await asyncio.sleep(choice.random() * 0.02)
                registry.toggle(choice.choice(guests)[1].wallet)
                if choice.random() < 0.3:
                    await db.node.gate.refresh()
            # Both kinds have to be there in the end.
            registry.list(guests[0][1].wallet, listed=True)
            registry.list(guests[1][1].wallet, listed=False)

        outside, slowest = 0, 0.0
        for _ in range(rounds):
            await asyncio.gather(change(), *(knock(db.node, guest, choice) for guest, _ in guests))
            await db.node.gate.refresh()
            quiet = time.monotonic()
            listed = set(registry.wallets)
            inside = {key.wallet: guest for guest, key in guests if key.wallet in listed}
            strangers = {key.wallet: guest for guest, key in guests if key.wallet not in listed}
            outside += len(strangers)

            def gone() -> bool:
                known = {peer.wallet for peer in db.peers()}
                return not (known & strangers.keys()) and not any(is_open(guest) for guest in strangers.values())  # noqa: B023

            await eventually(gone, within=QUIET_WITHIN * SLACK)
            slowest = max(slowest, time.monotonic() - quiet)

            # The control: each who is on it gets in, if it is not there already.
            await soon(asyncio.gather(*(enter(db, guest, wallet) for wallet, guest in inside.items())))
        print(f"{rounds * GUESTS} interleavings, {outside} outside in the end, all gone within {slowest:.2f} s")
