"""Registries that name the bootstrap nodes: asked again while a node looks for its network, and not more than that."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair, RegistryError
from depinmesh.registry import HttpRegistry, any_of
from tests.registries import guarded, inside, visitor
from tests.support import eventually, soon
from tests.webserver import reply, status, web_server

if TYPE_CHECKING:
    from tests.webserver import WebServer


def a_minute_passes(registry: Any) -> None:
    """Let the last read be that old."""
    registry._asked -= 60


async def test_the_document_is_fetched_again_after_a_minute_and_the_last_nodes_stay_while_that_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with web_server({"wallets": [], "bootstrap_nodes": ["x"]}) as web, HttpRegistry(web.url) as registry:
        web.fault = status(500)
        with pytest.raises(RegistryError, match="HTTP 500"):
            await registry.bootstrap_nodes()
        web.fault = None
        assert await registry.bootstrap_nodes() == ["x"]
        web.value = {"wallets": [], "bootstrap_nodes": ["y"]}
        assert await registry.bootstrap_nodes() == ["x"]
        asked = len(web.requests)
        a_minute_passes(registry)
        assert await registry.bootstrap_nodes() == ["y"]
        assert len(web.requests) == asked + 1
        web.fault = status(500)
        a_minute_passes(registry)
        for _ in range(3):  # of which one asks
            assert await registry.bootstrap_nodes() == ["y"]
        assert len(web.requests) == asked + 2
        assert caplog.text.count("The bootstrap nodes of the last list are used: http://127.0.0.1") == 1
        assert "secret" not in caplog.text


async def test_nodes_and_wallets_that_are_asked_for_at_once_are_one_request() -> None:
    async with web_server({"wallets": [], "bootstrap_nodes": ["x"]}) as web, HttpRegistry(web.url) as registry:
        for requests in (1, 2):
            _, nodes = await asyncio.gather(registry.wallets(), registry.bootstrap_nodes())
            assert nodes == ["x"]
            assert len(web.requests) == requests
            a_minute_passes(registry)


async def test_nodes_do_not_wait_for_wallets_that_nobody_waits_for_any_more() -> None:
    release = asyncio.Event()

    async def late(web: WebServer, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        await reply(writer, 200, json.dumps(web.value).encode())

    async with web_server({"wallets": [], "bootstrap_nodes": ["x"]}) as web, HttpRegistry(web.url) as registry:
        web.fault = late
        wallets = asyncio.create_task(registry.wallets())
        await eventually(lambda: len(web.requests) == 1)
        nodes = asyncio.create_task(registry.bootstrap_nodes())
        wallets.cancel()
        await eventually(lambda: len(web.requests) == 2)
        release.set()
        assert await soon(nodes) == ["x"]


async def test_a_node_that_knows_nobody_connects_once_the_document_names_somebody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("depinmesh.registry.http.NODES_AGE", 0.1)
    host_key, key = Keypair.generate(), Keypair.generate()
    async with web_server({"wallets": [], "bootstrap_nodes": []}) as web:
        fields = {"bootstrap_nodes": HttpRegistry(web.url), "bootstrap": {"wait": "none", "retry_interval": 0.1}}
        async with guarded([host_key.wallet, key.wallet], host_key) as host, visitor(host, key, **fields):
            await eventually(lambda: len(web.requests) > 1)
            web.value = {"wallets": [], "bootstrap_nodes": host.node.bootstrap_entries()}
            await eventually(lambda: inside(host, key))


@pytest.mark.parametrize("listing", [True, False])
async def test_the_chain_is_read_again_after_a_minute_and_the_last_nodes_stay_while_that_fails(
    listing: bool, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("solana")
    from depinmesh.testing.chain import LocalChain
    from depinmesh.testing.tokens import DTelecom
    from tests.chains import registry_of

    one, two = Keypair.generate(), Keypair.generate()
    async with LocalChain() as chain:
        fleet = DTelecom(chain)
        registry = registry_of(chain, False, registry=str(fleet.registry), listing=listing)
        async with registry:
            chain.fault = 500
            with pytest.raises(RegistryError, match="HTTP 500"):
                await registry.bootstrap_nodes()
            chain.fault = None
            await fleet.set_node(one.wallet)
            asked = len(chain.calls)
            both = await asyncio.gather(registry.bootstrap_nodes(), registry.bootstrap_nodes())
            assert [[node.wallet for node in nodes] for nodes in both] == [[one.wallet]] * 2
            queries = len(chain.calls) - asked
            await fleet.set_node(two.wallet)
            assert [node.wallet for node in await registry.bootstrap_nodes()] == [one.wallet]
            a_minute_passes(registry)
            both = await asyncio.gather(registry.bootstrap_nodes(), registry.bootstrap_nodes())
            assert {node.wallet for node in both[0]} == {one.wallet, two.wallet}
            assert len(chain.calls) - asked == 2 * queries
            chain.fault = 500
            a_minute_passes(registry)
            for _ in range(3):
                assert len(await registry.bootstrap_nodes()) == 2
            assert caplog.text.count("The bootstrap nodes of the last list are used") == 1


class Naming:
    """A provider that names nodes, or fails."""

    def __init__(self, *nodes: str) -> None:
        self.nodes = nodes

    async def wallets(self) -> list[str]:
        return []

    async def bootstrap_nodes(self) -> list[str]:
        if not self.nodes:
            raise OSError("no answer to " + SECRET)
        return list(self.nodes)


SECRET = Keypair.generate().to_base58()


async def test_a_combination_names_no_nodes_only_where_no_part_fails(caplog: pytest.LogCaptureFixture) -> None:
    assert await any_of([], []).bootstrap_nodes() == []
    with pytest.raises(OSError, match="no answer to"):
        await any_of(Naming(), []).bootstrap_nodes()
    assert caplog.text == ""
    assert await any_of(Naming(), [], Naming("x")).bootstrap_nodes() == ["x"]
    assert caplog.text.count("A part of the registry gives no bootstrap nodes: OSError: no answer to (hidden)") == 1
    assert SECRET not in caplog.text
