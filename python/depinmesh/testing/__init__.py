"""For tests of programs that use depinmesh: real nodes on loopback, a registry that does as it is told, and faults.

A fixture for pytest with pytest-asyncio, and a test that uses it:

    import pytest_asyncio

    from depinmesh.testing import network

    @pytest_asyncio.fixture
    async def nodes():
        async with network(3) as databases:
            yield databases

    async def test_presence(nodes):
        first, second, third = nodes
        async with second.subscribe("presence") as events:
            await first.publish("presence", {"load": 0.5}, min_peers=1, timeout=10)
            assert (await events.get(timeout=10)).message == {"load": 0.5}

With the extra `solana`, `depinmesh.testing.chain.LocalChain` is a chain in the process, and `depinmesh.testing.tokens`
puts tokens and registry entries on it. Nothing here needs privileges, the internet, or a port of its own choice, so
tests can run at the same time.
"""

from depinmesh.testing.faults import crash
from depinmesh.testing.nodes import network
from depinmesh.testing.registry import MockRegistry
from depinmesh.testing.stranger import Stranger, Visit

__all__ = ["MockRegistry", "Stranger", "Visit", "crash", "network"]
