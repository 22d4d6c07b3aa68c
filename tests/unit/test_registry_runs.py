"""Registries in several runs of the event loop, and their connections while several nodes of one use them."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from depinmesh import Keypair
from depinmesh.registry import FileRegistry, HttpRegistry, LoggedRegistry, any_of
from tests.support import WAIT, eventually, nothing_left, soon
from tests.webserver import reply, web_server

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from tests.webserver import WebServer


async def test_a_request_goes_on_when_another_node_leaves() -> None:
    release = asyncio.Event()

    async def late(_: WebServer, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        await reply(writer, 200, b"[]")

    async with web_server([]) as web, nothing_left():
        web.fault = late
        async with HttpRegistry(web.url) as registry:
            async with registry:
                reading = asyncio.create_task(registry.wallets())
                await eventually(lambda: len(web.requests) == 1)
            release.set()
            await soon(reading)
        assert registry._fetcher._clients.take() is None


def test_a_file_serves_one_run_after_another(tmp_path: Path) -> None:
    path = tmp_path / "fleet.txt"
    path.write_text("")
    registry = FileRegistry(path)

    async def read() -> None:
        await asyncio.gather(*(registry.wallets() for _ in range(3)))

    for _ in range(2):
        asyncio.run(read())


def test_a_file_keeps_no_loop_that_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "fleet.txt"
    path.write_text("")
    registry = FileRegistry(path)
    loops = []

    async def read() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await asyncio.gather(*(registry.wallets() for _ in range(3)))  # so that somebody waits

    for _ in range(4):
        asyncio.run(read())
    gc.collect()
    assert sum(loop() is not None for loop in loops) <= 1


@contextmanager
def kept_alive(wallets: list[str]) -> Iterator[str]:
    """Serve a list on connections that stay open; yields its URL."""
    body = json.dumps(wallets).encode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            serving.join()


def in_two_loops(use: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do it in the event loops of two threads at once."""
    together = threading.Barrier(2, timeout=WAIT)

    def run() -> None:
        together.wait()
        asyncio.run(soon(use()))

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(run) for _ in range(2)]:
            done.result()


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # who does not enter it does not close
def test_a_web_server_serves_one_run_after_another_and_two_at_once() -> None:
    listed = str(Keypair.generate().wallet)
    with kept_alive([listed]) as url:
        registry = HttpRegistry(url)

        async def read() -> None:
            assert list((await registry.wallets()).wallets) == [listed]

        for _ in range(3):  # without entering it
            asyncio.run(read())

        async def reads() -> None:
            async with registry:
                for _ in range(40):
                    await read()

        for _ in range(3):
            in_two_loops(reads)


def test_checks_of_two_loops_at_once_are_each_answered_in_their_own() -> None:
    pytest.importorskip("solana")
    from depinmesh.testing.tokens import DTelecom
    from tests.chains import chain_aside, registry_of

    with chain_aside() as (chain, run):
        fleet = DTelecom(chain)
        listed = Keypair.generate().wallet
        run(fleet.set_node(listed))
        registry = registry_of(chain, False, registry=str(fleet.registry), listing=False)

        async def checks() -> None:
            async with registry:
                for _ in range(30):
                    assert await registry.check(listed)
                    assert not await registry.check(Keypair.generate().wallet)

        in_two_loops(checks)


def test_what_is_made_of_others_serves_one_run_after_another() -> None:
    listed = [Keypair.generate().wallet]
    registry = LoggedRegistry(any_of(lambda: listed))

    async def read() -> None:
        async with nothing_left(), registry:
            answers = await soon(asyncio.gather(*(registry.wallets() for _ in range(3))))
            assert [list(answer.wallets) for answer in answers] == [listed] * 3

    for _ in range(2):  # without entering it
        assert list(asyncio.run(soon(registry.wallets())).wallets) == listed
    for _ in range(2):
        asyncio.run(read())


def test_one_run_after_another_hears_what_expires_and_can_read_twice_at_once() -> None:
    pytest.importorskip("solana")
    from depinmesh.testing.tokens import DTelecom
    from tests.chains import chain_aside, registry_of

    with chain_aside() as (chain, run):
        fleet = DTelecom(chain)
        registry = registry_of(chain, False, registry=str(fleet.registry), entries="both")
        node = Keypair.generate().wallet
        run(fleet.set_node(node))

        async def hears() -> None:
            client = Keypair.generate().wallet
            async with registry:
                changes = registry.changes()
                expired = asyncio.ensure_future(anext(changes))
                await asyncio.sleep(0)
                await asyncio.to_thread(run, fleet.set_client(client, int(time.time()) + 2))
                snapshot, _ = await asyncio.gather(registry.wallets(), registry.wallets())
                assert set(snapshot.wallets) == {bytes(node), bytes(client)}
                assert list((await soon(expired)).wallets) == [bytes(node)]

        for _ in range(2):
            asyncio.run(hears())


async def test_a_check_goes_on_when_another_node_leaves() -> None:
    pytest.importorskip("solana")
    from depinmesh.testing.chain import LocalChain
    from depinmesh.testing.tokens import DTelecom
    from tests.chains import registry_of

    key = Keypair.generate()
    async with LocalChain() as chain:
        fleet = DTelecom(chain)
        await fleet.set_node(key.wallet)
        async with registry_of(chain, False, registry=str(fleet.registry), listing=False) as registry:
            async with registry:
                check = asyncio.create_task(registry.check(key.wallet))
                await asyncio.sleep(0)
            assert await soon(check) is True
