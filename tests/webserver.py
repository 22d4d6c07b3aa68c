"""A web server that does as a test tells it, fault by fault."""

from __future__ import annotations

import asyncio
import contextlib
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    Behaviour = Callable[["WebServer", asyncio.StreamWriter], Awaitable[None]]


class WebServer:
    """Serves one JSON document, or a fault, on loopback."""

    def __init__(self, value: Any) -> None:
        self.value = value
        self.fault: Behaviour | None = None
        self.etag: str | None = None
        self.requests: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.port = 0
        self.closing = asyncio.Event()
        self._open: dict[asyncio.Task[Any] | None, asyncio.StreamWriter] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/wallets?key=secret"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open[asyncio.current_task()] = writer
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            first, *lines = head.strip().split("\r\n")
            self.paths.append(first.split()[1])
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            self.requests.append(headers)
            if self.fault is not None:
                await self.fault(self, writer)
            elif self.etag is not None and headers.get("if-none-match") == self.etag:
                await reply(writer, 304)
            else:
                await reply(writer, 200, json.dumps(self.value).encode(), etag=self.etag)
        writer.close()
        del self._open[asyncio.current_task()]

    async def drop(self) -> None:
        """Break what is open, and wait for its end."""
        self.closing.set()
        for writer in self._open.values():
            writer.transport.abort()
        if tasks := [task for task in self._open if task is not None]:
            await asyncio.wait(tasks, timeout=2)


@asynccontextmanager
async def web_server(value: Any, tls: ssl.SSLContext | None = None) -> AsyncIterator[WebServer]:
    """Run one."""
    web = WebServer(value)
    server = await asyncio.start_server(web.serve, "127.0.0.1", 0, ssl=tls)
    web.port = server.sockets[0].getsockname()[1]
    try:
        yield web
    finally:
        server.close()
        await web.drop()


async def reply(writer: asyncio.StreamWriter, status: int, body: bytes = b"", **headers: str | None) -> None:
    """Send one answer."""
    lines = [f"HTTP/1.1 {status} Status", f"content-length: {len(body)}", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items() if value]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    await writer.drain()


def status(code: int, **headers: str) -> Behaviour:
    """Answer with a status and nothing else."""

    async def fault(_: WebServer, writer: asyncio.StreamWriter) -> None:
        await reply(writer, code, b"", **headers)

    return fault


def body(content: bytes, **headers: str) -> Behaviour:
    """Answer with exactly this."""

    async def fault(_: WebServer, writer: asyncio.StreamWriter) -> None:
        await reply(writer, 200, content, **headers)

    return fault


async def hangs(web: WebServer, writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await writer.drain()
    await web.closing.wait()


async def drips(web: WebServer, writer: asyncio.StreamWriter) -> None:
    """Give a byte now and then, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n[")
    while not web.closing.is_set():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.1)


async def floods(web: WebServer, writer: asyncio.StreamWriter) -> None:
    """Give more than anybody can hold."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n[")
    while not web.closing.is_set():
        writer.write(b" " * 65536)
        await writer.drain()


async def truncates(_: WebServer, writer: asyncio.StreamWriter) -> None:
    """Promise more than it gives."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n[")
    await writer.drain()


async def resets(_: WebServer, writer: asyncio.StreamWriter) -> None:
    """Break the connection."""
    writer.transport.abort()
