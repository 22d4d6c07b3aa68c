"""Questions of the core, each answered by a task."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any

import pytest

from depinmesh._requests import Requests
from tests.support import eventually, soon


class Core:
    """Takes the answers."""

    def __init__(self) -> None:
        self.answers: dict[int, Any] = {}

    def answer(self, request: int, answer: Any) -> bool:
        self.answers[request] = answer
        return True

    def requests(self) -> Requests:
        return Requests(contextvars.copy_context(), self.answer)


async def answered_at_once() -> str:
    return "at once"


async def answered_later() -> str:
    await asyncio.sleep(0)
    return "later"


class WordlessError(Exception):
    """Cannot be shown."""

    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (OSError("the chain is down"), "OSError: the chain is down"),
        (OSError("caf\udce9 is down"), r"OSError: caf\udce9 is down"),
        (WordlessError(), "WordlessError"),
    ],
    ids=["plain", "surrogate", "wordless"],
)
async def test_whatever_a_function_raises_is_answered_as_text_that_can_be_sent(error: Exception, answer: str) -> None:
    async def fails() -> None:
        raise error

    core = Core()
    requests = core.requests()
    requests.ask(1, fails, core.answer)
    await eventually(lambda: core.answers == {1: answer})
    assert answer.encode()


async def test_what_is_told_twice_to_end_may_still_end_as_it_likes() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        try:
            began.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            ended.set()

    core = Core()
    requests = core.requests()
    requests.ask(1, slow, core.answer)
    await soon(began.wait())
    requests.cancel(1)
    await asyncio.sleep(0)
    requests.cancel(1)
    requests.cancel_all()
    await soon(ended.wait())
    await eventually(lambda: core.answers == {1: "CancelledError: "})


def eager() -> Any:
    factory = getattr(asyncio, "eager_task_factory", None)
    missing = pytest.mark.skipif(factory is None, reason="Python 3.12 and newer have eager tasks")
    return pytest.param(factory, marks=missing, id="eager")


@pytest.mark.parametrize("factory", [pytest.param(None, id="plain"), eager()])
def test_questions_are_answered_whatever_makes_the_tasks(factory: Any) -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(factory)
        core = Core()
        requests = core.requests()
        for number, question in enumerate((answered_at_once, answered_later, answered_at_once)):
            requests.ask(number, question, core.answer)
        await eventually(lambda: not requests._tasks)
        assert core.answers == {0: "at once", 1: "later", 2: "at once"}

    asyncio.run(main())
