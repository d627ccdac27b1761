"""Tippett, ECE and PAV plots as small SVG files: told apart by dash and marker, on white, with a title to read out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING

from benchmarks.validation.merits import PURE, Curves
from forensics.report.canvas import GREY, INK, PALE, Drawing, canvas, svg_of
from forensics.report.figures import STYLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, PANEL = 166.0, 52.0
"""Of a whole figure, and the height of one row of panels, in mm."""
ABREAST = 3


def _tippett(axes: Axes, curves: Curves) -> None:
    """Shares at or above each log10 LR, and the line that parts the misleading from the rest."""
    for shares, (colour, dash, _), name in zip(
        (curves.derived, curves.unrelated), STYLES, ("derived", "unrelated"), strict=False
    ):
        last = len(shares) - 1
        kept = [at for at in range(last + 1) if at in {0, last} or shares[at] != shares[at - 1]]
        x, y = [curves.log10_lr[at] for at in kept], [shares[at] for at in kept]
        axes.step(x, y, where="post", color=colour, linestyle=dash, linewidth=1.1, label=name)
    axes.axvline(0.0, color=GREY, linewidth=0.6)
    for bound in curves.bounds:
        axes.axvline(bound, color=GREY, linewidth=0.6, linestyle=(0, (1, 2)))
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("log10 LR")
    axes.set_ylabel("share at or above")


def _ece(axes: Axes, curves: Curves) -> None:
    """Bits that remain for readers of different priors."""
    lines = (
        (curves.reported, "as reported", STYLES[0]),
        (curves.ideal, "after PAV", STYLES[1]),
        (curves.neutral, "LR = 1", STYLES[2]),
    )
    for values, name, (colour, dash, _) in lines:
        axes.plot(curves.prior, values, color=colour, linestyle=dash, linewidth=1.1, label=name)
    axes.axvline(0.0, color=PALE, linewidth=0.6)
    axes.set_ylim(-0.02, 1.08)
    axes.set_xlabel("prior log10 odds")
    axes.set_ylabel("cross-entropy (bits)")


def _pav(axes: Axes, curves: Curves) -> None:
    """PAV's log10 LR against the reported; what PAV finds pure lies as a triangle on the edge."""
    half = max(1.0, *(abs(bound) for bound in curves.bounds)) + 0.5
    axes.plot(
        [-half, half], [-half, half], color=GREY, linewidth=0.6, linestyle=(0, (1, 2)), label="calibrated"
    )
    inner = [(x, y) for x, y in curves.pav if abs(y) < PURE]
    colour, dash, _ = STYLES[0]
    held = [(x, min(max(y, -half), half)) for x, y in inner]
    axes.plot(*zip(*held, strict=True), color=colour, linestyle=dash, linewidth=1.1, marker="o", markersize=1.6,
              label="PAV") if held else None  # fmt: skip
    for sign, marker in ((-1, "v"), (1, "^")):
        pure = [x for x, y in curves.pav if y * sign >= PURE]
        if pure:
            named = "" if "pure" in axes.get_legend_handles_labels()[1] else "pure"
            axes.plot(pure, [sign * (half - 0.1)] * len(pure), linestyle=(0, (1, 1.5)), linewidth=0.7,
                      marker=marker, markersize=3.0, color=INK, markerfacecolor="white", markeredgewidth=0.7,
                      label=named)  # fmt: skip
    ticks = range(-int(half), int(half) + 1)
    axes.set_xticks(ticks)
    axes.set_yticks(ticks)
    axes.set_xlim(-half, half)
    axes.set_ylim(-half, half)
    axes.set_xlabel("log10 LR as reported")
    axes.set_ylabel("log10 LR after PAV")


KINDS: Mapping[str, tuple[Callable[[Axes, Curves], None], str]] = {
    "Tippett": (
        _tippett,
        "shares of derived and unrelated pairs at or above each log10 LR; dotted: the bounds",
    ),
    "ECE": (_ece, "empirical cross-entropy over prior odds, of LR = 1, as reported and after PAV"),
    "PAV": (_pav, "log10 LR after pooling adjacent violators against the reported; dotted: calibrated"),
}


def triple(curves: Curves, of: str) -> Drawing:
    """The three plots of one set of pairs side by side."""
    with canvas(WIDTH, PANEL) as figure:
        for axes, (kind, (draw, _)) in zip(_panels(figure, len(KINDS)), KINDS.items(), strict=True):
            draw(axes, curves)
            _finish(axes, kind)
        told = "; ".join(f"{kind}: {words}" for kind, (_, words) in KINDS.items())
        return _named(figure, f"Three plots of {of}. {told}.")


def panels(curves: Mapping[str, Curves], kind: str) -> Drawing:
    """One kind of plot for each of several sets; the legend stands once unless panels differ in what they hold."""
    draw, words = KINDS[kind]
    with canvas(WIDTH, PANEL * -(-len(curves) // ABREAST)) as figure:
        for at, (axes, (name, found)) in enumerate(
            zip(_panels(figure, len(curves)), curves.items(), strict=True)
        ):
            draw(axes, found)
            _finish(axes, name, legend=at == 0 or kind == "PAV")
        return _named(figure, f"{kind} plots of {', '.join(curves)}: {words}.")


def _panels(figure: Figure, count: int) -> list[Axes]:
    """Places at fixed distances in mm, so that nothing hangs on the width of a text."""
    rows = -(-count // ABREAST)
    width, height = WIDTH, PANEL * rows
    found = []
    for at in range(count):
        row, column = divmod(at, ABREAST)
        left, bottom = 12.0 + column * WIDTH / ABREAST, height - (row + 1) * PANEL + 10.0
        size = (WIDTH / ABREAST - 15.0, PANEL - 21.0)
        found.append(figure.add_axes((left / width, bottom / height, size[0] / width, size[1] / height)))
    return found


def _shortened(svg: str) -> str:
    """Coordinates to two decimals of a point: smaller, and not tied to the last digits of one machine."""
    return re.sub(r"\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}".rstrip("0").rstrip("."), svg)


def _finish(axes: Axes, title: str, *, legend: bool = True) -> None:
    """Title, legend above the picture, a light grid."""
    axes.set_title(title, pad=14)
    axes.grid(visible=True, axis="y", color=PALE, linewidth=0.4)
    if legend:
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=4, borderaxespad=0, handlelength=2.4,
                columnspacing=1.0, handletextpad=0.4, fontsize=5.6)  # fmt: skip


def _named(figure: Figure, alt: str) -> Drawing:
    """On white, with the sentence inside the file as well."""
    from matplotlib.patches import Rectangle

    ground = Rectangle(
        (0, 0), 1, 1, transform=figure.transFigure, facecolor="white", edgecolor="none", zorder=-10
    )
    figure.add_artist(ground)
    head, mark, rest = _shortened(svg_of(figure)).partition('version="1.1">')
    if not mark:
        raise ValueError("the drawing has no head to put a title after")
    return Drawing(svg=f'{head}role="img" {mark}\n <title>{escape(alt)}</title>{rest}', alt=alt, width=WIDTH)
