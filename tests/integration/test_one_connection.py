"""One connection to each peer, however two nodes come to each other."""

from __future__ import annotations

import pytest

from tests.integration.meetings import TRANSPORTS, faultless, meetings


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_two_nodes_that_dial_each_other_at_once_keep_one_connection_and_lose_nothing(transport: str) -> None:
    met = await meetings(transport, 4, at_once=4)
    assert [meeting for meeting in met if not faultless(meeting)] == []
    assert any(meeting.seconds for meeting in met)
