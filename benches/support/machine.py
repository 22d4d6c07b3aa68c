"""What the figures were measured on, and who else was using it."""

from __future__ import annotations

import os
import platform
import resource
import struct
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TICK = os.sysconf("SC_CLK_TCK")
_IDLE = (3, 4)  # idle and iowait, in the first line of /proc/stat


def describe() -> str:
    """Return the machine in one line."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    system = f"{platform.system()} {platform.release().partition('-')[0]}"
    return f"{os.cpu_count()} cores of {model}, {system}, Python {platform.python_version()}"


def memory_of(pid: int) -> float:
    """Return the resident memory of a process in MiB."""
    return int(_lines(f"/proc/{pid}/statm")[0].split()[1]) * resource.getpagesize() / 2**20


def seconds_of(pid: int) -> float:
    """Return the processor time that the threads of a process have used, to the nanosecond."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int(_lines(f"{thread}/schedstat")[0].split()[0]) for thread in threads) / 1e9


@contextmanager
def awake() -> Iterator[bool]:
    """Keep the cores from falling asleep, where the kernel lets us; yield whether it does.

    How long a core takes to wake, in a virtual machine above all, is none of what is measured, and moves a median by a
    quarter from run to run. See Documentation/power/pm_qos_interface.rst of Linux.
    """
    try:
        device = Path("/dev/cpu_dma_latency").open("wb", buffering=0)  # noqa: SIM115  # it holds as long as it is open
    except OSError:  # no such device, or no right to it
        yield False
        return
    with device:
        device.write(struct.pack("i", 0))
        yield True


class Load:
    """How busy the machine was with anything but this process and its children that have ended."""

    def __init__(self) -> None:
        self._begun = monotonic(), _busy(), _own()

    def others(self) -> float:
        """Return the share of the machine that others used since the start."""
        at, busy, own = self._begun
        whole = (monotonic() - at) * (os.cpu_count() or 1)
        return min(1.0, max(0.0, (_busy() - busy - (_own() - own)) / whole))


def _busy() -> float:
    """Processor seconds of the whole machine so far."""
    times = [int(text) for text in _lines("/proc/stat")[0].split()[1:9]]
    return sum(time for index, time in enumerate(times) if index not in _IDLE) / _TICK


def _own() -> float:
    uses = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(use.ru_utime + use.ru_stime for use in uses)


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()
