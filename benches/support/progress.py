"""The steps of a run, and how far it is."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True)
class Step:
    """One thing to measure."""

    name: str
    seconds: float
    """What it takes, roughly."""
    run: Callable[[], str]
    """Measures, and says in a few words what came out."""


def run_all(steps: Sequence[Step]) -> list[str]:
    """Run them one after the other; a step that fails is told, and the rest goes on. Returns the names of those."""
    began, all_seconds, past = monotonic(), sum(step.seconds for step in steps), 0.0
    failed = []
    for number, step in enumerate(steps, 1):
        try:
            said = step.run()
        except Exception as error:  # noqa: BLE001  # half an hour of other figures must not be lost
            failed.append(step.name)
            said = f"FAILED: {type(error).__name__}: {error}"
        past += step.seconds
        passed = monotonic() - began
        left = passed / past * (all_seconds - past)
        print(f"[{number}/{len(steps)}, {passed:.0f} s, {left:.0f} s left] {step.name}: {said}", file=sys.stderr)
    return failed
