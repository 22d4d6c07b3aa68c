"""`depinmesh bench`: how many events arrive, and when. One side publishes, others count."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from json import dumps
from math import isfinite, nan
from statistics import median, quantiles
from time import monotonic, time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from depinmesh import Event, Subscription
from depinmesh.cli.app import Count, Seconds, app, run, say
from depinmesh.cli.output import AsJson, print_json, print_table
from depinmesh.cli.settings import OwnNode
from depinmesh.errors import MeshTimeoutError

APP = app("bench")

_TOPIC = "depinmesh-bench"
_PAD = ', "pad": ""'
_HUNDRED = 100


def main(arguments: Sequence[str]) -> int:
    """Run it."""
    return run(APP, arguments)


@APP.command
async def pub(
    *,
    count: Count = 10_000,
    size: int = 200,
    rate: float = 0.0,
    topic: str = _TOPIC,
    min_peers: int = 1,
    timeout: Seconds = 30.0,
    as_json: AsJson = False,
    settings: OwnNode = OwnNode(),
) -> None:
    """Publish events as fast as the network takes them; `depinmesh bench sub` counts them elsewhere.

    Args:
        count: How many events.
        size: Bytes of a message.
        rate: Events a second at most; 0 sets no limit.
        topic: Where they are published.
        min_peers: How many must subscribe before the first.
        timeout: Seconds to wait for them.
    """
    async with settings.connect() as database:
        await database.wait_for_peers(topic, min_peers, timeout)
        start = monotonic()
        with _progress("published", count) as advance:
            for number in range(count):
                if rate > 0 and (early := start + number / rate - monotonic()) > 0:
                    await asyncio.sleep(early)
                message = {"n": number, "at": time()}
                pad = size - len(dumps(message)) - len(_PAD)
                await database.publish(topic, {**message, "pad": "x" * max(0, pad)})
                advance(1)
        seconds = monotonic() - start
    _print_result({"published": count, "seconds": seconds, "events_per_second": count / seconds}, as_json=as_json)


@APP.command
async def sub(
    *,
    count: Count = 10_000,
    topic: str = _TOPIC,
    timeout: Seconds = 30.0,
    idle: Seconds = 5.0,
    as_json: AsJson = False,
    settings: OwnNode = OwnNode(),
) -> None:
    """Count the events of `depinmesh bench pub`, and how long they took. Both clocks must agree for that.

    Args:
        count: How many events are expected.
        topic: Where they are published.
        timeout: Seconds to wait for the first one.
        idle: Seconds without an event after which no more is expected.
    """
    async with settings.connect() as database, database.subscribe(topic) as events:
        say(f"waiting for {count} events on {topic}")
        delays, seconds = await _count(events, count, timeout, idle)
    result = {
        "received": len(delays),
        "missing": count - len(delays),
        "seconds": seconds,
        "events_per_second": (len(delays) - 1) / seconds if seconds else 0.0,
        "latency_ms_median": median(delays),
        "latency_ms_p99": quantiles(delays, n=_HUNDRED)[-1] if len(delays) > 1 else delays[0],
    }
    _print_result(result, as_json=as_json)


async def _count(events: Subscription, count: int, timeout: float, idle: float) -> tuple[list[float], float]:
    """Return the milliseconds that each event took, and the seconds from the first to the last."""
    delays: list[float] = []
    first = last = 0.0
    with _progress("received", count) as advance:
        while len(delays) < count:
            try:
                event = await events.get(idle if delays else timeout)
            except MeshTimeoutError:
                if not delays:
                    raise
                break
            last = monotonic()
            first = first or last
            delays.append((event.received_at.timestamp() - _sent_at(event)) * 1000)
            advance(1)
    return delays, last - first


def _sent_at(event: Event) -> float:
    """Return when it was sent, which the event itself says in whole seconds only."""
    try:
        sent_at = float(event.message["at"])
    except (TypeError, KeyError, ValueError, OverflowError):
        sent_at = nan  # of somebody else
    return sent_at if isfinite(sent_at) else event.received_at.timestamp()


@contextmanager
def _progress(what: str, total: int) -> "Iterator[_Advance]":
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _Advance(progress, total)


class _Advance:
    """Moves the bar, at most once in a hundredth of the whole: it costs more than an event."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=total)
        self._step = max(1, total // _HUNDRED)
        self._waiting = 0

    def __call__(self, number: int) -> None:
        self._waiting += number
        if self._waiting >= self._step:
            self._progress.advance(self._task, self._waiting)
            self._waiting = 0


def _print_result(result: dict[str, float], *, as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    print_table(("figure", "value"), [(name, f"{value:.6g}") for name, value in result.items()])
