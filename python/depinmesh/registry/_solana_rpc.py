"""JSON-RPC of Solana: calls within limits of rate, time and size, and answers read bit by bit.

Not by the client of the package `solana`: that one reads answers of any size, and decodes them in one go, during which
the event loop stands still.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, Any

from solders.pubkey import Pubkey

from depinmesh import _base58
from depinmesh.errors import without_secrets
from depinmesh.registry._fetch import EndpointError, from_answer
from depinmesh.registry._solana_rules import Account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from depinmesh.registry._fetch import Allowance, Fetcher
    from depinmesh.registry._solana_rules import Query

# So many bytes of a listing are decoded at once: some milliseconds.
_PIECE = 128 * 1024
_BETWEEN = re.compile(rb"\}\s*,\s*\{")
_VALUE = re.compile(rb'"value"\s*:\s*\[')
_TOO_MANY = 429
_REFUSED = {-32010, 403, 410}


class Rpc:
    """Calls of one registry, so many a second over all endpoints."""

    def __init__(self, fetcher: Fetcher, commitment: str, rate_limit: float) -> None:
        self._fetcher = fetcher
        self._commitment = commitment
        self._pause = 1 / rate_limit
        self._next = 0.0
        self._ids = count(1)

    async def program_accounts(
        self,
        url: str,
        query: Query,
        data_slice: tuple[int, int] | None,
        take: Callable[[Account], None],
        allowance: Allowance,
    ) -> int:
        """List the accounts of a program: hand each to `take`, in another thread, and return the slot."""
        options = {"filters": filters(query), "withContext": True, **self._options(data_slice)}
        body = await self._call(url, "getProgramAccounts", [str(query.program), options], allowance)
        # In a thread, and in pieces, as one piece of C holds up the loop as long as it takes.
        return await asyncio.to_thread(_listing, body, data_slice, take)

    async def accounts(
        self, url: str, addresses: Sequence[Pubkey], allowance: Allowance
    ) -> tuple[int, list[Account | None]]:
        """Look up accounts, at most 100."""
        params = [[str(address) for address in addresses], self._options(None)]
        slot, value = _context(_result(await self._call(url, "getMultipleAccounts", params, allowance)))
        if not isinstance(value, list) or len(value) != len(addresses):
            raise EndpointError("the answer has not as many accounts as were asked for")
        found = [
            None if account is None else _account(address, account, None)
            for address, account in zip(addresses, value, strict=True)
        ]
        return slot, found

    def _options(self, data_slice: tuple[int, int] | None) -> dict[str, Any]:
        options: dict[str, Any] = {"encoding": "base64", "commitment": self._commitment}
        if data_slice is not None:
            options["dataSlice"] = {"offset": data_slice[0], "length": data_slice[1]}
        return options

    async def _call(self, url: str, method: str, params: list[Any], allowance: Allowance) -> bytes | bytearray:
        await self._turn()
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        return await self._fetcher.post_json(url, json.dumps(request).encode(), allowance)

    async def _turn(self) -> None:
        now = monotonic()
        self._next = max(now, self._next + self._pause)
        if self._next > now:
            await asyncio.sleep(self._next - now)


def filters(query: Query) -> list[dict[str, Any]]:
    """Return the filters of a query as JSON, with bytes as Base58: the one form that every endpoint takes."""
    size = [] if query.size is None else [{"dataSize": query.size}]
    return size + [{"memcmp": {"offset": offset, "bytes": _base58.encode(content)}} for offset, content in query.memcmp]


def _listing(body: bytes | bytearray, data_slice: tuple[int, int] | None, take: Callable[[Account], None]) -> int:
    start = _VALUE.search(body)
    if start is None:
        slot, value = _context(_result(body))
        if value != []:
            raise EndpointError("the answer has no list of accounts")
        return slot
    end = body.rfind(b"]")
    slot, _ = _context(_result(body[: start.end()] + body[end:]))
    for piece in _pieces(body, start.end(), end):
        for item in from_answer(b"[" + piece + b"]"):
            if not isinstance(item, dict):
                raise EndpointError("the answer has accounts of another form")
            take(_account(_pubkey(item.get("pubkey")), item.get("account"), data_slice))
    return slot


def _pieces(body: bytes | bytearray, start: int, end: int) -> Iterator[bytes | bytearray]:
    """Cut between accounts. Where a cut goes wrong, the piece is no JSON, and the answer is refused."""
    while start < end:
        between = _BETWEEN.search(body, min(start + _PIECE, end), end)
        stop = end if between is None else between.start() + 1
        yield body[start:stop]
        start = end if between is None else body.index(b",", between.start()) + 1


def _result(body: bytes | bytearray) -> Any:
    answer = from_answer(body)
    if not isinstance(answer, dict):
        raise EndpointError("the answer is no JSON-RPC")
    if (error := answer.get("error")) is not None:
        code = error.get("code") if isinstance(error, dict) else None
        message = error.get("message") if isinstance(error, dict) else error
        hint = "; with listing=False wallets are looked up one by one" if code in _REFUSED else ""
        rest = 0.0 if code == _TOO_MANY else None
        raise EndpointError(f"error {code}: {without_secrets(str(message))[:200]}{hint}", rest=rest)
    return answer.get("result")


def _context(result: Any) -> tuple[int, Any]:
    try:
        slot, value = result["context"]["slot"], result["value"]
    except (TypeError, KeyError):
        raise EndpointError("the answer does not say of which slot it is") from None
    if not isinstance(slot, int) or isinstance(slot, bool):
        raise EndpointError("the answer does not say of which slot it is")
    return slot, value


def _account(address: Pubkey, account: Any, data_slice: tuple[int, int] | None) -> Account:
    try:
        text, encoding = account["data"]
        data = base64.b64decode(text, validate=True)
        owner = _pubkey(account["owner"])
        space = account.get("space", len(data))
    except (TypeError, KeyError, ValueError, binascii.Error):
        raise EndpointError("the answer has accounts of another form") from None
    if encoding != "base64" or not isinstance(space, int):
        raise EndpointError("the answer has accounts of another form")
    return Account(address, owner, padded(data, data_slice), space)


def padded(data: bytes, data_slice: tuple[int, int] | None) -> bytes:
    """Return the data with the offsets that it has on chain."""
    return data if data_slice is None else bytes(data_slice[0]) + data


def _pubkey(text: Any) -> Pubkey:
    try:
        return Pubkey.from_string(text)
    except (TypeError, ValueError):
        raise EndpointError("the answer has an address that is none") from None
