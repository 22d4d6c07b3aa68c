"""Wallets that are removed from the list of a fleet are out everywhere, and in again when they are back on it."""

from __future__ import annotations

from tests.integration.revocations import revoke


async def test_wallets_that_are_removed_are_out_everywhere_and_back_when_they_are_listed_again() -> None:
    print(await revoke(6, 2, retries=3))
