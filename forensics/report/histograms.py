"""Reference pairs as histograms, unrelated and derived on one axis, with this case marked."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from forensics.report import populations
from forensics.report.canvas import (
    DERIVED,
    GREY,
    HATCH,
    INK,
    PALE,
    REMEMBERED,
    WIDTH,
    Drawing,
    canvas,
    short,
    svg_of,
)
from forensics.report.populations import Bins

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LEVELS = 5
"""Lines of tags above a picture."""


@lru_cache(maxsize=REMEMBERED)
def background(counts: Bins, marks: tuple[tuple[str, float], ...], quantity: str) -> Drawing:
    """Reference pairs as two histograms on one axis, unrelated above and derived below, with this case's values marked.

    `marks` are (tag, measured value); values outside the bins are drawn where they lie.
    """
    both = sum(counts.derived) > 0
    with canvas(WIDTH, 58.0 if both else 42.0) as figure:
        figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.02)
        panes = list(figure.subplots(2 if both else 1, 1, sharex=True, squeeze=False).flat)
        bars(panes[0], counts.edges, counts.unrelated, "unrelated", PALE)
        if both:
            bars(panes[1], counts.edges, counts.derived, "derived", DERIVED, HATCH)
        for axes in panes:
            for _, value in marks:
                axes.axvline(value, color=INK, linewidth=0.9, linestyle=(0, (4, 1.5)))
        tags(panes[0], marks)
        panes[-1].set_xlabel(short(quantity, 110))
        svg = svg_of(figure)
    alt = f"Histogram of {populations.pairs(counts)} reference pairs; " + "; ".join(
        f"this case, {tag}, at {value:.3g}: {populations.reached(counts, value)}" for tag, value in marks
    )
    return Drawing(svg=svg, alt=f"{alt}.", width=WIDTH)


def bars(
    axes: Axes,
    edges: Sequence[tuple[float, float]],
    heights: Sequence[float],
    name: str,
    fill: str,
    hatch: str = "",
) -> None:
    """One class of reference pairs as bars over its bins."""
    left = [low for low, _ in edges]
    wide = [high - low for low, high in edges]
    axes.bar(left, heights, width=wide, align="edge", color=fill, edgecolor=GREY, linewidth=0.4, hatch=hatch)
    axes.set_ylabel(f"{name}\npairs")
    axes.yaxis.get_major_locator().set_params(integer=True, nbins=4)
    axes.set_ylim(0, 1.05 * max([1.0, *heights]))


def tags(axes: Axes, marks: Sequence[tuple[str, float]]) -> None:
    """Writes each mark's tag above the picture, on a higher line where it would touch its neighbour.

    On the highest line there is no more room; the caption lists what has no tag.
    """
    low, high = axes.get_xlim()
    gap = 0.022 * (high - low)
    ends: list[float] = []
    for tag, value in sorted(marks, key=lambda mark: mark[1]):
        room = gap * (1 + 0.5 * len(tag))
        level = next((i for i, end in enumerate(ends) if value - end > room), len(ends))
        if level >= LEVELS:
            continue
        ends[level : level + 1] = [value]
        axes.annotate(
            tag,
            (value, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 2 + 8 * level),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=7,
            fontweight="bold",
            annotation_clip=False,
        )
