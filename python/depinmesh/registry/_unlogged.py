"""Requests that no library logs: its lines would show URLs and headers, where keys stand."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_ours: ContextVar[bool] = ContextVar("depinmesh_unlogged", default=False)


@contextmanager
def unlogged() -> Iterator[None]:
    """Keep what `leave_out` was told of out of the log in this block; what the program does with it is still logged."""
    token = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(token)


def leave_out(*packages: str) -> None:
    """Name packages that are loaded and log: all their loggers count, as each version may have others."""
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in packages:
            logging.getLogger(name).addFilter(_of_others)  # adds it once


def _of_others(_: logging.LogRecord) -> bool:
    return not _ours.get()
