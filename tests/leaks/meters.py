"""What a process holds, and how that grows."""

from __future__ import annotations

import ctypes
import gc
import resource
import threading
from dataclasses import dataclass
from pathlib import Path
from statistics import linear_regression
from typing import TYPE_CHECKING

from tests.support import other_tasks

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE = resource.getpagesize()


@dataclass(frozen=True)
class Held:
    """Everything that a node could leave behind, memory aside."""

    descriptors: int
    threads: int
    tasks: int

    def within(self, other: Held) -> bool:
        """Say whether none of it is more. Threads that wait for work end by themselves."""
        pairs = ((self.descriptors, other.descriptors), (self.threads, other.threads), (self.tasks, other.tasks))
        return all(mine <= others for mine, others in pairs)


def held() -> Held:
    """Count what the process holds now."""
    gc.collect()
    return Held(
        descriptors=len(list(Path("/proc/self/fd").iterdir())),
        threads=len(list(Path("/proc/self/task").iterdir())),
        tasks=len(other_tasks()) if threading.current_thread() is threading.main_thread() else 0,
    )


def resident() -> int:
    """Return the resident bytes of the process, after what the allocator keeps for later was given back."""
    gc.collect()
    if hasattr(libc := ctypes.CDLL(None), "malloc_trim"):
        libc.malloc_trim(0)
    return untrimmed()


def untrimmed() -> int:
    """Return the resident bytes of the process as they are."""
    # Not by a Path: it interns its parts, and the table of all interned strings grows by megabytes at a time.
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123
        return int(statm.read().split()[1]) * PAGE


class _Mallinfo(ctypes.Structure):
    """`struct mallinfo2` of glibc."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


def allocated() -> int | None:
    """Return the bytes that the C allocator, the core's too, has given out; `None`: it does not count."""
    mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if mallinfo is None:
        return None
    mallinfo.restype = _Mallinfo
    found = mallinfo()
    return int(found.uordblks + found.hblkhd)


def slope(sizes: Sequence[tuple[int, int]]) -> float:
    """Return the growth for each cycle by least squares, of pairs of a cycle and the bytes after it."""
    cycles, bytes_ = zip(*sizes, strict=True)
    return linear_regression(cycles, bytes_).slope
