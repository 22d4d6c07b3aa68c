"""Lists of wallets on their way to the core."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from solders.keypair import Keypair as SoldersKeypair

from depinmesh.errors import RegistryError
from depinmesh.identity import Keypair, Wallet, WalletLike
from depinmesh.wallets import check_wallet_source, normalise_wallets_async

KEY = SoldersKeypair.from_seed(bytes(range(32)))
RAW = bytes(KEY.pubkey())
WALLET = str(KEY.pubkey())


def normalise(entries: Iterable[WalletLike]) -> list[str | bytes]:
    """Run it in a loop of its own."""
    return asyncio.run(normalise_wallets_async(entries))


class Failing:
    """An object whose bytes() and repr fail."""

    def __bytes__(self) -> bytes:
        """Fail."""
        raise OSError("broken")

    def __repr__(self) -> str:
        """Fail."""
        raise OSError("broken")


def test_text_and_keys_are_handed_on() -> None:
    """Text stays text, whatever it says; 32 bytes and objects with 32 bytes() become bytes; the order is kept."""
    entries: list[Any] = [WALLET, Wallet(WALLET), "no wallet", "", RAW, bytearray(RAW), memoryview(RAW), KEY.pubkey()]
    assert normalise(entries) == [WALLET, WALLET, "no wallet", "", RAW, RAW, RAW, RAW]


def test_other_entries_become_short_text() -> None:
    """What cannot be a wallet becomes a text for the core to drop with a warning; no entry costs the others."""
    entries: list[Any] = [None, 32, 1.5, [RAW], b"short", {}, Failing(), WALLET, Keypair(KEY)]
    assert normalise(entries) == [
        "None",
        "32",
        "1.5",
        "<list>",
        "<bytes of 5 bytes>",
        "<dict>",
        "<Failing: OSError>",
        WALLET,
        "<Keypair>",
    ]


def test_text_that_is_not_ascii_is_escaped() -> None:
    """Text that cannot be encoded reaches the core in quotes, and does not fail the whole list."""
    assert normalise(["\udc80", "\u00e9", WALLET]) == ["'\\udc80'", "'\u00e9'", WALLET]


def test_secrets_are_not_handed_on() -> None:
    """A secret key on a list, as object, bytes or text, is not handed on, as warnings would show it."""
    assert normalise([KEY, bytes(KEY), str(KEY), "x" * 10_000]) == [
        "<Keypair of 64 bytes>",
        "<bytes of 64 bytes>",
        f"<text of {len(str(KEY))} characters>",
        "<text of 10000 characters>",
    ]


@pytest.mark.parametrize("make", [list, tuple, set, frozenset, iter, dict.fromkeys])
def test_any_iterable_is_a_list(make: Callable[[list[str]], Iterable[str]]) -> None:
    """Lists, sets, iterators, the keys of a mapping: anything that can be iterated is taken."""
    assert normalise(make([WALLET])) == [WALLET]


@pytest.mark.parametrize("answer", [WALLET, RAW, bytearray(RAW), None, 5])
def test_an_answer_that_is_no_list_is_an_error(answer: object) -> None:
    """One text, bytes, None or a number is not taken for a list."""
    with pytest.raises(RegistryError, match=f"not with {type(answer).__name__}"):
        normalise(answer)  # type: ignore[arg-type]


def test_what_an_iterable_raises_is_passed_on() -> None:
    """A failing generator is a failing registry."""

    def failing() -> Iterable[str]:
        yield WALLET
        raise OSError("no answer")

    with pytest.raises(OSError, match="no answer"):
        normalise(failing())


async def test_long_lists_do_not_stall_the_loop() -> None:
    """100,000 wallets leave the event loop turns of at most 50 ms."""
    pause = 0.0

    async def watch() -> None:
        nonlocal pause
        while True:
            before = time.thread_time()  # not spoilt by what else the machine does
            await asyncio.sleep(0)
            pause = max(pause, time.thread_time() - before)

    watcher = asyncio.create_task(watch())
    entries: list[WalletLike] = [WALLET, KEY.pubkey()] * 50_000
    assert len(await normalise_wallets_async(entries)) == 100_000
    watcher.cancel()
    assert 0 < pause < 3 * 0.05


async def test_a_list_may_change_while_it_is_read() -> None:
    """A registry that changes its own set meanwhile does not break the reading of it."""
    entries: set[WalletLike] = {str(number) for number in range(10_000)}
    reading = asyncio.create_task(normalise_wallets_async(entries))
    await asyncio.sleep(0)
    entries.clear()
    assert len(await reading) == 10_000


class Provider:
    """An object that knows the wallets; iterable too, which does not count."""

    def wallets(self) -> list[str]:
        """Give no wallets."""
        return []

    def __iter__(self) -> object:
        """Fail: the method goes first."""
        raise AssertionError


async def coroutine_function() -> list[str]:
    """Give no wallets."""
    return []


@pytest.mark.parametrize("source", [Provider(), coroutine_function, lambda: (), dict])
def test_sources_are_kept(source: object) -> None:
    """Providers and functions are kept as they are; only a class is refused."""
    if isinstance(source, type):
        with pytest.raises(ValueError, match="is a class"):
            check_wallet_source(source)
    else:
        assert check_wallet_source(source) is source


def test_lists_are_frozen() -> None:
    """A list is kept as a tuple, and an iterator read once."""
    entries = [WALLET]
    kept = check_wallet_source(entries)
    entries.clear()
    assert kept == (WALLET,)
    assert check_wallet_source(iter([WALLET])) == (WALLET,)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (WALLET, "is one wallet"),
        (RAW, "is one wallet"),
        (5, "is neither a list, nor a function, nor an object with wallets"),
        (None, "is neither a list"),
        (lambda database: [], "cannot be called without arguments"),
    ],
)
def test_other_sources_are_refused(source: object, reason: str) -> None:
    """One wallet, a class, a function with parameters and anything else are refused with the reason."""
    with pytest.raises(ValueError, match=reason):
        check_wallet_source(source)


async def test_what_is_to_be_awaited_is_no_empty_list() -> None:
    """A future can be iterated over."""
    with pytest.raises(ValueError, match="is to be awaited"):
        check_wallet_source(asyncio.get_running_loop().create_future())


def test_a_builtin_without_signature_is_a_function() -> None:
    """A callable whose parameters cannot be known is believed."""
    assert check_wallet_source(max) is max
