"""Asking a running node for its status."""

from typing import Annotated, Any, NoReturn, TypeAlias

import httpx2
from cyclopts import Parameter

from depinmesh.errors import MeshError, MeshTimeoutError

Ops: TypeAlias = Annotated[str, Parameter(help="where the node serves its status: the --ops of `depinmesh node`")]

DEFAULT_OPS = "http://127.0.0.1:8081"
_TIMEOUT = 5.0


def fetch(ops: str) -> dict[str, Any]:
    """Return the status document of the node.

    Raises:
        MeshTimeoutError: It has not answered within 5 s.
        MeshError: Nothing answers there, or something else than a node.
    """
    url = f"{ops if '://' in ops else f'http://{ops}'}".rstrip("/") + "/status"
    try:
        response = httpx2.get(url, timeout=_TIMEOUT, trust_env=False)
        response.raise_for_status()
        document = response.json()
    except httpx2.TimeoutException:
        raise MeshTimeoutError(f"{url} has not answered within {_TIMEOUT:g} s", timeout=_TIMEOUT) from None
    except httpx2.ConnectError:
        _fail(url, "nothing listens there; start the node with --ops, and give the same place here")
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        _fail(url, str(error).partition("\n")[0])  # the rest is a link for people who browse
    if not isinstance(document, dict) or "node" not in document:
        _fail(url, "this is not the ops server of a node")
    return document


def _fail(url: str, reason: str) -> NoReturn:
    raise MeshError(f"no status from {url}: {reason}")
