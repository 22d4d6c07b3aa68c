"""A child of fork cannot use the nodes of its parent, is told so at once, and does them no harm."""

from __future__ import annotations

import os
import time
import traceback
from typing import TYPE_CHECKING

import pytest

from depinmesh import ForkedProcessError
from tests.support import heard, mesh_of

if TYPE_CHECKING:
    from depinmesh import Database

REFUSED = 0.1
"""Seconds in which the child has its error."""
SLACK = 3

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def child_of(db: Database) -> float:
    """Fork; return how long the first call took to be refused in the child."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        try:
            began = time.monotonic()
            with pytest.raises(ForkedProcessError):
                db.publish_nowait("rooms", 0)
            took = time.monotonic() - began
            with pytest.raises(ForkedProcessError):
                db.peers()
            os.write(writing, str(took).encode())
        except BaseException:  # noqa: BLE001  # the child ends here, whatever it was
            traceback.print_exc()
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    os.wait()
    assert told, "the child was not refused"
    return float(told)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("times", [20, pytest.param(1_000, marks=pytest.mark.slow)])
async def test_every_child_is_refused_and_the_parent_goes_on(times: int) -> None:
    async with mesh_of(2) as (one, other), other.subscribe("rooms") as events:
        await heard(one, other, "rooms")
        took = []
        for number in range(times):
            took.append(child_of(one))
            await one.publish("rooms", number)
            assert (await events.get(15)).message == number
    print(f"{times} children, refused after {max(took) * 1000:.1f} ms at most")
    assert max(took) <= REFUSED * SLACK
