"""A list of wallets that says when it was read, and from where."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime

from depinmesh.identity import WalletLike


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The wallets of a registry as of one moment. A registry may answer with one in place of a plain list."""

    wallets: Collection[WalletLike]
    """All that are listed."""
    source: str = ""
    """Where they were read, such as the host of an endpoint or the path of a file; never a secret."""
    taken_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When they were read there, with a time zone. From then on `gate.max_stale` counts."""

    def __post_init__(self) -> None:
        """Refuse a time without a zone, which would be off by hours somewhere."""
        if self.taken_at.tzinfo is None:
            raise ValueError("taken_at has no time zone: write datetime.now(UTC)")

    @property
    def age(self) -> float:
        """Seconds since it was read, 0 for a time in the future."""
        return max(0.0, (datetime.now(UTC) - self.taken_at).total_seconds())
