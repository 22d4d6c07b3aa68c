"""What was published right before a node closes."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair, connect
from tests.support import WAIT, eventually, fields_of

if TYPE_CHECKING:
    from depinmesh import Event

OTHERS = 4
BIG = 1_000_000


def hear(numbers: list[int], event: Event) -> None:
    numbers.append(event.message[0])


@pytest.mark.timeout(60)
@pytest.mark.parametrize("transport", ["quic", "tcp"])
@pytest.mark.parametrize(("count", "size"), [(5, BIG), (50, 100_000), (2_000, 2_000)])
async def test_it_arrives_also_where_it_takes_a_while(transport: str, count: int, size: int) -> None:
    keys = [Keypair.generate() for _ in range(OTHERS + 1)]
    wallets = [key.wallet for key in keys]
    ports: dict[str, Any] = {"quic_port": None, "tcp_port": None, f"{transport}_port": 0}
    fields: dict[str, Any] = {"listen": {"hosts": ["127.0.0.1"], **ports}}
    heard: list[list[int]] = [[] for _ in range(OTHERS)]
    async with AsyncExitStack() as stack:
        one = await connect(**fields_of(keys[0], wallets, **fields))
        stack.push_async_callback(one.close)
        fields["bootstrap_nodes"] = one.node.bootstrap_entries()
        for key, numbers in zip(keys[1:], heard, strict=True):
            other = await stack.enter_async_context(connect(**fields_of(key, wallets, **fields)))
            await other.subscribe("t", partial(hear, numbers), queue_size=count, queue_bytes=2 * count * size)
        await one.wait_for_peers("t", OTHERS, WAIT)
        for number in range(count):
            await one.publish("t", [number, "x" * size], timeout=WAIT)
        await one.close()
        # Each of them also passes it on to the others, so that some may overtake others.
        await eventually(lambda: all(sorted(numbers) == list(range(count)) for numbers in heard))
