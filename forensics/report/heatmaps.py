"""Heat maps as vector figures: from white to black, each cell's number in it, the best of every row framed.

Made of greys alone, so that a printer loses nothing; the frame is dark on white, so it shows on any grey.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from forensics.matrices import Matrix
from forensics.report.canvas import INK, Drawing, canvas, svg_of
from forensics.report.display import display
from forensics.report.figures import REMEMBERED, WIDTH

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAPS = 4
"""Matrices of one finding that are drawn; the record holds all."""
NUMBERED = 14
"""Up to so many rows and columns the numbers stand in the cells."""
TICKS = 16
"""Names along an axis."""
SPOKEN = 16
"""Rows whose best column is said in words."""


@lru_cache(maxsize=REMEMBERED)
def heatmaps(matrices: tuple[Matrix, ...]) -> tuple[Drawing, ...]:
    """Two matrices to a drawing; empty where there is none."""
    shown = matrices[:MAPS]
    more = f" {len(matrices) - MAPS} more matrices are in the record." if len(matrices) > MAPS else ""
    return tuple(_row(shown[start : start + 2], more) for start in range(0, len(shown), 2))


def words(matrix: Matrix) -> str:
    """What the map shows, for who cannot see it: its sides, its range, and the best column of each row."""
    cells = [cell for row in matrix.cells for cell in row]
    best = matrix.best()
    pairs = ", ".join(f"{row} with {column} ({number(cell)})" for row, column, cell in best[:SPOKEN])
    more = f" and {len(best) - SPOKEN} more rows" if len(best) > SPOKEN else ""
    return (
        f"{_short(matrix.title)}: {_short(matrix.row_label)} {_span(matrix.rows)} by {_short(matrix.column_label)} "
        f"{_span(matrix.columns)}, from {number(min(cells))} to {number(max(cells))}. Best: {pairs}{more}."
    )


def number(cell: float) -> str:
    """A cell as it is written: two decimals, with a true minus; three digits where it is far from one."""
    text = f"{cell:.2f}" if abs(cell) < 10 else f"{cell:.3g}"
    return text.replace("-", "\u2212") if float(text) else "0.00"


def _row(matrices: tuple[Matrix, ...], more: str) -> Drawing:
    """One drawing with two places side by side, the second empty where matrices run out."""
    tall = max(len(matrix.rows) for matrix in matrices)
    with canvas(WIDTH, min(90.0, 26.0 + 5.2 * tall)) as figure:
        figure.set_layout_engine("constrained", w_pad=0.03, h_pad=0.05)
        places = list(figure.subplots(1, 2, squeeze=False).flat)
        for axes in places[len(matrices) :]:
            axes.set_axis_off()
        for axes, matrix in zip(places, matrices, strict=False):
            _draw(axes, matrix)
        svg = svg_of(figure)
    first = matrices[0]
    note = (
        f"White: {first.white:g} or less, black: {first.black:g} or more; framed: the best of its row.{more}"
    )
    return Drawing(svg=svg, alt=f"Heat map. {' '.join(map(words, matrices))}", width=WIDTH, note=note)


def _draw(axes: Axes, matrix: Matrix) -> None:
    """One map, its first row at the top."""
    import numpy as np

    cells = np.array(matrix.cells)
    shade = np.clip((cells - matrix.white) / (matrix.black - matrix.white), 0.0, 1.0)
    axes.pcolormesh(shade, cmap="Greys", vmin=0.0, vmax=1.0, edgecolors="white", linewidth=0.3)
    axes.set_ylim(len(matrix.rows), 0)
    if max(cells.shape) <= NUMBERED:
        for (row, column), cell in np.ndenumerate(cells):
            ink = "white" if shade[row, column] > 0.5 else INK
            axes.text(
                column + 0.5,
                row + 0.5,
                number(float(cell)),
                ha="center",
                va="center",
                fontsize=4.6,
                color=ink,
            )
    _frame(axes, matrix)
    axes.set_title(_short(matrix.title))
    axes.set_xlabel(_short(matrix.column_label))
    axes.set_ylabel(_short(matrix.row_label))
    for side, names in ((axes.xaxis, matrix.columns), (axes.yaxis, matrix.rows)):
        step = -(-len(names) // TICKS)
        side.set_ticks([at + 0.5 for at in range(0, len(names), step)], [str(name) for name in names[::step]])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


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


def _short(text: str) -> str:
    """A stranger's words for an axis, through the one filter, cut short."""
    text = display(text, 240)
    return text if len(text) <= 60 else f"{text[:59]}…"
