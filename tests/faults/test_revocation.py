"""Fifty nodes on one machine, ten of which lose their place."""

from __future__ import annotations

import pytest

from tests.integration.revocations import revoke

pytestmark = pytest.mark.slow


@pytest.mark.timeout(600)
async def test_ten_of_fifty_wallets_are_removed_at_once() -> None:
    print(await revoke(50, 10, retries=60))
