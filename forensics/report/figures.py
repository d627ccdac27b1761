"""Figures as deterministic SVG: curves overlaid, and reference pairs with this case marked.

Drawn for a black-and-white printer first: lines differ by dash and marker, classes by position, and the
colours (Okabe and Ito 2008) stay apart for colour-blind readers. Text stays text. Every figure brings the
sentence that a screen reader says instead of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from forensics.readings import Series, Table
from forensics.report.canvas import GREY, INK, PALE, Drawing, canvas, svg_of
from forensics.report.display import display

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 166.0
"""Width of the text column on paper, in mm."""
PANELS, LINES, POINTS = 8, 6, 2000
"""Panels of one figure, lines of one panel and points of one line that are drawn."""
LARGEST = 1e100
"""Values are clipped here: axis arithmetic must not overflow on a hostile series."""

STYLES: tuple[tuple[str, Any, str], ...] = (
    ("#004c7a", "-", "o"),
    ("#c04a00", (0, (5, 2)), "s"),
    ("#5a6069", (0, (1, 1.4)), "^"),
    ("#00795a", (0, (6, 2, 1, 2)), "D"),
    ("#8a4f7d", (0, (3, 1, 1, 1, 1, 1)), "v"),
    ("#7a6a00", "-", "x"),
)

REMEMBERED = 128
"""Drawings kept, since a case is told as a page and as a PDF with the same figures."""

BACKGROUND_COLUMNS = ("from", "to", "unrelated", "derived", "this case")


def _short(text: str, limit: int = 34) -> str:
    """Hostile text for a legend or axis: shown by the one filter, cut short."""
    text = display(text, 4 * limit)
    text = text if len(text) <= limit else text[: limit - 1] + "…"
    # matplotlib hides labels that begin with an underscore
    return f" {text}" if text.startswith("_") else text


@lru_cache(maxsize=REMEMBERED)
def curves(series: tuple[Series, ...]) -> tuple[Drawing, ...]:
    """Series of equal `panel` overlaid, two panels to a drawing so that pages can break between them.

    Empty where there is nothing to draw; the last drawing notes how many curves were left out.
    """
    panels: dict[str, list[Series]] = {}
    for line in series:
        if any(y is not None for y in line.y[: len(line.x)]):
            panels.setdefault(line.panel, []).append(line)
    shown = list(panels.items())[:PANELS]
    omitted = sum(len(lines) for lines in panels.values()) - sum(len(lines[:LINES]) for _, lines in shown)
    abreast = min(2, len(shown))
    return tuple(
        _row(
            shown[start : start + abreast],
            abreast,
            f"{omitted} more curves are in the record." if omitted and start + abreast >= len(shown) else "",
        )
        for start in range(0, len(shown), max(1, abreast))
    )


def _row(panels: Sequence[tuple[str, list[Series]]], abreast: int, note: str) -> Drawing:
    """One drawing with `abreast` places side by side, the last ones empty where panels run out."""
    with canvas(WIDTH, 50.0) as figure:
        figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.05)
        places = list(figure.subplots(1, abreast, squeeze=False).flat)
        for axes in places[len(panels) :]:
            axes.set_axis_off()
        for axes, (panel, lines) in zip(places, panels, strict=False):
            _overlay(axes, panel, lines[:LINES])
        svg = svg_of(figure)
    alt = " ".join(
        f"{_short(panel, 80)}: {', '.join(_short(line.name) for line in lines[:LINES])}"
        f" over {_short(lines[0].x_label)}."
        for panel, lines in panels
    )
    return Drawing(svg=svg, alt=f"Line chart. {alt}", width=WIDTH, note=note)


def _overlay(axes: Axes, panel: str, lines: Sequence[Series]) -> None:
    """Draws the lines of one panel, each with its own dash, colour and, where points are few, marker."""
    import numpy as np

    for line, (colour, dash, marker) in zip(lines, STYLES, strict=False):
        length = min(len(line.x), len(line.y))
        step = max(1, length // POINTS)
        x = np.clip(np.asarray(line.x[:length:step], dtype=float), -LARGEST, LARGEST)
        y = np.clip(
            np.asarray([np.nan if v is None else v for v in line.y[:length:step]], float), -LARGEST, LARGEST
        )
        axes.plot(
            x,
            y,
            color=colour,
            linestyle=dash,
            linewidth=1.1,
            marker=marker if length <= 40 else "",
            markersize=2.6,
            markerfacecolor="white" if marker != "x" else colour,
            markeredgewidth=0.7,
            label=_short(line.name),
        )
    axes.set_title(_short(panel, 60), pad=12 if len(lines) < 3 else 20)
    axes.set_xlabel(_short(lines[0].x_label, 60))
    axes.set_ylabel(_short(lines[0].y_label, 40))
    axes.grid(visible=True, axis="y", color=PALE, linewidth=0.4)
    axes.legend(
        loc="lower right",  # the axis keeps its exponent at the left
        bbox_to_anchor=(1.0, 1.0),
        ncols=2,
        borderaxespad=0,
        handlelength=3.4,
        fontsize=6.5,
        labelspacing=0.2,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """A background table, checked: edges ascending, counts not negative."""

    edges: tuple[tuple[float, float], ...]
    unrelated: tuple[float, ...]
    derived: tuple[float, ...]


def bins(table: Table | None) -> Bins | None:
    """The counts of a background table, or None where it does not have the agreed form."""
    if table is None or table.columns != BACKGROUND_COLUMNS or not table.rows:
        return None
    rows: list[tuple[float, ...]] = []
    for row in table.rows:
        if len(row) != 5 or not all(isinstance(cell, int | float) for cell in row):
            return None
        rows.append(
            tuple(max(-LARGEST, min(LARGEST, float(cell))) for cell in row if isinstance(cell, int | float))
        )
    if any(row[0] >= row[1] or min(row[2:]) < 0 for row in rows):
        return None
    return Bins(
        edges=tuple((row[0], row[1]) for row in rows),
        unrelated=tuple(row[2] for row in rows),
        derived=tuple(row[3] for row in rows),
    )


@lru_cache(maxsize=REMEMBERED)
def background(counts: Bins, marks: tuple[tuple[str, float], ...], quantity: str) -> Drawing:
    """Reference pairs as two histograms on one axis, unrelated above and derived below, with this case's values marked.

    `marks` are (tag, measured value); values outside the bins are drawn where they lie.
    """
    both = sum(counts.derived) > 0
    with canvas(WIDTH, 58.0 if both else 42.0) as figure:
        figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.02)
        panes = list(figure.subplots(2 if both else 1, 1, sharex=True, squeeze=False).flat)
        _bars(panes[0], counts.edges, counts.unrelated, "unrelated", PALE)
        if both:
            _bars(panes[1], counts.edges, counts.derived, "derived", "#8fb3cc")
        for axes in panes:
            for _, value in marks:
                axes.axvline(value, color=INK, linewidth=0.9, linestyle=(0, (4, 1.5)))
        _tags(panes[0], marks)
        panes[-1].set_xlabel(_short(quantity, 110))
        svg = svg_of(figure)
    alt = (
        f"Histogram of {sum(counts.unrelated):.0f} unrelated and {sum(counts.derived):.0f} derived reference pairs; "
        + "; ".join(f"this case, {tag}, at {value:.3g}" for tag, value in marks)
        + "."
    )
    return Drawing(svg=svg, alt=alt, width=WIDTH)


def _bars(
    axes: Axes, edges: Sequence[tuple[float, float]], heights: Sequence[float], name: str, fill: str
) -> None:
    """One class of reference pairs as bars over its bins."""
    left = [low for low, _ in edges]
    wide = [high - low for low, high in edges]
    axes.bar(left, heights, width=wide, align="edge", color=fill, edgecolor=GREY, linewidth=0.4)
    axes.set_ylabel(f"{name}\npairs")
    axes.yaxis.get_major_locator().set_params(integer=True, nbins=4)
    axes.set_ylim(0, 1.05 * max([1.0, *heights]))


def _tags(axes: Axes, marks: Sequence[tuple[str, float]]) -> None:
    """Writes each mark's tag above the picture, on a higher line where it would touch its neighbour."""
    low, high = axes.get_xlim()
    gap = 0.022 * (high - low)
    ends: list[float] = []
    for tag, value in sorted(marks, key=lambda mark: mark[1]):
        room = gap * (1 + 0.5 * len(tag))
        level = next((i for i, end in enumerate(ends) if value - end > room), len(ends))
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
