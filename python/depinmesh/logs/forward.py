"""The thread that takes the records of the core to the loggers of the nodes."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
from time import monotonic
from typing import TYPE_CHECKING

from depinmesh import _core
from depinmesh.errors import CoreError
from depinmesh.logs.adapters import failures
from depinmesh.status import Metric

if TYPE_CHECKING:
    from depinmesh.logs.adapters import Adapter

_OFF = 255
_BATCH = 512
# Seconds between two looks at the level, as nobody tells us of a change, and at whether the thread is still needed.
_LOOK = 0.25


def log_metrics() -> list[Metric]:
    """Return the counters of what was not logged, by whichever node of the process."""
    return [
        Metric("log_records_dropped_total", "counter", _core.logs_dropped()),
        Metric("log_errors_total", "counter", failures.count),
    ]


class _Forwarder:
    """The thread that takes the records of the core, of all nodes of the process, while there are nodes.

    A thread and not the loop: records also flow while the loop is blocked, and a slow logger does not block the loop.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: list[Adapter] = []
        # Those whose last records may still be on their way, however short their node's life was, and since when.
        self._left: list[tuple[Adapter, float]] = []
        self._thread: threading.Thread | None = None
        self._pid = os.getpid()
        self._level = _OFF
        self._dropped = 0

    def add(self, logger: Adapter) -> None:
        """Begin to write to this one, too, for one node more."""
        if self._pid != os.getpid():
            # The thread, and perhaps the holder of the lock, stayed in the parent.
            self.__init__()  # type: ignore[misc]  # all of its state is to be as new
        with self._lock:
            if self._thread is None:
                self._dropped = _core.logs_dropped()
                thread = threading.Thread(target=self._run, name="depinmesh-logs", daemon=True)
                try:
                    thread.start()
                except RuntimeError as error:  # the next node tries again
                    raise CoreError(f"the thread of the log cannot be started: {error}") from error
                self._thread = thread
            self._users.append(logger)
            self._follow_level()

    def remove(self, logger: Adapter) -> None:
        """End what one `add` began."""
        # Called by finalisers, which can interrupt a holder of the lock: these are single steps, and need no lock.
        self._left.append((logger, monotonic()))
        with contextlib.suppress(ValueError):
            self._users.remove(logger)

    def finish(self) -> None:
        """Write what is left, at most for a second, as no node is to follow."""
        self._left += [(logger, monotonic()) for logger in self._users]
        self._users.clear()
        thread = self._thread
        if thread is not None and self._pid == os.getpid():
            with contextlib.suppress(KeyboardInterrupt):  # who says so once more does not wait
                thread.join(4 * _LOOK)

    def _run(self) -> None:
        while True:
            left, looked = len(self._left), monotonic()
            rows = _core.take_logs(_BATCH, _LOOK)
            # Also a node that came during the wait: the records may be those of its start.
            loggers = {*self._users, *(logger for logger, _ in list(self._left))}
            for row in rows:
                for logger in loggers:
                    logger.write(row)
            self._report_dropped(loggers)
            with self._lock:
                if rows:
                    # Other nodes may write for ever: who has left for a while goes when all that waited was taken.
                    left = sum(since < looked - _LOOK for _, since in self._left[:left])
                if len(rows) < _BATCH:
                    # They had gone before nothing more was found.
                    del self._left[:left]
                if not rows and not self._users and not self._left:
                    self._thread = None
                    _core.set_log_level(_OFF)
                    self._level = _OFF
                    return
                self._follow_level()

    def _follow_level(self) -> None:
        if not self._users:
            return
        with contextlib.suppress(Exception):
            level = min(logger.level for logger in self._users)
            level = max(0, level) if level <= logging.ERROR else _OFF
            if level != self._level:
                _core.set_log_level(level)
                self._level = level

    def _report_dropped(self, loggers: set[Adapter]) -> None:
        dropped = _core.logs_dropped()
        if dropped > self._dropped:
            for logger in loggers:
                logger.log(logging.WARNING, "log records of the core were dropped", {"count": dropped - self._dropped})
            self._dropped = dropped


forwarder = _Forwarder()
atexit.register(forwarder.finish)
