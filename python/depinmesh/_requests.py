"""Questions of the core to the user's functions, each answered by a task."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from depinmesh._tasks import cancel_once, report_interruption
from depinmesh.errors import MeshError, without_secrets

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Awaitable, Callable


class Requests:
    """The questions that are being answered. How long an answer may take is the core's to decide."""

    def __init__(self, context: contextvars.Context, answer_failed: Callable[[int, str], bool]) -> None:
        self._context = context
        self._answer_failed = answer_failed
        self._loop = asyncio.get_running_loop()
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def ask(self, request: int, question: Callable[[], Awaitable[Any]], answer: Callable[[int, Any], bool]) -> None:
        """Await the question, and give what comes of it to `answer`."""
        # A copy of the context: two requests may be under way at once, and one context runs one task step at a time.
        task = self._loop.create_task(self._reply(request, question, answer), context=self._context.copy())
        self._tasks[request] = task
        task.add_done_callback(lambda task: self._forget(request, task))

    def cancel(self, request: int) -> None:
        """Stop it: nobody waits for the answer any more."""
        if (task := self._tasks.get(request)) is not None:
            cancel_once(task)

    def cancel_all(self) -> None:
        """Stop all."""
        for task in self._tasks.values():
            cancel_once(task)

    async def _reply(
        self, request: int, question: Callable[[], Awaitable[Any]], answer: Callable[[int, Any], bool]
    ) -> None:
        try:
            answer(request, await question())
        except BaseException as error:
            # The core decides what a failure means; it must only always get its answer, unless it has just ended.
            with contextlib.suppress(MeshError):
                self._answer_failed(request, _reason(error))
            if not isinstance(error, Exception):
                raise

    def _forget(self, request: int, task: asyncio.Task[None]) -> None:
        self._tasks.pop(request, None)
        if not task.cancelled():
            report_interruption(task)


def _reason(error: BaseException) -> str:
    """Return what a function raised as text that the core takes: some errors have no text, or one that is not UTF-8."""
    name = type(error).__name__
    try:
        reason = without_secrets(f"{name}: {error}")
    except Exception:  # noqa: BLE001  # of its __str__
        reason = name
    return reason.encode(errors="backslashreplace").decode()
