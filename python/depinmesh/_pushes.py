"""What a registry pushes, for as long as anybody listens."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, aclosing
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from depinmesh._tasks import foreign_cancellations_as_errors, is_cancelled
from depinmesh.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

# A `changes` that ends sooner, and has neither given anything nor failed before, says that there is nothing to hear.
_AT_ONCE = 0.5
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
# What has stood for so long is begun anew after the first pause.
_STOOD = 10.0

T = TypeVar("T")


async def pushes_of(
    source: Any,
    convert: Callable[[Any], Awaitable[T]],
    failed: Callable[[Exception, float], None],
    *,
    enter: Callable[[], Awaitable[object]] | None = None,
    pause: float | None = None,
) -> AsyncGenerator[T]:
    """Give what the provider pushes, converted; nothing where it has no `changes`, or one that ends at once.

    When it fails or ends it is begun anew: a stream whose server says goodbye ends without an error, and with it the
    news. `failed` is told why, and in how many seconds; they grow from 1 to 60, unless there is a fixed `pause`. Before
    each beginning the provider is entered.
    """
    if not callable(getattr(source, "changes", None)):
        return
    next_pause, lives = _FIRST_PAUSE, False
    while True:
        began = monotonic()
        error: Exception = RegistryError("its pushes have ended")
        try:
            if enter is not None:
                await enter()
                began = monotonic()  # how long that takes says nothing about the pushes
            async with aclosing(_once(source, convert)) as pushes:
                async for pushed in pushes:
                    lives = True
                    yield pushed
            if not lives and monotonic() - began < _AT_ONCE:
                return
        except Exception as raised:  # noqa: BLE001  # of the provider
            error = raised
        if is_cancelled():
            raise asyncio.CancelledError from error  # it has made an error, or an end, of its cancellation
        if monotonic() - began > _STOOD:
            next_pause = _FIRST_PAUSE
        lives, wait = True, next_pause if pause is None else pause
        failed(error, wait)
        await asyncio.sleep(wait)
        next_pause = min(2 * next_pause, _LONGEST_PAUSE)


async def _once(source: Any, convert: Callable[[Any], Awaitable[T]]) -> AsyncGenerator[T]:
    closing = False
    try:
        with foreign_cancellations_as_errors():
            async with AsyncExitStack() as stack:
                changes = source.changes()
                if callable(getattr(changes, "aclose", None)):  # a generator; any other iterator has nothing to close
                    stack.push_async_callback(changes.aclose)
                async for pushed in changes:
                    converted = await convert(pushed)
                    try:
                        yield converted
                    except GeneratorExit:
                        closing = True
                        raise
    except Exception:
        if not closing:  # else nobody listens any more, and whoever stopped has a reason that this must not hide
            raise
