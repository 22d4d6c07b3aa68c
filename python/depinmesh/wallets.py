"""Which wallets belong to the fleet: the forms of a registry's answer, and what they become for the core."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Collection, Iterable
from itertools import islice
from typing import Protocol, TypeAlias

from depinmesh.errors import RegistryError, shown
from depinmesh.identity import Wallet, WalletLike, raw_bytes
from depinmesh.registry.snapshot import Snapshot

Wallets: TypeAlias = Iterable[WalletLike] | Snapshot
"""What a registry answers."""


class WalletProvider(Protocol):
    """An object that knows the wallets. The method may be plain or a coroutine function.

    It may also have these, of the same forms where nothing else is said:

    * `changes()`, an async iterator of snapshots, which take effect at once: pushes.
    * `bootstrap_nodes()`, to be given as `bootstrap_nodes` too.
    * `__aenter__` and `__aexit__`, which the node runs: before the first call, and at its close. A node that cannot
      enter it has a registry that fails, and tries again.
    """

    def wallets(self) -> Wallets | Awaitable[Wallets]:
        """Return all wallets of the fleet as of now."""


class WalletChecker(Protocol):
    """An object that cannot list the wallets, and can judge one. The method may be plain or a coroutine function.

    Whoever comes is asked about, many at a time; those who were found good are asked about again at each refresh. It
    may be entered and left, as a `WalletProvider`. Where `wallets()` exists too, that is used.
    """

    def check(self, wallet: Wallet, /) -> bool | Awaitable[bool]:
        """Say whether the wallet belongs to the fleet as of now."""


WalletFunction: TypeAlias = Callable[[], Wallets | Awaitable[Wallets]]
WalletSource: TypeAlias = Iterable[WalletLike] | WalletFunction | WalletProvider | WalletChecker

_CHUNK = 2048  # entries between two turns of the loop: about a millisecond of text, a few of foreign objects
_WALLET_BYTES = 32
_LONGEST_TEXT = 64  # a wallet has at most 44 characters; a text much longer may be a secret, and is not handed on


async def normalise_wallets_async(entries: Iterable[WalletLike]) -> list[str | bytes]:
    """Return the entries as the core takes them: text or 32 bytes. No list is so long that it holds up the event loop.

    What can be neither becomes a short text that says what it was. The core drops it with a warning, as it drops every
    entry that is no valid wallet; one bad entry never costs the others.
    """
    if isinstance(entries, str | bytes | bytearray) or not isinstance(entries, Iterable):
        raise RegistryError(f"a registry answers with a list of wallets, not with {type(entries).__name__}")
    # A registry may change its own collection while the loop runs between two chunks.
    source = iter(tuple(entries) if isinstance(entries, Collection) else entries)
    result: list[str | bytes] = []
    while chunk := [_normalised(entry) for entry in islice(source, _CHUNK)]:
        result += chunk
        await asyncio.sleep(0)
    return result


async def normalise_answer(answer: Wallets) -> tuple[list[str | bytes], float]:
    """Return the wallets of a registry's answer as the core takes them, and their age in seconds."""
    if isinstance(answer, Snapshot):
        age = answer.age
        return await normalise_wallets_async(answer.wallets), age
    return await normalise_wallets_async(answer), 0.0


def _normalised(entry: object) -> str | bytes:
    if isinstance(entry, str):
        if len(entry) > _LONGEST_TEXT:
            return f"<text of {len(entry)} characters>"
        return entry if entry.isascii() else shown(entry)  # which escapes what UTF-8 cannot carry
    try:
        raw = raw_bytes(entry)
    except Exception as error:  # noqa: BLE001  # of a foreign object's __bytes__
        return f"<{type(entry).__name__}: {type(error).__name__}>"
    if raw is None:
        return shown(entry)
    return raw if len(raw) == _WALLET_BYTES else f"<{type(entry).__name__} of {len(raw)} bytes>"


def check_wallet_source(source: object) -> object:
    """Check the form of a registry before it is used; a list becomes a tuple. `ValueError` says what is wrong."""
    if isinstance(source, str | bytes | bytearray):
        raise ValueError("is one wallet, not a list of wallets")  # noqa: TRY004  # pydantic collects these
    return check_source(source, "wallets", "check")


def check_source(source: object, *methods: str) -> object:
    """Check for a provider with one of these methods, a function without parameters, or an iterable, in this order."""
    if isinstance(source, type):
        raise ValueError("is a class: give an object of it")  # noqa: TRY004  # pydantic collects these
    if any(callable(getattr(source, method, None)) for method in methods):
        return source
    if callable(source):
        try:
            signature = inspect.signature(source)
        except ValueError:  # a builtin without a signature
            return source
        try:
            signature.bind()
        except TypeError as error:
            raise ValueError(f"is a function that cannot be called without arguments: {error}") from None
        return source
    if inspect.isawaitable(source):  # some can be iterated over, and would be an empty list
        raise ValueError("is to be awaited: give its result, or the function that is called for it")
    if isinstance(source, Iterable):
        return tuple(source)
    raise ValueError(f"is neither a list, nor a function, nor an object with {'() or '.join(methods)}()")
