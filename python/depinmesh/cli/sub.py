"""`depinmesh sub`: show the events of topics."""

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from depinmesh import Database, Event, Subscription
from depinmesh._tasks import limit
from depinmesh._text import in_a_line
from depinmesh.cli.app import Count, Seconds, app, first_of, run, say
from depinmesh.cli.output import message_of
from depinmesh.cli.settings import OwnNode
from depinmesh.signals import until_stopped

APP = app("sub")


def main(arguments: Sequence[str]) -> int:
    """Run it."""
    return run(APP, arguments)


@APP.default
async def sub(
    topics: Annotated[tuple[str, ...], Parameter(negative=())],
    /,
    *,
    json: bool = False,  # the name of the option
    count: Count | None = None,
    timeout: Seconds | None = None,
    settings: OwnNode = OwnNode(),
) -> None:
    """Show the events that others publish, until Ctrl-C.

    It starts a node of its own, on free ports.

    Args:
        topics: Names of the topics.
        json: One JSON object a line: id, topic, from_peer, wallet, timestamp (s), received_at, message.
        count: End after so many events.
        timeout: Seconds after which it ends with code 3 when those have not come.
    """
    shown = _Shown(count, as_json=json)

    async def show() -> None:
        async with settings.connect() as database:
            say(f"{database.node.wallet} listens for {', '.join(topics)}; peers: {len(database.node.peers())}")
            await _show(database, topics, shown)

    async with limit(timeout, "waiting for the events"):
        await until_stopped(show())
    say(f"{shown.number} events")


class _Shown:
    """Prints events, and knows when there were enough."""

    def __init__(self, most: int | None, *, as_json: bool) -> None:
        self.number = 0
        self.enough = asyncio.Event()
        self._most = most
        self._line = _json_line if as_json else _text_line

    def show(self, event: Event) -> None:
        if not self.enough.is_set():
            sys.stdout.write(self._line(event) + "\n")
            sys.stdout.flush()
            self.number += 1
            if self.number == self._most:
                self.enough.set()


async def _show(database: Database, topics: Sequence[str], shown: _Shown) -> None:
    subscriptions = [await database.subscribe(topic) for topic in dict.fromkeys(topics)]
    await first_of(shown.enough.wait(), *(_take(subscription, shown) for subscription in subscriptions))


async def _take(subscription: Subscription, shown: _Shown) -> None:
    async for event in subscription:
        shown.show(event)


def _json_line(event: Event) -> str:
    head = {
        "id": event.id,
        "topic": event.topic,
        "from_peer": event.from_peer,
        "wallet": event.wallet,
        "timestamp": event.timestamp,
        "received_at": event.received_at.isoformat(),
    }
    return f'{json.dumps(head)[:-1]}, "message": {message_of(event)}}}'


def _text_line(event: Event) -> str:
    return f"{event.time:%H:%M:%S.%f} {event.wallet} {in_a_line(event.topic)} {message_of(event)}"
