"""What a process holds, and how that grows."""

from __future__ import annotations

import ctypes
import gc
import os
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
    return int(Path(f"/proc/{os.getpid()}/statm").read_text().split()[1]) * PAGE


def slope(sizes: Sequence[tuple[int, int]]) -> float:
    """Return the growth in bytes for each cycle, of pairs of a cycle and the resident bytes after it."""
    cycles, bytes_ = zip(*sizes, strict=True)
    return linear_regression(cycles, bytes_).slope
