"""How far an endpoint may be behind the others."""

from __future__ import annotations

from time import monotonic

from depinmesh.registry._fetch import EndpointError

# As `gate.max_stale` is by default: after that the list is none to admit anybody by.
_HELD = 900.0


class HighestSlot:
    """The highest slot of the answers. What is further behind may still have a wallet that was removed.

    One that nothing has come near to for a quarter of an hour was that of another chain, or of a faulty endpoint.
    """

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._slot = 0
        self._near = float("-inf")

    def take(self, slot: int) -> None:
        """Note that of an answer. `EndpointError`: it is too far behind."""
        lowest = self._slot - self._behind
        if slot < lowest and monotonic() - self._near < _HELD:
            raise EndpointError(f"it is at slot {slot}, behind {self._slot}")
        self._slot = slot if slot < lowest else max(self._slot, slot)
        self._near = monotonic()
