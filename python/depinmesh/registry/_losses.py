"""How much a list may lose before it has to be read twice."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_GUARDED = 4
_CONFIRM_AFTER = 2.0


def loses_too_much(before: Collection[object], after: Collection[object]) -> bool:
    """Whether a list is empty, or keeps fewer than half of four or more wallets, as the gate judges reads.

    What a provider pushes takes effect at once. One that reads its source by itself pushes no such list, and leaves it
    to the gate, which wants it twice.
    """
    if not before:
        return False
    if not after:
        return True
    return len(before) >= _GUARDED and 2 * len(set(before) & set(after)) < len(before)


class Confirmation:
    """Believes reads as the gate does: one that loses too much counts when a later one is equal."""

    def __init__(self) -> None:
        self._suspect: frozenset[object] | None = None
        self._since = 0.0

    def believes(self, before: Collection[object], after: Collection[object]) -> bool:
        """Whether the list that was just read may take the place of the one before."""
        if not loses_too_much(before, after):
            self._suspect = None
            return True
        suspect = frozenset(after)
        if suspect != self._suspect:
            self._suspect, self._since = suspect, monotonic()
            return False
        return monotonic() - self._since >= _CONFIRM_AFTER
