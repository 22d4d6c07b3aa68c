"""How a consumer of a full queue stays fair to the other tasks of its loop."""

from __future__ import annotations

from time import monotonic

_LONGEST = 0.001  # seconds
_BATCHES = 8
_BATCH = 256
_FIRST_BATCH = 16


class Turns:
    """Says how many events to take next, and when it is the others' turn: after 8 batches or 1 ms.

    Batches grow to 256 for a consumer that is quick, and shrink for one that is slow: what it has taken it works
    through without looking at the clock.
    """

    __slots__ = ("_batches", "_began", "_taken", "batch")

    def __init__(self) -> None:
        self.batch = _FIRST_BATCH
        self._batches = 0
        self._began = self._taken = monotonic()

    def begin(self) -> None:
        """Note that the others just had their turn."""
        self._batches = 0
        self._began = self._taken = monotonic()

    def is_over(self) -> bool:
        """Count one batch taken; True when the others come next."""
        now = monotonic()
        if now - self._taken > _LONGEST:
            self.batch = max(1, self.batch // 2)
        elif self.batch < _BATCH:
            self.batch *= 2
        self._taken = now
        self._batches += 1
        return self._batches >= _BATCHES or now - self._began >= _LONGEST
