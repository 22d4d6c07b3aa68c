"""A list that a web server gives."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from itertools import islice
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from depinmesh.errors import IdentityError, RegistryError, shown
from depinmesh.identity import Wallet
from depinmesh.registry._endpoints import NODES_AGE, Endpoints
from depinmesh.registry._fetch import EndpointError, Fetcher, checked_urls, from_answer, label
from depinmesh.registry._loops import PerLoop
from depinmesh.registry.snapshot import Snapshot

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

_log = logging.getLogger("depinmesh.registry")

# So many entries are looked at to tell a list of wallets from a list of something else.
_LOOKED_AT = 100


class _Content(NamedTuple):
    wallets: list[str]
    nodes: list[str]


@dataclass(eq=False)
class _Here:
    """What belongs to one event loop."""

    users: int = 0
    answered: asyncio.Event | None = None
    """Whether the last read has ended."""


class HttpRegistry:
    """The wallets of a JSON document on the web. Extra `http`.

    The document is a list of wallets, or an object with `wallets` and, if wanted, `bootstrap_nodes`. Several URLs serve
    the same list: the first is asked until it fails, then the next. What has not changed is not sent again (ETag).
    """

    def __init__(
        self,
        urls: str | Iterable[str],
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 4.0,
        max_size: int = 8 * 1024 * 1024,
        ca_file: str | os.PathLike[str] | None = None,
        redirect_hosts: Iterable[str] = (),
    ) -> None:
        """Check the arguments; nothing is asked before the node does.

        Args:
            urls: Where the document is, `https://` or `http://`; the first goes before the others.
            headers: Sent with each request, such as a token.
            timeout: Seconds that one URL may take in all, so that the next gets its turn within `gate.timeout`.
            max_size: Bytes that a document may have.
            ca_file: Certificates to trust in place of the system's, PEM.
            redirect_hosts: Hosts that a redirect may lead to, beside the one that was asked. They get the headers too.

        Raises:
            ConfigError: A URL is none, a header cannot be sent, or the extra is not installed.
            ValueError: A limit is not above 0.
        """
        self._endpoints = Endpoints(checked_urls(urls, "https", "http"))
        self._fetcher = Fetcher(
            timeout=timeout, max_size=max_size, headers=headers, ca_file=ca_file, redirect_hosts=redirect_hosts
        )
        self._cache: dict[str, tuple[str, _Content]] = {}
        self._nodes: list[str] | None = None
        self._asked = float("-inf")
        self._here = PerLoop(_Here)

    async def __aenter__(self) -> Self:
        """Return itself."""
        self._here().users += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the connections, with the last of those who use it; used again, it opens them again."""
        here = self._here()
        here.users = max(0, here.users - 1)
        if not here.users:
            await self._fetcher.close()

    async def wallets(self) -> Snapshot:
        """Fetch the list. `RegistryError`: no URL gave one; the message has a reason for each."""
        self._asked = monotonic()
        self._here().answered = answered = asyncio.Event()  # of this read alone
        try:
            content = await self._endpoints.ask(self._content)
            self._nodes = content.nodes
        finally:
            answered.set()
        return Snapshot(wallets=content.wallets, source=label(self._endpoints.serving))

    async def bootstrap_nodes(self) -> list[str]:
        """Return the bootstrap nodes of the list, which is fetched again when that was last done a minute ago.

        While this fails they are those of the last list; raises as `wallets` when there is none yet.
        """
        if self._nodes is None and (answered := self._here().answered) is not None:
            await answered.wait()  # a node that starts asks for its wallets at the same time
        if self._nodes is None or monotonic() - self._asked > NODES_AGE:
            try:
                await self.wallets()
            except RegistryError as error:
                if self._nodes is None:
                    raise
                _log.warning("The bootstrap nodes of the last list are used: %s", error)
        return self._nodes or []

    async def _content(self, url: str) -> _Content:
        etag, known = self._cache.get(url, (None, None))
        reply = await self._fetcher.get(url, etag)
        if reply.body is None:
            if known is None:
                raise EndpointError("HTTP 304 without a list to keep")
            return known
        content = _parsed(reply.body)
        if reply.etag is not None:
            self._cache[url] = (reply.etag, content)
        else:
            self._cache.pop(url, None)
        return content


def _parsed(body: bytes | bytearray) -> _Content:
    value = from_answer(body)
    nodes: Any = []
    if isinstance(value, dict):
        nodes = value.get("bootstrap_nodes", [])
        value = value.get("wallets")
    wallets = _texts(value, "wallets")
    # Single bad entries are dropped by the gate. Nothing but bad ones would be an empty list, and cut everybody off.
    if wallets and not any(map(_is_wallet, islice(wallets, _LOOKED_AT))):
        raise EndpointError(f"the answer is a list of something else than wallets, such as {shown(wallets[0])}")
    return _Content(wallets, _texts(nodes, "bootstrap nodes"))


def _texts(value: Any, what: str) -> list[str]:
    if not isinstance(value, list):
        raise EndpointError(f"the answer has no list of {what}")
    for entry in value:
        if not isinstance(entry, str):
            raise EndpointError(f"the list of {what} has {shown(entry)}, which is no text")
    return value


def _is_wallet(text: str) -> bool:
    try:
        Wallet(text)
    except IdentityError:
        return False
    return True
