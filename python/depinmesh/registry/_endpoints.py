"""Several endpoints of the same thing: one serves, the others stand by."""

from __future__ import annotations

import logging
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from depinmesh.errors import RegistryError
from depinmesh.registry._fetch import EndpointError, label

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_log = logging.getLogger("depinmesh.registry")

_FIRST_REST, _LONGEST_REST = 1.0, 60.0

NODES_AGE = 60.0
"""Seconds after which those who want the bootstrap nodes of a registry have it read again."""

T = TypeVar("T")


class _Endpoint:
    def __init__(self, url: str) -> None:
        self.url = url
        self.rests_until = 0.0
        self.refusals = 0


class Endpoints:
    """Asks the endpoint that served last, and the others in turn when that fails; a switch is logged once.

    One that says that it is asked too much rests for as long as it wants, or for 1, 2, 4 .. 60 seconds.
    """

    def __init__(self, urls: tuple[str, ...]) -> None:
        self._endpoints = [_Endpoint(url) for url in urls]
        self._serving = self._endpoints[0]

    @property
    def serving(self) -> str:
        """The URL that served last."""
        return self._serving.url

    async def ask(self, attempt: Callable[[str], Awaitable[T]]) -> T:
        """Return the first answer. `RegistryError`: there is none; its message has a reason for each endpoint."""
        causes: list[str] = []
        others = [endpoint for endpoint in self._endpoints if endpoint is not self._serving]
        for endpoint in [self._serving, *others]:
            if (seconds := endpoint.rests_until - monotonic()) > 0:
                causes.append(f"{label(endpoint.url)}: asked too often, rests for {seconds:.1f} s")
                continue
            try:
                answer = await attempt(endpoint.url)
            except EndpointError as error:
                self._failed(endpoint, error)
                causes.append(f"{label(endpoint.url)}: {error}")
                continue
            endpoint.refusals = 0
            self._serves(endpoint, causes)
            return answer
        raise RegistryError("; ".join(causes))

    def _failed(self, endpoint: _Endpoint, error: EndpointError) -> None:
        if error.rest is not None:
            rest = error.rest or min(_FIRST_REST * 2**endpoint.refusals, _LONGEST_REST)
            endpoint.refusals = min(endpoint.refusals + 1, 16)
            endpoint.rests_until = monotonic() + rest

    def _serves(self, endpoint: _Endpoint, causes: list[str]) -> None:
        if endpoint is not self._serving:
            self._serving = endpoint
            _log.warning("The registry is now read from %s: %s", label(endpoint.url), "; ".join(causes))
