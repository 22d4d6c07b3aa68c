"""HTTP for registries: everything that a server could do to hold up or fill a node has a limit."""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from pydantic_core import from_json

from depinmesh.errors import ConfigError, ConfigProblem, RegistryError
from depinmesh.registry._loops import PerLoop
from depinmesh.registry._unlogged import leave_out, unlogged

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    import httpx2

_REDIRECTS = 3
_CONNECTING = 0.8  # of the time that is left
_LONGEST_REST = 300.0
_OK, _NOT_MODIFIED, _TOO_MANY, _UNAVAILABLE = 200, 304, 429, 503
_MOVED = (301, 302, 303, 307, 308)
_HEADER_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile(r"(?:[!-~]+(?:[ \t]+[!-~]+)*)?")


class EndpointError(RegistryError):
    """One endpoint failed. `rest` is for how many seconds it asks not to be asked again."""

    def __init__(self, message: str, *, rest: float | None = None) -> None:
        super().__init__(message)
        self.rest = rest


@dataclass(frozen=True, slots=True)
class Reply:
    """A good answer; without a body: what is known has not changed."""

    body: bytes | bytearray | None
    etag: str | None


class Allowance:
    """Seconds that the requests of one endpoint may take together; what passes between them does not count."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.left = seconds


class Fetcher:
    """A client with limits of size and time, one for each event loop. It is opened when it is first used."""

    def __init__(
        self,
        *,
        timeout: float,
        max_size: int,
        headers: Mapping[str, str] | None = None,
        ca_file: str | os.PathLike[str] | None = None,
        redirect_hosts: Iterable[str] = (),
    ) -> None:
        if not (timeout > 0 and max_size > 0):
            raise ValueError("timeout and max_size must be above 0")
        try:
            import httpx2
        except ImportError:
            hint = "pip install 'depinmesh[http]'"
            raise ConfigError.of([ConfigProblem("", None, "registries over HTTP need an extra", hint)]) from None
        self._httpx2 = httpx2
        self._timeout = timeout
        self._max_size = max_size
        # Compressed bodies are not asked for: a small one can be made that fills the memory.
        self._headers = {**_checked_headers(headers or {}), "accept-encoding": "identity"}
        self._ca_file = ca_file
        hosts = (redirect_hosts,) if isinstance(redirect_hosts, str) else redirect_hosts
        self._redirect_hosts = frozenset(host.lower() for host in hosts)
        self._clients = PerLoop(self._open)

    async def close(self) -> None:
        """Close the connections of this event loop; the next request opens them again."""
        if (client := self._clients.take()) is not None:
            await client.aclose()

    async def get(self, url: str, etag: str | None = None) -> Reply:
        """Fetch a document, if it is another one than that of the tag. `EndpointError` says what went wrong."""
        return await self._limited("GET", url, {"if-none-match": etag} if etag else {}, None, Allowance(self._timeout))

    async def post_json(self, url: str, content: bytes, allowance: Allowance) -> bytes | bytearray:
        """Send JSON and return the body of the answer. `EndpointError` says what went wrong."""
        reply = await self._limited("POST", url, {"content-type": "application/json"}, content, allowance)
        return reply.body or b""

    async def _limited(
        self, method: str, url: str, headers: dict[str, str], content: bytes | None, allowance: Allowance
    ) -> Reply:
        if allowance.left <= 0:
            raise _late(allowance)
        # A handshake that is cancelled from outside leaves its socket behind: it ends by itself before.
        limits = self._httpx2.Timeout(allowance.left, connect=_CONNECTING * allowance.left)
        began = monotonic()
        try:
            async with asyncio.timeout(allowance.left):
                return await self._follow(method, url, headers, content, limits)
        except (TimeoutError, self._httpx2.TimeoutException):
            raise _late(allowance) from None
        except self._httpx2.LocalProtocolError as error:  # its text shows what was to be sent
            raise EndpointError(type(error).__name__) from None
        except (self._httpx2.HTTPError, self._httpx2.InvalidURL, ssl.SSLError, OSError) as error:
            raise EndpointError(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__) from None
        finally:
            allowance.left -= monotonic() - began

    async def _follow(
        self, method: str, url: str, headers: dict[str, str], content: bytes | None, limits: httpx2.Timeout
    ) -> Reply:
        for _ in range(_REDIRECTS + 1):
            with unlogged():
                answer = await self._once(method, url, headers, content, limits)
            if isinstance(answer, Reply):
                return answer
            url = self._allowed(url, answer)
        raise EndpointError(f"more than {_REDIRECTS} redirects")

    async def _once(
        self, method: str, url: str, headers: dict[str, str], content: bytes | None, limits: httpx2.Timeout
    ) -> Reply | str:
        sent = {**self._headers, **headers}
        async with self._clients().stream(method, url, headers=sent, content=content, timeout=limits) as response:
            status = response.status_code
            if status == _NOT_MODIFIED and "if-none-match" in headers:
                return Reply(None, headers["if-none-match"])
            if status in _MOVED and "location" in response.headers:
                return str(response.headers["location"])
            if status != _OK:
                rest = _rest(response.headers.get("retry-after")) if status in (_TOO_MANY, _UNAVAILABLE) else None
                raise EndpointError(f"HTTP {status}", rest=rest)
            if response.headers.get("content-encoding", "identity") != "identity":
                raise EndpointError("the answer is compressed, which was not asked for")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > self._max_size:
                    raise EndpointError(f"the answer is larger than {self._max_size:,} bytes")
            etag = response.headers.get("etag")
            return Reply(body, etag if etag and _HEADER_VALUE.fullmatch(etag) else None)  # others cannot be sent back

    def _allowed(self, url: str, location: str) -> str:
        """Keep to the host that was given, as headers with secrets go along, and to TLS where that was asked for."""
        try:
            target = urljoin(url, location)
            here, there, shown = urlsplit(url), urlsplit(target), label(target)
        except ValueError:
            raise EndpointError("a redirect to no usable URL") from None
        same = there.netloc == here.netloc or (there.hostname or "").lower() in self._redirect_hosts
        if not same or (here.scheme == "https" and there.scheme != "https"):
            raise EndpointError(f"a redirect to {shown} is not allowed")
        return target

    def _open(self) -> httpx2.AsyncClient:
        verify: ssl.SSLContext | bool = True
        if self._ca_file is not None:
            verify = ssl.create_default_context(cafile=self._ca_file)
        client = self._httpx2.AsyncClient(verify=verify, trust_env=False)
        leave_out("httpx2", "httpcore2")
        return client


def _late(allowance: Allowance) -> EndpointError:
    return EndpointError(f"no answer within {allowance.seconds:g} s")


def from_answer(body: bytes | bytearray) -> Any:
    """Return the JSON of an answer. `EndpointError`: it is none."""
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise EndpointError(f"the answer is not JSON: {error}") from None


def label(url: str) -> str:
    """Return how a URL appears in logs: without path, query and user, where keys stand."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port is not None else ""
    host = parts.hostname or "?"
    return f"{parts.scheme}://{f'[{host}]' if ':' in host else host}{port}"


def checked_urls(urls: str | Iterable[str], *schemes: str) -> tuple[str, ...]:
    """Return them as a tuple. `ConfigError`: there is none, or one is no URL of these schemes."""
    given = (urls,) if isinstance(urls, str) else tuple(urls)
    problems = [] if given else [ConfigProblem("", None, "there is no URL", None)]
    for index, url in enumerate(given):
        try:
            parts = urlsplit(url)
            usable = parts.scheme in schemes and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except (ValueError, AttributeError, TypeError):
            usable = False
        if not usable:
            reason = f"is not a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}"
            problems.append(ConfigProblem(f"[{index}]", None, reason, None))
    if problems:
        raise ConfigError.of(problems)
    return given


def _checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return them. `ConfigError`: one cannot be sent; it is named, and what it holds, which may be a secret, is not."""
    given: dict[Any, Any] = dict(headers)  # who does not check types may have anything in it
    problems = []
    for index, (name, value) in enumerate(given.items()):
        if not (isinstance(name, str) and _HEADER_NAME.fullmatch(name)):  # it may be the value, in the wrong place
            problems.append(ConfigProblem(f"headers[{index}]", None, "its name is no name of a header", None))
        elif not (isinstance(value, str) and _HEADER_VALUE.fullmatch(value)):
            reason = "is no text that a header can hold, as with a line break or a blank at its end"
            problems.append(ConfigProblem(f"headers.{name}", None, reason, "strip() what is read from a file"))
    if problems:
        raise ConfigError.of(problems)
    return given


def _rest(retry_after: str | None) -> float:
    """Seconds that an endpoint wants to be left alone; 0 where it does not say."""
    if retry_after is None:
        return 0.0
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            until = parsedate_to_datetime(retry_after)
            seconds = (until - datetime.now(UTC)).total_seconds() if until.tzinfo is not None else 0.0
        except (ValueError, OverflowError):  # a zone may be any number of hours off
            return 0.0
    return min(max(seconds, 0.0), _LONGEST_REST)
