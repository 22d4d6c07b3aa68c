"""The standard streams as a command needs them, whatever whoever starts it has made of them."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Iterator

_STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


class StdoutError(Exception):
    """What is meant for stdout cannot be written, as on a full disk.

    No OSError: argparse drops those, and others take them for their own.
    """


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Mend what is closed, let no character be an error, and tell errors of stdout from all others."""
    _open_closed()
    stdout = sys.stdout
    if isinstance(stdout, io.TextIOWrapper):
        stdout.reconfigure(errors="backslashreplace")
    sys.stdout = cast("TextIO", _Stdout(stdout))
    try:
        yield
    finally:
        sys.stdout = stdout


def drop_stdout() -> None:
    """Let nothing more come of stdout, which cannot be written: the flush at exit must not complain again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _open_closed() -> None:
    """Open nothing at all in the place of what is closed: the next file to be opened would be taken for it."""
    for descriptor, (name, mode) in enumerate(_STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest number that is free, so this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115  # until the end


class _Stdout:
    """stdout, with errors of its own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with _named():
            return self._stream.write(text)

    def flush(self) -> None:
        with _named():
            self._stream.flush()

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


@contextlib.contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StdoutError(error.strerror) from error
