"""The pages of the ops server. They only read, in the event loop of the node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from depinmesh.health import Check, liveness, readiness, startup
from depinmesh.metrics import MetricsCollector
from depinmesh.ops.report import report

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

    from depinmesh.node import Node

_NO_STORE = {"cache-control": "no-store"}
# A page of the web whose name was made to point to this machine must not read what is meant for its operator.
_LOCAL_NAMES = ["localhost", "127.0.0.1", "::1", "[::1]"]


def application(node: Node, min_peers: int, *, local: bool) -> Starlette:
    """Return the application; `local` answers requests only that name this machine as loopback does."""
    registry = CollectorRegistry()
    registry.register(MetricsCollector(node))
    ProcessCollector(registry=registry)

    async def metrics(request: Request) -> Response:
        encode, content_type = _encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={**_NO_STORE, "content-type": content_type})

    async def status(_: Request) -> Response:
        return Response(report(node, min_peers), media_type="application/json", headers=_NO_STORE)

    routes = [
        Route("/livez", _health(lambda: liveness(node))),
        Route("/readyz", _health(lambda: readiness(node, min_peers))),
        Route("/startupz", _health(lambda: startup(node))),
        Route("/metrics", metrics),
        Route("/status", status),
    ]
    middleware = [Middleware(TrustedHostMiddleware, allowed_hosts=_LOCAL_NAMES)] if local else []
    return Starlette(routes=routes, middleware=middleware)


def _encoder(accept: str) -> tuple[Callable[[CollectorRegistry], bytes], str]:
    try:
        return choose_encoder(accept)
    except (TypeError, ValueError):  # of a version that is no number
        return choose_encoder("")


def _health(look: Callable[[], list[Check]]) -> Callable[[Request], Awaitable[Response]]:
    async def page(request: Request) -> Response:
        checks = look()
        ok = all(check.ok for check in checks)
        text = "ok\n" if ok else "failed: " + ", ".join(check.name for check in checks if not check.ok) + "\n"
        if "verbose" in request.query_params:
            lines = [f"[{'+' if check.ok else '-'}] {check.name}: {check.detail}\n" for check in checks]
            text = "".join(lines) + text
        return PlainTextResponse(text, status_code=200 if ok else 503, headers=_NO_STORE)

    return page
