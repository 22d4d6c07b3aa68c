"""What `connect` and `subscribe` return: something to `await`, or to enter with `async with`."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator


class _Closable(Protocol):
    async def close(self) -> None: ...


T = TypeVar("T", bound=_Closable)


class Opening(Generic[T]):
    """An object that does not exist yet. Nothing happens before it is awaited or entered, which can be done once."""

    __slots__ = ("_call", "_open", "_opened")

    def __init__(self, open: Callable[[], Coroutine[Any, Any, T]], call: str) -> None:  # noqa: A002
        self._open: Callable[[], Coroutine[Any, Any, T]] | None = open
        self._call = call
        self._opened: T | None = None

    def __await__(self) -> Generator[Any, None, T]:
        """Open it; the caller closes it."""
        if self._open is None:
            raise RuntimeError(f"{self._call} was awaited already")
        coroutine, self._open = self._open(), None
        return coroutine.__await__()

    async def __aenter__(self) -> T:
        """Open it."""
        self._opened = await self
        return self._opened

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        if self._opened is not None:
            await self._opened.close()

    def __del__(self, _warn: Callable[..., None] = warnings.warn) -> None:
        """Warn, as a coroutine does, when it was forgotten."""
        if getattr(self, "_open", None) is not None:
            _warn(f"{self._call} was never awaited", RuntimeWarning, stacklevel=2, source=self)


class Connecting(Opening[T]):
    """What `connect` and `Node.database` return: `await` it, or enter it with `async with`, which closes it again."""

    __slots__ = ()


class Subscribing(Opening[T]):
    """What `Database.subscribe` returns: `await` it, or enter it with `async with`, which closes it again."""

    __slots__ = ()
