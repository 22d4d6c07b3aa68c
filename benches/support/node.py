"""A process with one node, for `benches/network.py`: the public interface of the package and nothing beside it.

It is told what to do by a line of JSON on its standard input, and answers in such lines, as `depinmesh-raw-peer` does.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import mmap
import resource
import struct
import sys
from pathlib import Path
from time import monotonic, monotonic_ns, perf_counter, process_time, sleep
from typing import TYPE_CHECKING, Any

from depinmesh import Node, connect

if TYPE_CHECKING:
    from depinmesh import Database

TOPIC = "events"
STALLED = 10.0
_PR_SET_TIMERSLACK = 29

Spec = dict[str, Any]


def say(event: str, **fields: object) -> None:
    """Print one line."""
    print(json.dumps({"event": event, **fields}), flush=True)


class Credit:
    """The number of received events, in memory that both processes see (see `benches/raw/src/main.rs`)."""

    def __init__(self, path: str) -> None:
        file = Path(path)
        if not file.exists():
            file.write_bytes(bytes(8))
        with file.open("r+b") as opened:
            self._memory = mmap.mmap(opened.fileno(), 8)

    def received(self) -> int:
        """Return how many the receiver has."""
        number: int = struct.unpack_from("<Q", self._memory)[0]
        return number

    def set(self, received: int) -> None:
        """Tell how many."""
        struct.pack_into("<Q", self._memory, 0, received)


class Usage:
    """Time and processor from here on."""

    def __init__(self) -> None:
        self._at, self._used = perf_counter(), resource.getrusage(resource.RUSAGE_SELF)

    def until_now(self, events: int) -> dict[str, float]:
        """Return what was used for so many events, under the names that the raw peer has."""
        seconds, used = perf_counter() - self._at, resource.getrusage(resource.RUSAGE_SELF)
        cpu = used.ru_utime - self._used.ru_utime + used.ru_stime - self._used.ru_stime
        return {
            "seconds": seconds,
            "events_per_second": events / seconds,
            "cpu_seconds": cpu,
            "cpu_us_per_event": cpu * 1e6 / max(1, events),
            "waits_per_event": (used.ru_nvcsw - self._used.ru_nvcsw) / max(1, events),
            "max_rss_kib": _peak_kib(),
        }


def _peak_kib() -> int:
    # Not ru_maxrss, which a child inherits from the process that started it.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def fields_of(spec: Spec) -> Any:
    """Return the configuration: one transport, on loopback."""
    ports = {"quic_port": None, "tcp_port": None, f"{spec['transport']}_port": 0}
    return {
        "private_key": spec["key"],
        "authorized_wallets": spec["wallets"],
        "bootstrap_nodes": spec.get("bootstrap", []),
        "database": "bench",
        "listen": {"hosts": ["127.0.0.1"], **ports},
        "pubsub": {"batching": spec.get("batching", False), "queue_size": max(1024, 2 * spec.get("window", 0))},
    }


async def receive(spec: Spec) -> None:
    """Take the events by iteration, decode each, and tell how far it is."""
    credit, total, warmup = Credit(spec["credit"]), spec["warmup"] + spec["count"], spec["warmup"]
    credit.set(0)
    latencies: list[int] = []
    received, usage = 0, Usage()
    async with connect(**fields_of(spec)) as database, database.subscribe(TOPIC) as events:
        say("listening", address=database.node.bootstrap_entries()[0])
        async for event in events:
            message = event.message
            if spec["latency"] and received >= warmup:
                latencies.append(monotonic_ns() - message["t"])
            received += 1
            credit.set(received)
            if received == warmup:
                usage = Usage()
            if received == total:
                break
        used = usage.until_now(received - warmup)
        dropped = events.stats.dropped
    latencies.sort()
    at = {"p50_us": 500, "p99_us": 990, "max_us": 1000} if latencies else {}
    say(
        "received",
        dropped=dropped,
        **used,
        **{name: latencies[(len(latencies) - 1) * per_mille // 1000] / 1e3 for name, per_mille in at.items()},
    )


class Sender:
    """Publishes events of an exact size."""

    def __init__(self, database: Database, spec: Spec) -> None:
        self._database = database
        self._size: int = spec["size"]
        self._credit = Credit(spec["credit"])
        self._before = self._credit.received()
        around = {"id": "0" * 36, "from_peer": database.node.peer_id, "message": {"t": "", "n": "", "pad": ""}}
        text = json.dumps({**around, "timestamp": 1_700_000_000}, separators=(",", ":"))
        self._around = len(text) - len('""""')  # t and n are numbers
        self.sent = 0

    def message(self, scheduled: int) -> dict[str, Any]:
        """Return the next message, scheduled for that instant."""
        pad = self._size - self._around - len(str(scheduled)) - len(str(self.sent))
        message = {"t": scheduled, "n": self.sent, "pad": "x" * pad}
        self.sent += 1
        return message

    async def as_fast_as_possible(self, total: int, window: int) -> None:
        """Publish until so many are out and received, never more than `window` ahead of the receiver."""
        progress, since = -1, monotonic()
        while (received := self._credit.received() - self._before) < total:
            if received > progress:
                progress, since = received, monotonic()
            elif monotonic() - since > STALLED:
                raise TimeoutError(f"{received} of {self.sent} events arrived")
            room = min(window - (self.sent - received), total - self.sent)
            for _ in range(room):
                await self._database.publish(TOPIC, self.message(0))
            await asyncio.sleep(0.001)

    async def on_schedule(self, rate: int, seconds: float) -> None:
        """Publish at fixed instants, from a thread as the raw peer does: timers of loops are a millisecond wide."""
        await asyncio.to_thread(self._publish_on_schedule, rate, seconds)
        await self.as_fast_as_possible(self.sent, 0)

    def _publish_on_schedule(self, rate: int, seconds: float) -> None:
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
        start = monotonic_ns()
        for number in range(int(rate * seconds)):
            due = start + number * 1_000_000_000 // rate
            while (early := due - monotonic_ns()) > 0:
                sleep(early / 1e9)
            self._database.publish_nowait(TOPIC, self.message(due))


async def send(spec: Spec) -> None:
    """Publish as fast as the window allows, or on a schedule."""
    async with connect(**fields_of(spec)) as database:
        await database.wait_for_peers(TOPIC, 1, STALLED)
        sender = Sender(database, spec)
        await sender.as_fast_as_possible(spec["warmup"], spec["window"])
        usage = Usage()
        if spec["rate"]:
            await sender.on_schedule(spec["rate"], spec["seconds"])
        else:
            await sender.as_fast_as_possible(spec["warmup"] + spec["count"], spec["window"])
        used = usage.until_now(sender.sent - spec["warmup"])
    say("sent", **used)


async def run_on(spec: Spec) -> None:
    """Be the running peer that others come to; say when each event was delivered."""
    async with connect(**fields_of(spec)) as database, database.subscribe(TOPIC) as events:
        say("listening", address=database.node.bootstrap_entries()[0])
        async for event in events:
            say("delivered", at=monotonic_ns(), n=event.message)


async def first_event(spec: Spec) -> None:
    """Start, find the running peer, and publish one event."""
    async with connect(**fields_of(spec)) as database:
        await database.publish(TOPIC, spec["n"], min_peers=1, timeout=STALLED)
        say("published", cpu_ms=process_time() * 1e3)


async def dial(spec: Spec) -> None:
    """Connect once, and say how long it took."""
    async with Node(**fields_of(spec)) as node, node.database():
        began = perf_counter()
        await node.dial(spec["address"])
        say("connected", ms=(perf_counter() - began) * 1e3)


async def idle(spec: Spec) -> None:
    """Be connected, with nothing to do; say what that costs."""
    async with connect(**fields_of(spec)) as database, database.subscribe(TOPIC):
        await database.wait_ready(STALLED)
        await asyncio.sleep(2)  # until the two know each other
        usage = Usage()
        await asyncio.sleep(spec["seconds"])
        say("idle", **usage.until_now(0))


ROLES = {"receive": receive, "send": send, "run_on": run_on, "first_event": first_event, "dial": dial, "idle": idle}


def main() -> None:
    """Do what the first line of the input says."""
    spec: Spec = json.loads(sys.stdin.readline())
    factory = None
    if spec["loop"] == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(ROLES[spec["role"]](spec))


if __name__ == "__main__":
    main()
