"""What a registry pushes, as long as it does."""

from __future__ import annotations

from contextlib import AsyncExitStack
from time import monotonic
from typing import TYPE_CHECKING, Any

from depinmesh.errors import RegistryError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

# A `changes` that ends sooner, and has given nothing, says that there is nothing to hear.
_AT_ONCE = 0.5


async def pushes_of(source: Any) -> AsyncGenerator[Any]:
    """Give what the provider pushes; nothing where it has no `changes`, or one that ends at once.

    Raises:
        RegistryError: It has ended: a stream whose server says goodbye ends without an error, and with it the news.
    """
    if not callable(getattr(source, "changes", None)):
        return
    began, silent, closing = monotonic(), True, False
    try:
        async with AsyncExitStack() as stack:
            changes = source.changes()
            if callable(getattr(changes, "aclose", None)):  # a generator; any other iterator has nothing to close
                stack.push_async_callback(changes.aclose)
            async for pushed in changes:
                silent = False
                try:
                    yield pushed
                except GeneratorExit:
                    closing = True
                    raise
    except Exception:
        if not closing:
            raise
        return  # nobody listens any more, and whoever stopped has a reason that this must not hide
    if not silent or monotonic() - began > _AT_ONCE:
        raise RegistryError("its pushes have ended")
