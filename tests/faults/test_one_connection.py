"""Two hundred pairs of new nodes that dial each other at the same moment, over each transport."""

from __future__ import annotations

import pytest

from tests.integration.meetings import TRANSPORTS, faultless, meetings

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.timeout(600)
async def test_two_nodes_that_dial_each_other_at_once_keep_one_connection_and_lose_nothing(transport: str) -> None:
    met = await meetings(transport, 200, at_once=8)
    print(f"{len(met)} pairs, {sum(map(bool, (one.seconds for one in met)))} had a second connection")
    assert [meeting for meeting in met if not faultless(meeting)] == []
