"""Plots of the systems beside each other, as SVG that a reader's browser sets in its own font."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import matplotlib as mpl
from matplotlib import pyplot as plt

from benches.asked import PLOTS
from benches.support.figures import Blocks
from benches.support.statistics import interval, short
from benches.support.systems import SYSTEMS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benches.support.figures import Row
    from benches.support.results import Line

COLOURS = {"quic": "#3b6fb6", "tcp": "#8fb3de"}


def plot(lines: Sequence[Line], folder: Path) -> list[Path]:
    """Write the plots for which there are figures."""
    mpl.use("svg")
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "depinmesh", "font.size": 9})
    blocks = Blocks(lines)
    return [
        _bars(blocks, row, folder / name)
        for name, row in PLOTS.items()
        if any(line["bench"] == row.bench for line in lines)
    ]


def _bars(blocks: Blocks, row: Row, file: Path) -> Path:
    bars = [
        (f"{system.label}, {transport.upper()}", transport, list(found.values()))
        for system in SYSTEMS
        for transport in system.transports
        if (found := blocks.values(row, system.name, transport))
    ]
    middles = [median(values) for _, _, values in bars]
    ranges = [interval(values) for _, _, values in bars]
    below = [middle - low for middle, (low, _) in zip(middles, ranges, strict=True)]
    above = [high - middle for middle, (_, high) in zip(middles, ranges, strict=True)]
    figure, axes = plt.subplots(figsize=(7.2, 0.6 + 0.28 * len(bars)), layout="constrained")
    places = range(len(bars))
    colours = [COLOURS[transport] for _, transport, _ in bars]
    axes.barh(places, middles, color=colours, xerr=(below, above), error_kw={"elinewidth": 1, "capsize": 2})
    for place, middle, (_, high) in zip(places, middles, ranges, strict=True):
        axes.annotate(short(middle), (high, place), xytext=(4, 0), textcoords="offset points", va="center")
    axes.set_xscale("log")
    axes.set_yticks(places, [name for name, _, _ in bars])
    axes.invert_yaxis()
    axes.margins(x=0.15)
    axes.set_title(row.name, loc="left", fontsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
    return file
