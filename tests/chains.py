"""A registry on a chain of this process, and what tests of it wait for."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from depinmesh import Keypair
from depinmesh.registry import SolanaRegistry
from tests.registries import inside
from tests.support import WAIT, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from depinmesh.testing.chain import LocalChain

REFRESH = 1.0
"""Seconds between two reads of a registry that is not pushed."""


def keys(n: int) -> list[Keypair]:
    return [Keypair.generate() for _ in range(n)]


def registry_of(chain: LocalChain, push: bool, **more: Any) -> SolanaRegistry:
    return SolanaRegistry(chain.url, websocket=chain.websocket_url if push else None, rate_limit=1000, **more)


async def cut(host: Any, *left: Keypair, push: bool, what: str) -> None:
    """Wait until only these are inside, and hold the time against what users are promised."""
    began = time.monotonic()
    await eventually(lambda: inside(host, *left))
    took = time.monotonic() - began
    print(f"{what}: cut off {took:.3f} s after the slot, {'push' if push else f'refresh every {REFRESH:g} s'}")
    assert took <= 1.0 if push else took <= REFRESH + 1.0


def gpa(accounts: Sequence[dict[str, Any]], slot: int = 10**9) -> str:
    """Return what an endpoint answers to `getProgramAccounts`."""
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"context": {"slot": slot}, "value": list(accounts)}})


@contextmanager
def chain_aside() -> Iterator[tuple[LocalChain, Callable[[Coroutine[Any, Any, Any]], Any]]]:
    """Run a chain in a thread with an event loop of its own, and give it with what runs a coroutine there."""
    from depinmesh.testing.chain import LocalChain

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(WAIT)

    async def started() -> LocalChain:
        return await LocalChain().__aenter__()

    try:
        chain = run(started())
        try:
            yield chain, run
        finally:
            run(chain.__aexit__())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
