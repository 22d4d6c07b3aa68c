"""How far an endpoint may be behind the others."""

from __future__ import annotations

from time import monotonic

from depinmesh.registry._fetch import EndpointError

# As `gate.max_stale` is by default: after that the list is none to admit anybody by.
_HELD = 900.0


class HighestSlot:
    """The highest slot of the answers. What is further behind may still have a wallet that was removed.

    Where all answers are further behind for a quarter of an hour, it was of another chain, or of a faulty endpoint.
    """

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._slot = 0
        self._behind_since: float | None = None

    def take(self, slot: int) -> None:
        """Note that of an answer. `EndpointError`: it is too far behind."""
        lowest = self._slot - self._behind
        if slot >= lowest:
            self._slot = max(self._slot, slot)
        else:
            # From the first one on: that nobody was asked for a while says nothing.
            if self._behind_since is None:
                self._behind_since = monotonic()
            if monotonic() - self._behind_since < _HELD:
                raise EndpointError(f"it is at slot {slot}, behind {self._slot}")
            self._slot = slot
        self._behind_since = None
