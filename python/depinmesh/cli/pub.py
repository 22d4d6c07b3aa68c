"""`depinmesh pub`: publish messages, from the command line or from stdin."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Annotated

from cyclopts import Parameter
from pydantic_core import from_json

from depinmesh.cli.app import Count, Seconds, app, run, say
from depinmesh.cli.settings import OwnNode
from depinmesh.cli.stdin import lines
from depinmesh.errors import EncodeError

APP = app("pub")


def main(arguments: Sequence[str]) -> int:
    """Run it."""
    return run(APP, arguments)


@APP.default
async def pub(
    topic: str,
    message: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    /,
    *,
    text: bool = False,
    count: Count = 1,
    interval: Seconds = 0.0,
    min_peers: int = 1,
    timeout: Seconds = 30.0,
    settings: OwnNode = OwnNode(),
) -> None:
    """Publish a message, or one for each line of stdin.

    It starts a node of its own, on free ports, and waits until somebody subscribes to the topic.

    Args:
        topic: Name of the topic.
        message: The message as JSON; without one, or with `-`, the lines of stdin.
        text: The message is text, not JSON.
        count: How often each is published.
        interval: Seconds between two messages.
        min_peers: How many must subscribe before the first is published; 0 waits for nobody.
        timeout: Seconds to wait for them.
    """
    given = None if message in (None, "-") else [_parsed(str(message), text=text)]
    sent = 0
    async with settings.connect() as database:
        if min_peers > 0:
            await database.wait_for_peers(topic, min_peers, timeout)
        async for one in _messages(given, text=text):
            for _ in range(count):
                if sent and interval > 0:
                    await asyncio.sleep(interval)
                await database.publish(topic, one, timeout=timeout)
                sent += 1
    say(f"published {sent} {'message' if sent == 1 else 'messages'} on {topic}")


async def _messages(given: list[object] | None, *, text: bool) -> AsyncIterator[object]:
    if given is not None:
        for message in given:
            yield message
        return
    async for line in lines(sys.stdin.fileno()):
        if line.strip():
            yield _parsed(line, text=text)


def _parsed(text_given: str, *, text: bool) -> object:
    if text:
        return text_given
    try:
        return from_json(text_given, allow_inf_nan=False)
    except ValueError as error:
        raise EncodeError(f"the message is not JSON ({error}); quote it as JSON does, or say --text") from None
