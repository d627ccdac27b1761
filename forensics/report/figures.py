"""Figures as deterministic SVG: curves and points overlaid, with the unrelated population beside them.

Drawn for a black-and-white printer first: lines differ by dash and marker, classes by position and hatch, and the
colours (Okabe and Ito 2008) stay apart for colour-blind readers. Text stays text. Every figure brings the
sentence that a screen reader says instead of it, and its caption.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from forensics.readings import Series
from forensics.report import populations
from forensics.report.canvas import (
    GREY,
    LARGEST,
    PALE,
    REMEMBERED,
    SMALL,
    WIDTH,
    Drawing,
    canvas,
    short,
    svg_of,
)
from forensics.report.populations import Beside

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS, LINES, POINTS = 8, 6, 2000
"""Panels of one figure, lines of one panel and points of one line that are drawn."""
ABREAST = 3
"""Places side by side, from the third on."""

STYLES: tuple[tuple[str, Any, str], ...] = (
    ("#004c7a", "-", "o"),
    ("#c04a00", (0, (5, 2)), "s"),
    ("#5a6069", (0, (1, 1.4)), "^"),
    ("#00795a", (0, (6, 2, 1, 2)), "D"),
    ("#8a4f7d", (0, (3, 1, 1, 1, 1, 1)), "v"),
    ("#7a6a00", "-", "x"),
)

Panel = tuple[str, list[Series]]


@lru_cache(maxsize=REMEMBERED)
def curves(
    series: tuple[Series, ...], beside: Beside | None = None, caption: str = ""
) -> tuple[Drawing, ...]:
    """Series of equal `panel` overlaid: one drawing of clouds of points and one of lines, each with its population.

    Empty where there is nothing to draw. `caption` says what is shown; the rest of the note is written here.
    """
    made = []
    for mark in ("points", "line"):
        panels: dict[str, list[Series]] = {}
        for line in series:
            if line.mark == mark and any(y is not None for y in line.y[: len(line.x)]):
                panels.setdefault(line.panel, []).append(line)
        if panels:
            made.append(_drawing(list(panels.items()), beside, caption))
    return tuple(made)


def _drawing(panels: Sequence[Panel], beside: Beside | None, caption: str) -> Drawing:
    """All panels and the unrelated population in one drawing, what was left out counted."""
    shown = [(panel, lines[:LINES]) for panel, lines in panels[:PANELS]]
    omitted = sum(len(lines) for _, lines in panels) - sum(len(lines) for _, lines in shown)
    common, titled = _untitled(shown)
    said = [caption, f"{common}." if common else "", "" if beside is None else populations.words(beside)]
    said.append(f"{omitted} more curves are in the record." if omitted else "")
    lead = "Scatter plot" if shown[0][1][0].mark == "points" else "Line chart"
    alt = " ".join(
        f"{short(panel, 80)}: {', '.join(_told(line) for line in lines)} over {short(lines[0].x_label, 44)}."
        for panel, lines in shown
    )
    beyond = "" if beside is None else f" {populations.words(beside)}"
    return Drawing(
        svg=_picture(titled, beside),
        alt=f"{lead}. {alt}{beyond}",
        width=WIDTH,
        note=" ".join(part for part in said if part),
    )


def _untitled(panels: Sequence[Panel]) -> tuple[str, list[Panel]]:
    """What the titles have in common up to a colon, for the caption, and the panels titled without it."""
    heads = {panel.partition(": ")[0] for panel, _ in panels}
    if len(panels) < 2 or len(heads) > 1 or not all(panel.partition(": ")[2] for panel, _ in panels):
        return "", list(panels)
    return short(heads.pop(), 80), [(panel.partition(": ")[2], lines) for panel, lines in panels]


def _told(line: Series) -> str:
    """A line's name with the range of its values, for who cannot see it."""
    known = [y for y in line.y[: len(line.x)] if y is not None]
    if not known:
        return short(line.name)
    many = f"{len(known)} points " if line.mark == "points" else ""
    return f"{short(line.name)} ({many}from {min(known):.3g} to {max(known):.3g})"


def _picture(panels: Sequence[Panel], beside: Beside | None) -> str:
    """The panels side by side, then what stands beside them; one legend where every panel has the same names."""
    strip = beside is not None and not beside.empty
    places = len(panels) + strip
    narrow = strip and len(panels) <= ABREAST
    abreast = places if narrow else min(ABREAST, places)
    rows = -(-places // abreast)
    ratios = [1.0] * (abreast - 1) + [(0.3, 0.5, 0.75)[abreast - 2] if narrow else 1.0]
    named = {tuple(line.name for line in lines) for _, lines in panels}
    with canvas(WIDTH, (14.0 if rows == 1 else 8.0) + 42.0 * rows) as figure:
        figure.set_layout_engine("constrained", w_pad=0.04, h_pad=0.05)
        axes = list(figure.subplots(rows, abreast, squeeze=False, width_ratios=ratios).flat)
        for place in axes[places:]:
            place.set_axis_off()
        for place, (panel, lines) in zip(axes, panels, strict=False):
            _overlay(place, panel, lines, legend=len(named) > 1)
        if strip and beside is not None:
            populations.draw(axes[len(panels)], beside)
            if beside.one_scale and len(panels) == 1:
                axes[1].sharey(axes[0])
                axes[1].autoscale(axis="y")
        if len(named) == 1:
            handles, labels = axes[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside upper left", ncols=3, handlelength=3.6, fontsize=7)
        return svg_of(figure)


def _overlay(axes: Axes, panel: str, lines: Sequence[Series], *, legend: bool) -> None:
    """Draws the lines or points of one panel, each with its own dash, colour and marker."""
    for above, (line, style) in enumerate(zip(lines, STYLES, strict=False)):
        _draw(axes, line, style, len(lines) - above)
    if any(line.mark == "points" for line in lines):
        axes.axline((0, 0), slope=1, color=GREY, linewidth=0.6, linestyle=(0, (2, 2)))
    axes.set_title(short(panel, 44), pad=(12 if len(lines) < 3 else 20) if legend else 5)
    axes.set_xlabel(short(lines[0].x_label, 44))
    axes.set_ylabel("\n".join(wrap(short(lines[0].y_label, 60), 26)[:3]))
    axes.tick_params(labelsize=SMALL)
    axes.grid(visible=True, axis="y", color=PALE, linewidth=0.4)
    if legend:
        axes.legend(
            loc="lower right",  # the axis keeps its exponent at the left
            bbox_to_anchor=(1.0, 1.0),
            ncols=2,
            borderaxespad=0,
            handlelength=3.4,
            fontsize=6.5,
            labelspacing=0.2,
        )


def _draw(axes: Axes, line: Series, style: tuple[str, Any, str], above: int) -> None:
    """One line, or one cloud of points, the first of a panel above the others and its points filled."""
    import numpy as np

    colour, dash, marker = style
    length = min(len(line.x), len(line.y))
    step = max(1, length // POINTS)
    x = np.clip(np.asarray(line.x[:length:step], dtype=float), -LARGEST, LARGEST)
    y = np.clip(
        np.asarray([np.nan if v is None else v for v in line.y[:length:step]], float), -LARGEST, LARGEST
    )
    points = line.mark == "points"
    axes.plot(
        x,
        y,
        color=colour,
        linestyle="" if points else dash,
        linewidth=1.1,
        marker=marker if points or length <= 40 else "",
        markersize=2.2 if points else 2.6,
        markerfacecolor=colour if marker == "x" or (points and marker == STYLES[0][2]) else "white",
        markeredgewidth=0.5 if points else 0.7,
        label=short(line.name),
        zorder=2 + 0.1 * above,
    )
