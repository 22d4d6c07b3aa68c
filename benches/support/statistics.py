"""Figures of several blocks: their median, and how sure it is."""

from __future__ import annotations

import random
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_RESAMPLES = 2_000


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median by bootstrap. Of three values that is their range."""
    rng = random.Random(0)  # the same figures give the same table
    medians = sorted(median(rng.choices(values, k=len(values))) for _ in range(_RESAMPLES))
    return medians[_RESAMPLES * 25 // 1000], medians[_RESAMPLES * 975 // 1000]


def short(value: float) -> str:
    """Three digits that matter."""
    magnitude = abs(value)
    return f"{value:,.0f}" if magnitude >= 100 else f"{value:.1f}" if magnitude >= 10 else f"{value:.2f}"


def spread(values: Sequence[float], *, suffix: str = "", plus: bool = False) -> str:
    """Return the median, and its interval when there are several."""

    def text(value: float) -> str:
        number = f"{value:.2f}{suffix}" if suffix else short(value)
        return f"+{number}" if plus and value >= 0 else number

    if not values:
        return ""
    if len(values) == 1:
        return text(values[0])
    low, high = interval(values)
    return f"{text(median(values))} [{text(low)}..{text(high)}]"


def percentile(values: Sequence[float], per_cent: float) -> float:
    """Return the value below which so many are."""
    ordered = sorted(values)
    return ordered[int((len(ordered) - 1) * per_cent / 100)]
