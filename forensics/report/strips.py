"""The answer's strips: one likelihood ratio per line on a common axis, with its interval and its bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from forensics.report import numbers
from forensics.report.canvas import GREY, INK, Drawing, canvas, svg_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STRIP = (70.0, 6.6)
"""Width and height in mm of one candidate's strip in the answer table."""


def reach(caps: Sequence[float]) -> float:
    """Half-width of the strips' common axis, in log10 units: a little beyond the largest bound."""
    return max([1.0, *(min(abs(cap), 12.0) for cap in caps)]) + 0.45


def strip(log10_lr: float, lower: float, upper: float, cap: float, half: float) -> Drawing:
    """One likelihood ratio on the log10 axis from −half to half: point, interval, bounds; bands of ten shaded."""
    with canvas(*STRIP) as figure:
        axes = _rail(figure, half)
        axes.plot([lower, upper], [0, 0], color=INK, linewidth=2.2, solid_capstyle="butt")
        axes.plot(
            [log10_lr], [0], marker="D", markersize=5, color="white", markeredgecolor=INK, markeredgewidth=1.4
        )
        for side in (-1, 1):
            x = side * abs(cap)
            axes.plot([x, x], [-0.62, 0.62], color=INK, linewidth=0.9)
            for y in (-0.62, 0.62):
                axes.plot([x, x - side * 0.018 * 2 * half], [y, y], color=INK, linewidth=0.9)
        svg = svg_of(figure)
    alt = (
        f"log10 likelihood ratio {numbers.bans(log10_lr)}, interval {numbers.interval(lower, upper)}, "
        f"bound {numbers.bound(cap)}"
    )
    return Drawing(svg=svg, alt=alt, width=STRIP[0])


EDGE = 0.9
"""Share of the axis beyond which a label is set inwards, for it would be cut off."""


def empty_strip(half: float) -> Drawing:
    """The axis alone, for a candidate of whom no likelihood ratio is stated."""
    with canvas(*STRIP) as figure:
        _rail(figure, half)
        svg = svg_of(figure)
    return Drawing(svg=svg, alt="no likelihood ratio is stated", width=STRIP[0])


def _rail(figure: Figure, half: float) -> Axes:
    """The common ground of all strips: bands of one power of ten, every second shaded, and the line of no support."""
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(-half, half)
    axes.set_ylim(-1, 1)
    for step in range(int(half) + 1):
        if step % 2 == 0:
            for low, high in ((step, step + 1), (-step - 1, -step)):
                axes.axvspan(max(low, -half), min(high, half), color="#eceff2", linewidth=0)
    axes.plot([0, 0], [-1, 1], color=GREY, linewidth=0.7)
    return axes


def strip_axis(half: float) -> Drawing:
    """The heading of the strips: powers of ten and which way they point."""
    with canvas(STRIP[0], 9.0) as figure:
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        axes.set_xlim(-half, half)
        axes.set_ylim(-1, 1)
        for power in range(-int(half), int(half) + 1):
            label = "1" if power == 0 else f"{10 ** abs(power)}×" if abs(power) < 4 else f"10^{abs(power)}×"
            near = "center" if abs(power) < EDGE * half else "left" if power < 0 else "right"
            axes.text(power, -0.55, label, ha=near, va="center", fontsize=6.6)
        axes.text(-0.04 * half, 0.4, "← if independent", ha="right", va="center", fontsize=6.6)
        axes.text(0.04 * half, 0.4, "if derived →", ha="left", va="center", fontsize=6.6)
        svg = svg_of(figure)
    return Drawing(
        svg=svg,
        alt="Axis: times more probable if independent, to the left, and if derived, to the right",
        width=STRIP[0],
    )
