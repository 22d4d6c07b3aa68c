"""The clock of this machine, against those of the authors of events."""

import asyncio
from collections.abc import Sequence
from statistics import median

from depinmesh import Database, Event, MeshError, MeshTimeoutError, Subscription
from depinmesh._tasks import limit
from depinmesh.cli.doctor.finding import Absence, Finding

_TOLERATED = 5.0  # seconds; an event's own way takes far less
_ENOUGH = 5

_REMEDY = "give a topic on which others publish: --topic"


async def clock(own: Database | Absence, topics: Sequence[str], seconds: float) -> Finding:
    """Listen for so long, and compare the time that each event bears with that of its arrival."""
    if not topics:
        return Finding("clock", "skipped", "there is nothing to compare it with", _REMEDY)
    if isinstance(own, Absence):
        return Finding("clock", "skipped", f"nothing is heard, {own.reason}", own.remedy)
    late: dict[str, float] = {}

    async def listen(subscription: Subscription) -> None:
        async for event in subscription:
            late.setdefault(event.wallet, _lateness(event))
            if len(late) >= _ENOUGH:
                return

    try:
        subscriptions = [await own.subscribe(topic) for topic in topics]
        async with limit(seconds, "listening"):
            await asyncio.gather(*map(listen, subscriptions))
    except MeshTimeoutError:
        pass
    except MeshError as error:
        return Finding("clock", "fault", str(error), _REMEDY)
    return _finding(late, seconds)


def _lateness(event: Event) -> float:
    return (event.received_at - event.time).total_seconds()


def _finding(late: dict[str, float], seconds: float) -> Finding:
    if not late:
        return Finding("clock", "skipped", f"nobody published within {seconds:g} s", _REMEDY)
    middle = median(late.values())
    if abs(middle) > _TOLERATED:
        detail = f"{abs(middle):.1f} s {'ahead of' if middle > 0 else 'behind'} those of {len(late)} authors"
        return Finding("clock", "fault", detail, "let NTP set the clock: `timedatectl set-ntp true`")
    wrong = {wallet: seconds for wallet, seconds in late.items() if abs(seconds) > _TOLERATED}
    if wrong:
        detail = ", ".join(f"that of {wallet} is {-seconds:+.1f} s off" for wallet, seconds in wrong.items())
        return Finding("clock", "warning", detail, "tell its operator to let NTP set the clock")
    return Finding("clock", "ok", f"agrees with {len(late)} authors within {max(map(abs, late.values())):.1f} s")
