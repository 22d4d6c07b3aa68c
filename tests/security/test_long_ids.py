"""Ids of messages as long as a frame: gossip would keep each of them whole for seconds."""

from __future__ import annotations

import pytest

from tests.security.rpc import rpc
from tests.security.test_gossip_floods import CONTROLS, GROWTH, Flood, flood

LONGEST = 64
"""Bytes of an id that is taken."""
HUGE = 1_000_000
FRAMES = 200

pytestmark = pytest.mark.timeout(180)


@pytest.mark.parametrize("control", CONTROLS)
async def test_r5_ids_that_no_message_can_have_are_left_out(control: str) -> None:
    speak, protocol = CONTROLS[control]
    async with flood(protocol) as f:

        def naming(number: int, length: int) -> bytes:
            ids = [number.to_bytes(length, "big")]
            return rpc(control=speak(f.topic, ids) if control == "ihave" else speak(ids))

        # The control: what a message may have is no such id.
        for number in range(100):
            assert await f.peer.write(f.stream, naming(number, LONGEST))
        await f.is_heard()
        assert await left_out(f) == 0

        for number in range(FRAMES):
            assert await f.peer.write(f.stream, naming(number, HUGE), within=60)
        assert await f.growth() < GROWTH
        # Whoever passes on what others say keeps the connection.
        await f.is_heard("after them")
        assert await left_out(f) == FRAMES
        await f.leaves_nothing()


async def left_out(f: Flood) -> int:
    metrics = (await f.node.report())["metrics"]
    return int(metrics.get("dropped_total:long-id", 0))
