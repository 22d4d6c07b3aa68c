"""What every peer in Python is made of. It runs in environments of other packages too: the standard library alone.

All peers of other systems take the command line of the raw one, and say the same lines: see `benches/raw/src/main.rs`.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import mmap
import os
import resource
import socket
import struct
import uuid
from pathlib import Path
from time import monotonic, monotonic_ns, perf_counter, sleep, time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

STALLED = 10.0
"""Seconds without progress after which a run has failed."""
LOOK = 0.001
"""Seconds between two looks at a full window."""
_PR_SET_TIMERSLACK = 29


def options() -> argparse.Namespace:
    """Read the command line that all peers share."""
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=("recv", "send"))
    parser.add_argument("--transport", choices=("quic", "tcp"), required=True)
    parser.add_argument("--credit", required=True)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--warmup", type=int, default=0)
    parser.add_argument("--latency", action="store_true")
    parser.add_argument("--address")
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--rate", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--linger", type=float, default=0.0)
    return parser.parse_args()


def say(event: str, **fields: object) -> None:
    """Print one line."""
    print(json.dumps({"event": event, **fields}), flush=True)


class Credit:
    """The number of received events, in memory that both processes see."""

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
    """Time and processor from here on, of this process and of those named beside it, such as a broker."""

    def __init__(self, *others: int) -> None:
        self._others = others
        self._brokers = sum(map(_seconds_of, others))
        self._at, self._used = perf_counter(), resource.getrusage(resource.RUSAGE_SELF)

    def until_now(self, events: int) -> dict[str, float]:
        """Return what was used for so many events, under the names that the raw peer has."""
        seconds, used = perf_counter() - self._at, resource.getrusage(resource.RUSAGE_SELF)
        cpu = used.ru_utime - self._used.ru_utime + used.ru_stime - self._used.ru_stime
        each = 1e6 / max(1, events)
        found = {
            "seconds": seconds,
            "events_per_second": events / seconds,
            "cpu_seconds": cpu,
            "cpu_us_per_event": cpu * each,
            "waits_per_event": (used.ru_nvcsw - self._used.ru_nvcsw) / max(1, events),
            "max_rss_kib": _peak_kib(),
        }
        if self._others:
            found["broker_us_per_event"] = (sum(map(_seconds_of, self._others)) - self._brokers) * each
        return found


class Window:
    """How many events may be sent now: never more than `size` beyond what the receiver has, `total` in all.

    With `lost_after`, what has not arrived after so many seconds without progress counts as lost, and other events are
    sent in its place.
    """

    def __init__(self, credit: Credit, size: int, *, lost_after: float | None = None) -> None:
        self._credit, self._size, self._lost_after = credit, size, lost_after
        self._before = credit.received()
        self._progress, self._since = -1, monotonic()
        self.sent, self.lost = 0, 0

    def room(self, total: int) -> int | None:
        """Return how many, and None once all have arrived."""
        received = self._credit.received() - self._before
        if received >= total:
            return None
        if received > self._progress:
            self._progress, self._since = received, monotonic()
        elif monotonic() - self._since > STALLED:
            raise TimeoutError(f"{received} of {self.sent} events arrived")
        elif self._lost_after and monotonic() - self._since > self._lost_after:
            self.lost += self.sent - received
            self.sent = received
        return max(0, min(self._size - (self.sent - received), total - self.sent))


class Events:
    """Events as depinmesh writes them, of an exact size: the message counts, and says when it was due."""

    def __init__(self, author: str, size: int) -> None:
        self._author, self._size = author, size
        self._around = len(self._text("", "0" * 36, "", ""))

    def message(self, number: int, due: int) -> dict[str, Any]:
        """Return a message with which the whole event has its size."""
        pad = self._size - self._around - len(str(due)) - len(str(number))
        return {"t": due, "n": number, "pad": "x" * pad}

    def event(self, number: int, due: int) -> bytes:
        """Return the whole event."""
        pad = self.message(number, due)["pad"]
        return self._text(pad, str(uuid.uuid4()), str(due), str(number)).encode()

    def _text(self, pad: str, event_id: str, due: str, number: str) -> str:
        message = f'{{"t":{due},"n":{number},"pad":"{pad}"}}'
        return f'{{"id":"{event_id}","from_peer":"{self._author}","message":{message},"timestamp":{int(time())}}}'


class Received:
    """Counts what arrives, and says the result."""

    def __init__(self, credit: Credit, count: int, warmup: int, *, latency: bool, broker: int | None = None) -> None:
        self._credit, self._warmup, self._latency = credit, warmup, latency
        self._brokers = () if broker is None else (broker,)
        self._number, self._latencies = 0, list[int]()
        self.total = warmup + count
        self._usage = Usage(*self._brokers)
        credit.set(0)

    def add(self, due: int) -> bool:
        """Count an event that was due at that instant, if at any; return whether it was the last."""
        if self._latency and due and self._number >= self._warmup:
            self._latencies.append(monotonic_ns() - due)
        self._number += 1
        self._credit.set(self._number)
        if self._number == self._warmup:
            self._usage = Usage(*self._brokers)
        return self._number >= self.total

    def say(self, **more: object) -> None:
        """Say what it came to."""
        used = self._usage.until_now(self._number - self._warmup)
        say("received", **more, **used, missing=self.total - self._number, **quantiles_of(self._latencies))


def quantiles_of(nanoseconds: list[int]) -> dict[str, float]:
    """Return the quantiles that are reported, in microseconds; none without values."""
    ordered = sorted(nanoseconds)
    at = {"p50_us": 500, "p99_us": 990, "p999_us": 999, "max_us": 1000} if ordered else {}
    return {name: ordered[(len(ordered) - 1) * per_mille // 1000] / 1e3 for name, per_mille in at.items()}


def on_schedule(rate: int, seconds: float, publish: Callable[[int], None]) -> None:
    """Call with each instant when it has come. For a thread of its own: timers of loops are a millisecond wide."""
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    start = monotonic_ns()
    for number in range(int(rate * seconds)):
        due = start + number * 1_000_000_000 // rate
        while (early := due - monotonic_ns()) > 0:
            sleep(early / 1e9)
        publish(due)


def free_port() -> int:
    """Return a port that nobody has at the moment, neither over TCP nor UDP."""
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        port: int = tcp.getsockname()[1]
        udp.bind(("127.0.0.1", port))
        return port


def _seconds_of(pid: int) -> float:
    """Return the processor time of another process."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_kib() -> int:
    # Not ru_maxrss, which a child inherits from the process that started it.
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
