"""A node notices that another host has its key."""

from __future__ import annotations

from contextlib import AsyncExitStack

import pytest

from depinmesh import DialError, DuplicateIdentity, Keypair, Node
from tests.support import LISTEN, eventually, fields_of, soon


@pytest.mark.parametrize("transport", ["quic", "tcp"])
async def test_a_node_notices_that_another_host_has_its_key(transport: str, caplog: pytest.LogCaptureFixture) -> None:
    key = Keypair.generate()
    listen = {**LISTEN, "quic_port": None, "tcp_port": None, f"{transport}_port": 0}
    async with AsyncExitStack() as stack:
        nodes = []
        for _ in range(2):
            node = await stack.enter_async_context(Node(**fields_of(key, [key.wallet], listen=listen)))
            await node.database()
            nodes.append(node)
        one = nodes[0]
        other = nodes[1].addresses[0].partition("/p2p/")[0]
        noticed = one.events(DuplicateIdentity)
        with pytest.raises(DialError, match="another one with its key"):
            await one.dial(other)
        assert (await soon(anext(noticed))).address.partition("/p2p/")[0] == other
        await eventually(lambda: "give each node a wallet of its own" in caplog.text)
