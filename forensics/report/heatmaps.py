"""Heat maps as vector figures: from white to black, each cell's number in it, the best of every row framed.

Made of greys alone, so that a printer loses nothing; the frame is dark on white, so it shows on any grey.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from forensics.matrices import Matrix
from forensics.report import populations
from forensics.report.canvas import INK, REMEMBERED, SMALL, WIDTH, Drawing, canvas, short, svg_of
from forensics.report.populations import Beside

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAPS = 4
"""Matrices of one finding that are drawn; the record holds all."""
NUMBERED = 8
"""Up to so many rows and columns the numbers stand in the cells, large enough to be read on paper."""
FRAMED = 24
"""Up to so many rows and columns the best of each row is framed; beyond, a diamond stands on it."""
TICKS = 12
"""Names along an axis."""
SPOKEN = 16
"""Rows whose best column is said in words."""


@lru_cache(maxsize=REMEMBERED)
def heatmaps(
    matrices: tuple[Matrix, ...], beside: Beside | None = None, caption: str = ""
) -> tuple[Drawing, ...]:
    """Two matrices to a drawing, the unrelated population beside each two; empty where there is none."""
    shown = matrices[:MAPS]
    more = f" {len(matrices) - MAPS} more matrices are in the record." if len(matrices) > MAPS else ""
    lead = f"{caption} " if caption else ""
    return tuple(_row(shown[start : start + 2], beside, lead, more) for start in range(0, len(shown), 2))


def words(matrix: Matrix) -> str:
    """What the map shows, for who cannot see it: its sides, its range, and the best column of each row."""
    cells = [cell for row in matrix.cells for cell in row]
    best = matrix.best()
    pairs = ", ".join(f"{row} with {column} ({number(cell)})" for row, column, cell in best[:SPOKEN])
    more = f" and {len(best) - SPOKEN} more rows" if len(best) > SPOKEN else ""
    return (
        f"{short(matrix.title, 60)}: {short(matrix.row_label, 60)} {_span(matrix.rows)} by "
        f"{short(matrix.column_label, 60)} "
        f"{_span(matrix.columns)}, from {number(min(cells))} to {number(max(cells))}. Best: {pairs}{more}."
    )


def number(cell: float) -> str:
    """A cell as it is written: two decimals, with a true minus; three digits where it is far from one."""
    text = f"{cell:.2f}" if abs(cell) < 10 else f"{cell:.3g}"
    return text.replace("-", "\u2212") if float(text) else "0.00"


def _row(matrices: tuple[Matrix, ...], beside: Beside | None, lead: str, more: str) -> Drawing:
    """One drawing with two maps side by side, or one, and what stands beside them."""
    tall = max(len(matrix.rows) for matrix in matrices)
    strip = beside is not None and not beside.empty
    with canvas(WIDTH, min(84.0, 30.0 + 5.2 * tall)) as figure:
        figure.set_layout_engine("constrained", w_pad=0.04, h_pad=0.05)
        ratios = [1.0, 1.0, 0.5] if strip else [1.0, 1.0]
        places = list(figure.subplots(1, len(ratios), squeeze=False, width_ratios=ratios).flat)
        for axes in places[len(matrices) : 2]:
            axes.set_axis_off()
        for axes, matrix in zip(places, matrices, strict=False):
            _draw(axes, matrix)
        if strip and beside is not None:
            populations.draw(places[2], beside)
        svg = svg_of(figure)
    first = matrices[0]
    ways = dict.fromkeys("framed" if _side(matrix) <= FRAMED else "with a diamond" for matrix in matrices)
    beyond = "" if beside is None else f" {populations.words(beside)}"
    note = (
        f"{lead}{len(first.rows)} by {len(first.columns)}. "
        f"White: {first.white:g} or less, black: {first.black:g} or more; {' or '.join(ways)}: the best of its row."
        f"{beyond}{more}"
    )
    return Drawing(svg=svg, alt=f"Heat map. {' '.join(map(words, matrices))}{beyond}", width=WIDTH, note=note)


def _side(matrix: Matrix) -> int:
    """The longer side."""
    return max(len(matrix.rows), len(matrix.columns))


def _draw(axes: Axes, matrix: Matrix) -> None:
    """One map, its first row at the top."""
    import numpy as np

    cells = np.array(matrix.cells)
    shade = np.clip((cells - matrix.white) / (matrix.black - matrix.white), 0.0, 1.0)
    axes.pcolormesh(shade, cmap="Greys", vmin=0.0, vmax=1.0, edgecolors="white", linewidth=0.3)
    axes.set_ylim(len(matrix.rows), 0)
    if _side(matrix) <= NUMBERED:
        for (row, column), cell in np.ndenumerate(cells):
            written(axes, column, row, number(float(cell)), dark=bool(shade[row, column] > 0.5))
    if _side(matrix) <= FRAMED:
        _frame(axes, matrix)
    else:
        _ridge(axes, matrix)
    axes.set_title(short(matrix.title, 40))
    axes.set_xlabel(short(matrix.column_label, 44))
    axes.set_ylabel(short(matrix.row_label, 36))
    for side, names in ((axes.xaxis, matrix.columns), (axes.yaxis, matrix.rows)):
        step = -(-len(names) // TICKS)
        side.set_ticks([at + 0.5 for at in range(0, len(names), step)], [str(name) for name in names[::step]])
    axes.tick_params(length=0, labelsize=SMALL)
    axes.spines[:].set_visible(False)


def written(axes: Axes, column: int, row: int, text: str, *, dark: bool) -> None:
    """A number in a cell, white on a dark one."""
    axes.text(
        column + 0.5,
        row + 0.5,
        text,
        ha="center",
        va="center",
        fontsize=5.6,
        color="white" if dark else INK,
    )


def _ridge(axes: Axes, matrix: Matrix) -> None:
    """A diamond, dark with a white border, on the best cell of each row: frames of small cells would hide them."""
    best = [(matrix.columns.index(column), row) for row, (_, column, _) in enumerate(matrix.best())]
    axes.plot(
        [x + 0.5 for x, _ in best],
        [y + 0.5 for _, y in best],
        linestyle="",
        marker="D",
        markersize=2.6,
        markerfacecolor=INK,
        markeredgecolor="white",
        markeredgewidth=0.6,
    )


def _frame(axes: Axes, matrix: Matrix) -> None:
    """Frames the best cell of each row, dark on a white border."""
    from matplotlib.patches import Rectangle

    for row, (_, column, _) in enumerate(matrix.best()):
        corner = (matrix.columns.index(column) + 0.06, row + 0.06)
        for colour, wide in (("white", 2.0), (INK, 0.9)):
            axes.add_patch(Rectangle(corner, 0.88, 0.88, fill=False, edgecolor=colour, linewidth=wide))


def _span(names: tuple[int, ...]) -> str:
    """The first and the last of a side's names."""
    return f"{names[0]} to {names[-1]}" if len(names) > 1 else f"{names[0]}"
