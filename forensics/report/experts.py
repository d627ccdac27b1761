"""Expert coverage as a map: which of a mixture's experts hold a model's neurons, layer by layer.

Drawn from the table that a probe leaves of the units it compared: one square per expert and layer, darker the more
of the other side's neurons were found in it. A cell that was not compared is crossed out and not white.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from forensics.readings import Table
from forensics.report import populations
from forensics.report.canvas import GREY, REMEMBERED, SMALL, WIDTH, Drawing, canvas, svg_of
from forensics.report.heatmaps import number, written
from forensics.report.populations import Beside

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = (
    "suspect layer",
    "expert",
    "candidate layer",
    "its expert",
    "agreement",
    "share of the candidate's neurons",
    "share of the suspect's",
)
"""Of a table that is drawn as a map."""
SIDE = 64
"""Layers and experts that are drawn."""
NUMBERED = 8
"""Up to so many layers the numbers stand in the squares."""
UNITS = {-1: "MLP", -2: "shared"}
"""What stands for a unit that is no expert."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """The map's cells by (unit, layer of the suspect)."""

    of: str
    """Whose experts the rows are."""
    units: tuple[int, ...]
    layers: tuple[int, ...]
    agreement: tuple[tuple[float | None, ...], ...]
    """One tuple per unit, one number per layer, from 0 to 1; None where the two were not compared."""
    share: tuple[tuple[float | None, ...], ...]
    """The same: share of the other side's sampled neurons that were found in the unit."""
    cut: int
    """Rows of the table that the record lacks."""


def coverage(tables: tuple[Table, ...]) -> Coverage | None:
    """The first table of the agreed form as a map; None without one, or where it holds something else."""
    table = next((table for table in tables if table.columns == COLUMNS and table.rows), None)
    if table is None:
        return None
    rows = [row for row in table.rows if len(row) == len(COLUMNS)]
    if len(rows) < len(table.rows) or any(not isinstance(cell, int | float) for row in rows for cell in row):
        return None
    cells = [
        tuple(float(max(-1e9, min(1e9, cell))) for cell in row if isinstance(cell, int | float))
        for row in rows
    ]
    mine = any(cell[1] >= 0 for cell in cells)
    unit, share = (1, 5) if mine else (3, 6)
    units = sorted({int(cell[unit]) for cell in cells}, key=lambda u: (u < 0, abs(u)))[:SIDE]
    layers = sorted({int(cell[0]) for cell in cells})[:SIDE]
    found: list[dict[tuple[int, int], float]] = [{}, {}]
    for cell in cells:
        place = int(cell[unit]), int(cell[0])
        for known, at in zip(found, (4, share), strict=True):
            known[place] = max(known.get(place, 0.0), cell[at])
    both = [tuple(tuple(known.get((u, n)) for n in layers) for u in units) for known in found]
    return Coverage(
        of="suspect" if mine else "candidate",
        units=tuple(units),
        layers=tuple(layers),
        agreement=both[0],
        share=both[1],
        cut=table.omitted,
    )


@lru_cache(maxsize=REMEMBERED)
def expert_map(found: Coverage, beside: Beside | None, caption: str = "") -> Drawing:
    """Two maps, how well each unit agrees and how much of the other side it holds, and the unrelated population."""
    strip = beside is not None and not beside.empty
    other = "candidate" if found.of == "suspect" else "suspect"
    titles = ("Agreement with its best partner", f"Share of the {other}'s neurons in it")
    with canvas(WIDTH, min(110.0, 30.0 + 5.2 * len(found.units))) as figure:
        figure.set_layout_engine("constrained", w_pad=0.04, h_pad=0.05)
        ratios = [1.0, 1.0, 0.5] if strip else [1.0, 1.0]
        places = list(figure.subplots(1, len(ratios), squeeze=False, width_ratios=ratios).flat)
        for axes, title, cells in zip(places, titles, (found.agreement, found.share), strict=False):
            _draw(axes, found, cells)
            axes.set_title(title)
        places[0].set_ylabel(f"expert of the {found.of}")
        if strip and beside is not None:
            populations.draw(places[2], beside)
        svg = svg_of(figure)
    beyond = "" if beside is None else f" {populations.words(beside)}"
    cut = f" {found.cut} more comparisons were cut before the record was written." if found.cut else ""
    note = (
        f"{caption} Experts of the {found.of} against the {other}, {len(found.units)} units by "
        f"{len(found.layers)} layers. White: 0, black: 1; crossed: not compared.{beyond}{cut}"
    )
    return Drawing(svg=svg, alt=f"Map. {words(found)}{beyond}", width=WIDTH, note=note.strip())


def words(found: Coverage) -> str:
    """What the map shows, for who cannot see it: per unit its mean agreement and share over the layers."""
    other = "candidate" if found.of == "suspect" else "suspect"
    said = []
    for unit, agreement, share in zip(found.units, found.agreement, found.share, strict=True):
        known = [cell for cell in agreement if cell is not None]
        held = [cell for cell in share if cell is not None]
        said.append(
            f"{_named(unit)}: agreement {number(sum(known) / len(known))}, "
            f"{number(sum(held) / len(held))} of the {other}'s neurons, in {len(known)} layers"
        )
    return f"Experts of the {found.of} over {len(found.layers)} layers, on average: {'; '.join(said)}."


def _named(unit: int) -> str:
    """A unit in words."""
    return UNITS.get(unit, f"expert {unit}")


def _draw(axes: Axes, found: Coverage, cells: tuple[tuple[float | None, ...], ...]) -> None:
    """One map, its first unit at the top."""
    import numpy as np

    shade = np.array([[np.nan if cell is None else cell for cell in row] for row in cells], float)
    told = np.isfinite(shade)
    axes.pcolormesh(
        np.clip(np.where(told, shade, 0.0), 0.0, 1.0),
        cmap="Greys",
        vmin=0.0,
        vmax=1.0,
        edgecolors=GREY,
        linewidth=0.2,
    )
    axes.set_ylim(len(found.units), 0)
    for (row, column), cell in np.ndenumerate(shade):
        if not told[row, column]:
            axes.plot(
                [column, column + 1, np.nan, column, column + 1],
                [row, row + 1, np.nan, row + 1, row],
                color=GREY,
                linewidth=0.5,
            )
        elif len(found.layers) <= NUMBERED:
            written(axes, column, row, number(float(cell)), dark=bool(cell > 0.5))
    units = [UNITS.get(unit, str(unit)) for unit in found.units]
    for side, names in ((axes.xaxis, [str(n) for n in found.layers]), (axes.yaxis, units)):
        step = -(-len(names) // 16)
        side.set_ticks([at + 0.5 for at in range(0, len(names), step)], names[::step])
    axes.set_xlabel("layer of the suspect")
    axes.tick_params(length=0, labelsize=SMALL)
    axes.spines[:].set_visible(False)
