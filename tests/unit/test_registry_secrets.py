"""What registries over HTTP show of their URLs and headers, where keys stand: nothing."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from depinmesh import Config, ConfigError, Keypair, RegistryError
from depinmesh.registry import HttpRegistry
from tests.support import soon
from tests.webserver import reply, status, web_server

if TYPE_CHECKING:
    from tests.webserver import WebServer

HEADERS = {"x-tenant": "a b", "x-api-key": "HeaderKey"}


async def test_no_library_logs_the_requests_of_a_registry_and_those_of_the_program_are_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    listed = [str(Keypair.generate().wallet)]

    async def moves(web: WebServer, writer: asyncio.StreamWriter) -> None:
        web.fault = None
        await reply(writer, 307, location="/LocationKey", set_cookie="id=CookieKey")

    async with web_server(listed) as web, web_server([]) as other:
        web.fault = moves
        place, own = f"127.0.0.1:{web.port}/PathKey?key=QueryKey", f"http://127.0.0.1:{other.port}/own"
        registry = HttpRegistry(f"http://user:UserKey@{place}", headers=HEADERS)
        async with registry, httpx2.AsyncClient(trust_env=False) as client:
            assert list((await registry.wallets()).wallets) == listed
            assert web.paths == ["/PathKey?key=QueryKey", "/LocationKey"]
            assert web.requests[0]["authorization"].startswith("Basic ")
            assert web.requests[0]["x-api-key"] == "HeaderKey"
            assert not [record for record in caplog.records if record.name.startswith("http")]
            await asyncio.gather(registry.wallets(), client.get(own))
    assert f"HTTP Request: GET {own}" in caplog.text
    assert {"httpx2", "httpcore2.http11"} <= {record.name for record in caplog.records}
    for part in ("Path", "Query", "User", "Header", "Location", "Cookie"):
        assert f"{part}Key" not in caplog.text


@pytest.mark.parametrize("user", ["", "user@"])
async def test_neither_the_log_nor_the_error_of_a_websocket_shows_its_path_or_headers(
    user: str, caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("solana")
    from depinmesh.registry import SolanaRegistry

    caplog.set_level(logging.DEBUG)
    async with web_server([]) as web:
        web.fault = status(403)
        url = f"ws://{user}127.0.0.1:{web.port}/PathKey"
        address = str(Keypair.generate().wallet)
        async with SolanaRegistry(web.url, websocket=url, headers=HEADERS, registry=address) as registry:
            changes: Any = registry.changes()
            with pytest.raises(RegistryError, match="InvalidURI" if user else "HTTP 403") as raised:
                await soon(anext(changes))
        assert [headers["x-api-key"] for headers in web.requests] == ([] if user else ["HeaderKey"])
    assert "Key" not in str(raised.value)
    assert "Key" not in caplog.text


@pytest.mark.parametrize("value", ["Bearer s3cret\n", " Bearer s3cret", "Bearer s3cret\0", "s3cr\u00e9t", b"s3cret", 5])
def test_a_header_that_cannot_be_sent_is_refused_by_its_name_without_its_value(value: Any) -> None:
    headers = {**HEADERS, "authorization": value}
    with pytest.raises(ConfigError, match=r"headers\.authorization: .*strip\(\)") as raised:
        HttpRegistry("https://fleet.example/", headers=headers)
    assert "s3c" not in str(raised.value)
    given = {"type": "http", "urls": "https://fleet.example/", "headers": headers}
    with pytest.raises(ConfigError) as raised:
        Config.load(private_key=Keypair.generate(), authorized_wallets=given, env=False)
    assert [problem.path for problem in raised.value.errors] == ["authorized_wallets.headers.authorization"]
    assert "s3c" not in str(raised.value)


def test_a_header_whose_name_is_none_is_refused_by_its_place_as_its_name_may_be_the_secret() -> None:
    with pytest.raises(ConfigError, match=r"headers\[2\]") as raised:
        HttpRegistry("https://fleet.example/", headers={**HEADERS, "Bearer s3cret": "authorization"})
    assert "s3cret" not in str(raised.value)


def test_headers_of_any_form_that_can_be_sent_are_taken() -> None:
    HttpRegistry("https://fleet.example/", headers={"X-Empty": "", "x_y.z": "a\tb  c", "cookie": 'a="b"; c=d'})


async def test_what_cannot_be_sent_for_another_reason_is_an_error_without_the_words_of_the_library() -> None:
    async with web_server([]) as web, HttpRegistry(web.url, headers={"transfer-encoding": "s3cret"}) as registry:
        with pytest.raises(RegistryError, match=r"LocalProtocolError$"):
            await registry.wallets()
