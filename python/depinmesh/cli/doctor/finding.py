"""What the doctor found about one thing."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

Verdict: TypeAlias = Literal["ok", "warning", "fault", "skipped"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    what: str
    verdict: Verdict
    detail: str
    remedy: str | None = None
    """What to do; there is one for every warning and fault, and for what was skipped."""


class Absence(NamedTuple):
    """Why the doctor has no node of its own, without which nobody is dialled and nothing heard."""

    reason: str
    remedy: str


KEY_IN_USE = Absence("as the key is in use by the node", "stop the node, or give another listed key with --key")
NOT_STARTED = Absence("as no node could be started here", "mend the own node first")
