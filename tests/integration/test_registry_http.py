"""`HttpRegistry` through a real gate: every fault of a web server leaves the last good list."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import subprocess
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import ConfigError, Keypair, RegistryError, RegistryFailed
from depinmesh.registry import HttpRegistry
from tests.registries import guarded, inside, random_wallets, visitor
from tests.support import eventually, nothing_left, soon, waiting_in
from tests.webserver import body, drips, floods, hangs, resets, status, truncates, web_server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.webserver import Behaviour


def keys(n: int) -> list[Keypair]:
    return [Keypair.generate() for _ in range(n)]


def texts(*some: Keypair) -> list[str]:
    return [str(key.wallet) for key in some]


FAULTS: dict[str, tuple[Behaviour, str]] = {
    "hangs": (hangs, r"no answer within 0\.5 s"),
    "slow drip": (drips, r"no answer within 0\.5 s"),
    "429": (status(429), "HTTP 429|asked too often"),
    "500": (status(500), "HTTP 500"),
    "403": (status(403), "HTTP 403"),
    "204": (status(204), "HTTP 204"),
    "no JSON": (body(b"<html>"), "is not JSON"),
    "half JSON": (body(b'["a", '), "is not JSON"),
    "JSON that is no list": (body(b'{"error": "x"}'), "has no list of wallets"),
    "a list of objects": (body(b'[{"wallet": "x"}]'), "which is no text"),
    "a list of other texts": (body(b'["a", "b"]'), "something else than wallets"),
    "too large": (floods, "larger than 100,000 bytes"),
    "compressed": (body(b"x", content_encoding="gzip"), "compressed"),
    "truncated": (truncates, "RemoteProtocolError"),
    "reset": (resets, "(RemoteProtocolError|ReadError)"),
    "redirect to another host": (status(302, location="http://127.0.0.2:1/x"), "redirect to http://127.0.0.2:1"),
    "redirect for ever": (status(302, location="/again"), "more than 3 redirects"),
    "304 unasked": (status(304), "HTTP 304"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_leaves_the_last_good_list_and_the_next_good_answer_counts(fault: str) -> None:
    host_key, friend, latecomer, stranger = keys(4)
    async with web_server(texts(host_key, friend, latecomer)) as web:
        registry = HttpRegistry(web.url, timeout=0.5, max_size=100_000)
        async with guarded(registry, host_key, negative_ttl=0.1) as host, visitor(host, friend):
            await eventually(lambda: inside(host, friend))
            web.fault, error = FAULTS[fault]
            web.value = texts(host_key, friend, stranger)
            with pytest.raises(RegistryError, match=error) as raised:
                await host.node.gate.refresh()
            assert "secret" not in str(raised.value)
            assert set(host.node.gate.wallets) == set(texts(host_key, friend, latecomer))
            async with visitor(host, latecomer):  # by the last good list
                await eventually(lambda: inside(host, friend, latecomer))
            web.fault = None
            await eventually(lambda: set(host.node.gate.wallets) == set(web.value))


@pytest.mark.parametrize("left", [0, 1], ids=["empty list", "less than half"])
async def test_a_list_that_loses_too_much_has_to_be_served_twice(left: int) -> None:
    host_key, *others = keys(4)
    async with (
        web_server(texts(host_key, *others)) as web,
        guarded(HttpRegistry(web.url), host_key) as host,
        visitor(host, others[0]),
    ):
        await eventually(lambda: inside(host, others[0]))
        web.value, began = web.value[:left], time.monotonic()
        await host.node.gate.refresh()
        assert len(host.node.gate.wallets) == 4
        await eventually(lambda: len(host.node.gate.wallets) == left)
        assert time.monotonic() - began >= 2
        await eventually(lambda: inside(host))


async def test_connections_are_closed_with_the_node() -> None:
    host_key = Keypair.generate()
    async with web_server(texts(host_key)) as web, nothing_left(), guarded(HttpRegistry(web.url), host_key) as host:
        await eventually(lambda: host.node.gate.listed)


async def test_a_server_that_is_not_there_or_has_no_address_is_a_registry_that_fails() -> None:
    host_key = Keypair.generate()
    for url in ("http://127.0.0.1:1/", "http://no-such-host.invalid/"):
        async with guarded(HttpRegistry(url), host_key) as host:
            with pytest.raises(RegistryError, match="ConnectError"):
                await host.node.gate.refresh()
            assert host.node.gate.wallets == []


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """Return a self-signed certificate of 127.0.0.1, with its key beside it."""
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(tmp_path / "key.pem"), "-out", str(tmp_path / "cert.pem")]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no openssl to make a certificate with")
    return tmp_path / "cert.pem"


async def test_a_certificate_that_is_not_trusted_fails_and_one_that_is_given_serves(certificate: Path) -> None:
    host_key = Keypair.generate()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, certificate.with_name("key.pem"))
    async with web_server(texts(host_key), tls) as web:
        url = f"https://127.0.0.1:{web.port}/"
        async with guarded(HttpRegistry(url), host_key) as host:
            with pytest.raises(RegistryError, match=r"(?i)certificate"):
                await host.node.gate.refresh()
        async with guarded(HttpRegistry(url, ca_file=certificate), host_key) as host:
            await eventually(lambda: host.node.gate.listed)
        async with web_server([]) as plain:  # a redirect must not take the headers out of TLS
            web.fault = status(302, location=f"http://127.0.0.1:{plain.port}/")
            async with guarded(HttpRegistry(url, ca_file=certificate, redirect_hosts=["127.0.0.1"])) as host:
                with pytest.raises(RegistryError, match="not allowed"):
                    await host.node.gate.refresh()
            assert plain.requests == []


async def test_a_redirect_on_the_same_host_and_to_an_allowed_one_is_followed() -> None:
    host_key = Keypair.generate()
    async with web_server(texts(host_key)) as target, web_server([]) as web:
        web.fault = status(307, location=f"http://127.0.0.1:{target.port}/moved")
        registry = HttpRegistry(web.url, headers={"authorization": "Bearer x"}, redirect_hosts=["127.0.0.1"])
        assert list((await registry.wallets()).wallets) == texts(host_key)
        assert target.paths == ["/moved"]
        assert target.requests[0]["authorization"] == "Bearer x"
        await registry.__aexit__()


async def test_what_has_not_changed_is_not_sent_again() -> None:
    host_key, friend = keys(2)
    async with web_server({"wallets": texts(host_key), "bootstrap_nodes": ["x"]}) as web:
        web.etag = '"1"'
        async with HttpRegistry(web.url) as registry:
            assert list((await registry.wallets()).wallets) == texts(host_key)
            again = await registry.wallets()
            assert list(again.wallets) == texts(host_key)
            assert again.source == f"http://127.0.0.1:{web.port}"
            assert again.age < 5
            assert web.requests[1]["if-none-match"] == '"1"'
            assert await registry.bootstrap_nodes() == ["x"]
            web.value, web.etag = texts(friend), '"2"'
            assert list((await registry.wallets()).wallets) == texts(friend)
            assert await registry.bootstrap_nodes() == []


async def test_a_tag_that_cannot_be_sent_back_is_left_out() -> None:
    async with web_server(texts(*keys(1))) as web, HttpRegistry(web.url) as registry:
        web.etag = '"\u00e9"'
        for _ in range(2):
            assert list((await registry.wallets()).wallets) == web.value
        assert ["if-none-match" in headers for headers in web.requests] == [False, False]


async def test_a_server_that_is_asked_too_often_is_left_alone_as_long_as_it_wants() -> None:
    async with web_server([]) as web:
        web.fault = status(429, retry_after="1")
        async with HttpRegistry(web.url) as registry:
            for _ in range(3):
                with pytest.raises(RegistryError, match=r"429|asked too often"):
                    await registry.wallets()
            assert len(web.requests) == 1
            web.fault = None
            await asyncio.sleep(1)
            await registry.wallets()


async def test_two_servers_of_which_one_dies_under_load_lose_nobody_and_one_line_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING, "depinmesh")
    host_key, *friends = keys(5)
    listed = texts(host_key, *friends)
    async with web_server(listed) as first, web_server(listed) as second, AsyncExitStack() as stack:
        registry = HttpRegistry([first.url, second.url], timeout=0.5)
        host = await stack.enter_async_context(guarded(registry, host_key, refresh_interval=0.2))
        for friend in friends:
            await stack.enter_async_context(visitor(host, friend))
        await eventually(lambda: inside(host, *friends))
        assert second.requests == []
        failures = host.node.events(RegistryFailed)
        first.fault = hangs
        reads = [asyncio.create_task(host.node.gate.refresh()) for _ in range(50)]
        await soon(asyncio.gather(*reads))
        served = len(second.requests)
        await eventually(lambda: len(second.requests) > served + 5)
        assert inside(host, *friends)
        assert await waiting_in(failures) == []
        switches = [record.getMessage() for record in caplog.records if "now read from" in record.getMessage()]
        assert len(switches) == 1
        assert f"127.0.0.1:{second.port}" in switches[0]
        assert "secret" not in caplog.text


async def test_a_hundred_thousand_wallets_come_through() -> None:
    wallets = random_wallets(2000) * 50  # duplicates too
    async with web_server(wallets) as web, HttpRegistry(web.url) as registry:
        longest = before = 0.0

        async def tick() -> None:
            nonlocal longest, before
            while True:
                before = time.thread_time()
                await asyncio.sleep(0.001)
                longest = max(longest, time.thread_time() - before)

        ticking = asyncio.create_task(tick())
        began = time.perf_counter()
        snapshot = await registry.wallets()
        ticking.cancel()
        print(
            f"{len(json.dumps(wallets)):,} bytes in {time.perf_counter() - began:.3f} s, longest turn {longest:.3f} s"
        )
        assert len(snapshot.wallets) == 100_000
        assert longest < 3 * 0.05


@pytest.mark.parametrize("urls", ["", [], "ftp://x/", "https://", ["https://a/", "b"], 7, [7]])
def test_what_is_no_url_is_refused_at_once(urls: Any) -> None:
    with pytest.raises((ConfigError, TypeError)):
        HttpRegistry(urls)
