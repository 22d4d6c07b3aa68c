"""Checks of the arguments of calls that have no model of their own: wrong ones are refused before any effect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from depinmesh.errors import ConfigError, ConfigProblem, shown
from depinmesh.wallets import check_wallet_source

if TYPE_CHECKING:
    from depinmesh.wallets import WalletSource

# A year, as in a configuration.
_LONGEST = 365 * 24 * 3600.0
_LARGEST = 2**31 - 1

Overflow: TypeAlias = Literal["drop_oldest", "drop_newest"]


def check_handler(handler: object, concurrency: object) -> None:
    """Refuse what cannot be called, or not so often at once."""
    if handler is not None and not callable(handler):
        raise TypeError(f"a handler is a function of one event, not {type(handler).__name__}")
    positive("concurrency", concurrency)
    if handler is None and concurrency != 1:
        raise _wrong("concurrency", concurrency, "is for a handler, and there is none")


def positive(name: str, value: object) -> int:
    """Return the value when it is a whole number above 0."""
    if type(value) is not int or not 1 <= value <= _LARGEST:
        raise _wrong(name, value, f"is not a number from 1 to {_LARGEST:,}")
    return value


def count(name: str, value: object) -> int:
    """Return the value when it is a whole number, 0 or more."""
    if type(value) is not int or not 0 <= value <= _LARGEST:
        raise _wrong(name, value, f"is not a number from 0 to {_LARGEST:,}")
    return value


def seconds(name: str, value: object) -> float:
    """Return the value when it is a time: a finite number of seconds, 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LONGEST:
        raise _wrong(name, value, "is not a number of seconds, 0 or more")
    return float(value)


def time_limit(value: object) -> None:
    """Refuse what is neither None nor a time."""
    if value is not None:
        seconds("timeout", value)


def overflow_policy(value: object) -> Overflow:
    """Return the value when it names a policy."""
    if value == "drop_oldest":
        return "drop_oldest"
    if value == "drop_newest":
        return "drop_newest"
    raise _wrong("overflow", value, "is neither 'drop_oldest' nor 'drop_newest'")


def registry(source: WalletSource) -> object:
    """Return a list as a tuple, and anything else that can be asked for wallets as it is."""
    try:
        return check_wallet_source(source)
    except ValueError as error:
        raise _wrong("authorized_wallets", source, str(error)) from None


def _wrong(name: str, value: object, reason: str) -> ConfigError:
    return ConfigError.of([ConfigProblem(name, shown(value), reason, None)])
