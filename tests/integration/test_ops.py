"""The ops server: health, metrics and status of real nodes, asked over HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from depinmesh import ClosedError, ConfigError, Keypair, ListenError, Node, connect
from depinmesh.ops import OpsServer
from depinmesh.testing import crash
from tests.support import WAIT, alone, eventually, fields_of, heard, mesh_of, nothing_left, soon

if TYPE_CHECKING:
    from depinmesh import Database


async def get(ops: OpsServer, page: str) -> httpx2.Response:
    """Ask for a page as a program on another machine would, without a proxy."""
    async with httpx2.AsyncClient(trust_env=False, timeout=WAIT) as client:
        return await client.get(ops.url + page)


async def status_of(ops: OpsServer, page: str) -> int:
    """Return the HTTP status of a page."""
    return (await get(ops, page)).status_code


async def test_peers_decide_on_readiness_and_not_on_liveness() -> None:
    ada, bob = Keypair.generate(), Keypair.generate()
    wallets = [ada.wallet, bob.wallet]
    async with connect(**fields_of(ada, wallets)) as db, OpsServer(db.node, port=0) as ops:
        assert await status_of(ops, "/readyz") == 503
        assert "peers" in (await get(ops, "/readyz")).text
        known = db.node.bootstrap_entries()
        async with connect(**fields_of(bob, wallets, bootstrap_nodes=known)):
            await db.wait_ready(WAIT)
            assert await status_of(ops, "/readyz") == 200
            assert await status_of(ops, "/livez") == 200
        await eventually(lambda: not db.is_ready)
        answer = await get(ops, "/readyz?verbose")
        assert answer.status_code == 503
        assert "[-] peers: 0 of 1 or more" in answer.text
        assert "[+] registry: 2 wallets" in answer.text
        assert await status_of(ops, "/livez") == 200
        assert await status_of(ops, "/startupz") == 200


async def test_a_registry_that_never_answered_makes_a_node_unready_and_leaves_it_alive() -> None:
    def registry() -> list[str]:
        raise OSError("the chain is away")

    async with connect(**alone(authorized_wallets=registry)) as db, OpsServer(db.node, port=0, min_peers=0) as ops:
        answer = await get(ops, "/readyz?verbose")
        assert answer.status_code == 503
        assert "[-] registry: no list of wallets yet" in answer.text
        assert await status_of(ops, "/livez") == 200
        assert await status_of(ops, "/startupz") == 200


async def test_a_start_and_a_failure_of_the_core_are_seen() -> None:
    node = Node(**alone())
    async with OpsServer(node, port=0) as ops:
        assert await status_of(ops, "/startupz") == 503
        assert await status_of(ops, "/livez") == 200
        async with node:
            assert await status_of(ops, "/startupz") == 200
            crash(node)
            await eventually(lambda: node.state == "failed")
            assert await status_of(ops, "/livez") == 503
            assert (await get(ops, "/status")).json()["node"]["state"] == "failed"
            assert await status_of(ops, "/metrics") == 200
        assert (await get(ops, "/status")).json()["node"]["state"] == "closed"
        assert await status_of(ops, "/readyz") == 503


async def test_nothing_shows_what_a_node_was_before_its_core_has_failed(pair: tuple[Database, Database]) -> None:
    one, _ = pair
    names = ("depinmesh_ready", "depinmesh_peers", "depinmesh_database_ready", "depinmesh_listen_addresses")

    async def shown(ops: OpsServer) -> dict[str, float]:
        lines = (await get(ops, "/metrics")).text.splitlines()
        return {line.partition("{")[0].split()[0]: float(line.split()[-1]) for line in lines if line.startswith(names)}

    async with OpsServer(one.node, port=0) as ops:
        before = await shown(ops)
        assert before.keys() == set(names)
        assert all(before.values())
        crash(one.node)
        await eventually(lambda: one.node.state == "failed")
        assert not any((await shown(ops)).values())
        assert "[-] peers: 0 of 1 or more" in (await get(ops, "/readyz?verbose")).text


async def test_the_status_names_peers_databases_topics_and_registry(pair: tuple[Database, Database]) -> None:
    one, two = pair
    async with OpsServer(one.node, port=0) as ops, two.subscribe("rooms"), one.subscribe("rooms") as rooms:
        await heard(one, two, "rooms")
        await heard(two, one, "rooms")
        await two.publish("rooms", {"load": 1})
        await rooms.get(WAIT)
        answer = await get(ops, "/status")
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    status: dict[str, Any] = answer.json()
    assert status["node"]["peer_id"] == one.node.peer_id
    assert status["node"]["state"] == "running"
    assert status["node"]["bootstrap_entries"] == one.node.bootstrap_entries()
    (peer,) = status["peers"]
    assert peer["wallet"] == two.node.wallet
    assert peer["transport"] in {"quic", "tcp"}
    (database,) = status["databases"]
    assert database["peers"] == [two.node.peer_id]
    (topic,) = database["topics"]
    assert topic["topic"] == "rooms"
    assert topic["peers"] == [two.node.peer_id]
    assert topic["subscriptions"][0]["delivered"] == 1
    assert sorted(status["registry"]["wallets"]) == sorted([one.node.wallet, two.node.wallet])
    assert status["registry"]["listed"] is True
    assert {check["name"] for check in status["checks"]} == {"core", "listening", "peers", "registry"}
    assert status["build"]["depinmesh"]


async def test_no_page_shows_a_secret() -> None:
    key = Keypair.generate()
    async with connect(**fields_of(key, [key.wallet])) as db, OpsServer(db.node, port=0) as ops:
        for page in ("/livez?verbose", "/readyz?verbose", "/startupz?verbose", "/metrics", "/status"):
            assert key.to_base58() not in (await get(ops, page)).text


async def test_only_names_of_this_machine_are_answered_on_loopback() -> None:
    async with (
        connect(**alone()) as db,
        OpsServer(db.node, port=0) as ops,
        httpx2.AsyncClient(trust_env=False, timeout=WAIT) as client,
    ):
        port = ops.url.rpartition(":")[2]
        for host, code in (("evil.example", 400), (f"localhost:{port}", 200), (f"127.0.0.1:{port}", 200)):
            answer = await client.get(ops.url + "/status", headers={"host": host})
            assert answer.status_code == code
        assert (await client.post(ops.url + "/status")).status_code == 405
        assert (await client.get(ops.url + "/other")).status_code == 404


async def test_it_answers_on_ipv6_too() -> None:
    async with connect(**alone()) as db, OpsServer(db.node, host="::1", port=0) as ops:
        assert ops.url.startswith("http://[::1]:")
        assert await status_of(ops, "/livez") == 200


@pytest.mark.parametrize(
    "wrong", [{"host": "example.org"}, {"port": 70_000}, {"port": True}, {"min_peers": -1}, {"port": "8081"}]
)
def test_wrong_arguments_are_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        OpsServer(Node(**alone()), **wrong)


async def test_a_taken_port_is_named_and_nothing_is_left() -> None:
    async with nothing_left(), connect(**alone()) as db:
        with socket.create_server(("127.0.0.1", 0)) as other:
            port = other.getsockname()[1]
            with pytest.raises(ListenError, match=str(port)) as caught:
                await OpsServer(db.node, port=port).start()
            assert caught.value.port == port


async def test_it_ends_with_its_block_and_leaves_nothing() -> None:
    async with nothing_left(), connect(**alone()) as db:
        ops = OpsServer(db.node, port=0)
        with pytest.raises(ClosedError):
            _ = ops.url
        await ops.close()
        async with httpx2.AsyncClient(trust_env=False, timeout=WAIT) as client:
            async with ops:
                with pytest.raises(ClosedError):
                    await ops.start()
                assert (await client.get(ops.url + "/livez")).text == "ok\n"
            await ops.close()
            with pytest.raises(httpx2.TransportError):
                await client.get(ops.url + "/livez")


async def test_a_close_that_is_cancelled_tells_so_and_closes_all_the_same() -> None:
    async with nothing_left(), connect(**alone()) as db:
        ops = OpsServer(db.node, port=0)
        await ops.start()
        closing = asyncio.create_task(ops.close())
        await asyncio.sleep(0)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await soon(closing)
        with pytest.raises(httpx2.TransportError):
            await get(ops, "/livez")


async def test_the_loggers_of_a_uvicorn_of_the_program_stay_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    loggers = [logging.getLogger(f"uvicorn.{part}") for part in ("error", "access", "asgi")]
    caplog.set_level(logging.INFO)

    def state() -> list[tuple[int, bool, list[logging.Handler]]]:
        return [(logger.level, logger.propagate, list(logger.handlers)) for logger in loggers]

    handler = logging.NullHandler()
    loggers[1].addHandler(handler)
    try:
        before = state()
        async with connect(**alone()) as db, OpsServer(db.node, port=0) as ops:
            assert (await get(ops, "/livez")).text == "ok\n"
            assert state() == before
        assert state() == before
    finally:
        loggers[1].removeHandler(handler)
    assert [record for record in caplog.records if record.name == "uvicorn.access"] == []


async def test_connections_that_stay_silent_give_way_and_every_page_is_answered() -> None:
    async with nothing_left(), connect(**alone()) as db, AsyncExitStack() as stack:
        ops = await stack.enter_async_context(OpsServer(db.node, port=0, min_peers=0))
        async with httpx2.AsyncClient(trust_env=False, timeout=WAIT) as client:
            places = set()
            silent = []
            for _ in range(200):
                reader, writer = await asyncio.open_connection("127.0.0.1", int(ops.url.rpartition(":")[2]))
                stack.callback(writer.close)
                silent.append(reader)
            for page in ("/livez", "/readyz?verbose", "/metrics", "/status"):
                assert await status_of(ops, page) == 200
                answer = await client.get(ops.url + page)
                assert answer.status_code == 200
                places.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
            assert len(places) == 1  # kept alive beside those who come and go
            for reader in silent[:136]:
                assert await soon(reader.read()) == b""  # the server has ended it
            assert not silent[-1].at_eof()
        await ops.close()
        for reader in silent[136:]:
            assert await soon(reader.read()) == b""


async def test_openmetrics_is_given_to_who_asks_for_it(pair: tuple[Database, Database]) -> None:
    async with OpsServer(pair[0].node, port=0) as ops, httpx2.AsyncClient(trust_env=False, timeout=WAIT) as client:
        answer = await client.get(
            f"{ops.url}/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0"}
        )
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    families = {family.name for family in parse_openmetrics(answer.text)}  # type: ignore[no-untyped-call]  # of the library
    assert {"depinmesh_peers", "depinmesh_received", "depinmesh_ping_seconds", "process_cpu_seconds"} <= families


@pytest.mark.parametrize("kind", ["application/openmetrics-text;version=abc", "text/plain;version=x"])
async def test_a_version_that_is_none_is_answered_with_the_usual_one(kind: str) -> None:
    async with (
        OpsServer(Node(**alone()), port=0) as ops,
        httpx2.AsyncClient(trust_env=False, timeout=WAIT) as client,
    ):
        answer = await client.get(f"{ops.url}/metrics", headers={"accept": kind})
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/plain")


async def test_scrapes_under_load_parse_and_lose_no_event() -> None:
    events = 2_000
    async with mesh_of(2) as (one, two), two.subscribe("load", queue_size=events) as sub:
        await heard(one, two, "load")
        async with OpsServer(two.node, port=0) as ops, httpx2.AsyncClient(trust_env=False, timeout=WAIT) as client:
            seen = []
            for number in range(events):
                await one.publish("load", {"n": number})
                if number % 200 == 0:
                    families = {
                        f.name: f for f in text_string_to_metric_families((await client.get(f"{ops.url}/metrics")).text)
                    }
                    seen.append(families["depinmesh_received"].samples[0].value)
            for number in range(events):
                assert (await sub.get(WAIT)).message == {"n": number}
    assert seen == sorted(seen)
    assert seen[-1] > seen[0]


def test_the_status_is_strict_json() -> None:
    from depinmesh.ops import report

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    json.loads(report(Node(**alone())), parse_constant=refuse)
