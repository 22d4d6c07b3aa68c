"""The JSON-RPC methods of the local chain, with the limits that real endpoints have."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from depinmesh import _base58

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from solders.account import Account

    from depinmesh.testing.chain import LocalChain

_MOST_ACCOUNTS = 100
_INVALID_PARAMS = -32602


class RpcError(Exception):
    """A call failed, with a code of JSON-RPC."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def account_json(account: Account, options: dict[str, Any]) -> dict[str, Any]:
    """Return an account as endpoints give it."""
    data = bytes(account.data)
    if (part := options.get("dataSlice")) is not None:
        data = data[part["offset"] : part["offset"] + part["length"]]
    return {
        "data": [base64.b64encode(data).decode(), "base64"],
        "executable": account.executable,
        "lamports": account.lamports,
        "owner": str(account.owner),
        "rentEpoch": account.rent_epoch,
        "space": len(account.data),
    }


def matches(account: Account, options: dict[str, Any]) -> bool:
    """Whether an account passes the filters of a call."""
    data = bytes(account.data)
    for one in options.get("filters") or ():
        if "dataSize" in one and len(data) != one["dataSize"]:
            return False
        if (memcmp := one.get("memcmp")) is not None:
            content = _content(memcmp)
            if data[memcmp["offset"] : memcmp["offset"] + len(content)] != content:
                return False
    return True


def _content(memcmp: dict[str, Any]) -> bytes:
    content = memcmp["bytes"]
    if isinstance(content, list):
        return bytes(content)
    if memcmp.get("encoding") == "base64":
        return base64.b64decode(content)
    return _base58.decode(content)


async def _health(_: LocalChain, *_params: Any) -> str:
    return "ok"


async def _version(_: LocalChain, *_params: Any) -> dict[str, Any]:
    return {"solana-core": "3.0.0", "feature-set": 0}


async def _slot(chain: LocalChain, *_params: Any) -> int:
    return chain.slot


async def _latest_blockhash(chain: LocalChain, *_params: Any) -> dict[str, Any]:
    value = {"blockhash": str(chain.svm.latest_blockhash()), "lastValidBlockHeight": chain.slot + 150}
    return _with_context(chain, value)


async def _balance(chain: LocalChain, address: str, *_params: Any) -> dict[str, Any]:
    return _with_context(chain, chain.svm.get_balance(Pubkey.from_string(address)) or 0)


async def _rent(chain: LocalChain, size: int, *_params: Any) -> int:
    return chain.svm.minimum_balance_for_rent_exemption(size)


async def _account_info(chain: LocalChain, address: str, options: dict[str, Any] | None = None) -> dict[str, Any]:
    account = chain.svm.get_account(Pubkey.from_string(address))
    return _with_context(chain, None if account is None else account_json(account, options or {}))


async def _multiple_accounts(
    chain: LocalChain, addresses: list[str], options: dict[str, Any] | None = None
) -> dict[str, Any]:
    if len(addresses) > _MOST_ACCOUNTS:
        raise RpcError(_INVALID_PARAMS, f"Too many inputs provided; max {_MOST_ACCOUNTS}")
    accounts = [chain.svm.get_account(Pubkey.from_string(address)) for address in addresses]
    return _with_context(
        chain, [None if account is None else account_json(account, options or {}) for account in accounts]
    )


async def _program_accounts(chain: LocalChain, program: str, options: dict[str, Any] | None = None) -> Any:
    options = options or {}
    accounts = chain.svm.get_program_accounts(Pubkey.from_string(program))
    value = [
        {"pubkey": str(address), "account": account_json(account, options)}
        for address, account in accounts
        if matches(account, options)
    ]
    return _with_context(chain, value) if options.get("withContext") else value


async def _send_transaction(chain: LocalChain, text: str, options: dict[str, Any] | None = None) -> str:
    if (options or {}).get("encoding") != "base64":
        raise RpcError(_INVALID_PARAMS, "only base64 is taken here")
    return await chain.execute(VersionedTransaction.from_bytes(base64.b64decode(text)))


async def _request_airdrop(chain: LocalChain, address: str, lamports: int, *_params: Any) -> str:
    chain.svm.airdrop(Pubkey.from_string(address), lamports)
    return "1" * 64


def _with_context(chain: LocalChain, value: Any) -> dict[str, Any]:
    return {"context": {"slot": chain.slot, "apiVersion": "3.0.0"}, "value": value}


METHODS: dict[str, Callable[..., Awaitable[Any]]] = {
    "getAccountInfo": _account_info,
    "getBalance": _balance,
    "getHealth": _health,
    "getLatestBlockhash": _latest_blockhash,
    "getMinimumBalanceForRentExemption": _rent,
    "getMultipleAccounts": _multiple_accounts,
    "getProgramAccounts": _program_accounts,
    "getSlot": _slot,
    "getVersion": _version,
    "requestAirdrop": _request_airdrop,
    "sendTransaction": _send_transaction,
}
