"""Figures of a pair beside the range that the same figures have among pairs of known origin.

Drawn from a table of an agreed form, one row per figure: what this pair shows, and the least and the most that
unrelated and related pairs showed. Shares stand on an axis from 0 to 1, counts on one of their own by powers of ten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from forensics.readings import Table
from forensics.report import numbers
from forensics.report.canvas import (
    DERIVED,
    GREY,
    HATCH,
    INK,
    PALE,
    REMEMBERED,
    SMALL,
    WIDTH,
    Drawing,
    canvas,
    short,
    svg_of,
)  # fmt: skip

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.ticker import Locator

COLUMNS = ("figure", "this pair", "unrelated, least", "unrelated, most", "related, least", "related, most")
ROWS, PAIRS = 12, 6
"""Figures and pairs of the case that are drawn."""
MARKERS = ("D", "s", "^", "o", "v", "P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranged:
    """One figure: what pairs of known origin show, and what the pairs of this case do."""

    name: str
    unrelated: tuple[float, float]
    related: tuple[float, float]
    case: tuple[tuple[str, float], ...]
    """Tag and value of each pair that has it."""

    @property
    def counted(self) -> bool:
        """Whether it is a count and no share."""
        return max(*self.unrelated, *self.related, *(value for _, value in self.case)) > 1


def ranged(tables: Sequence[tuple[str, Table]]) -> tuple[str, tuple[Ranged, ...]]:
    """Title and figures of the tables of the agreed form, by the tag of the pair each is about; else nothing."""
    known: dict[str, tuple[tuple[float, float, float, float], list[tuple[str, float]]]] = {}
    title = ""
    for tag, table in tables:
        if table.columns != COLUMNS:
            continue
        for row in table.rows[:ROWS]:
            if len(row) != len(COLUMNS) or not all(_finite(cell) for cell in row[2:]):
                continue
            ends = tuple(float(cell or 0) for cell in row[2:])
            title = title or table.title
            _, seen = known.setdefault(str(row[0]), ((ends[0], ends[1], ends[2], ends[3]), []))
            if _finite(row[1]) and len(seen) < PAIRS:
                seen.append((tag, float(row[1] or 0)))
    return title, tuple(
        Ranged(name=name, unrelated=ends[:2], related=ends[2:], case=tuple(case))
        for name, (ends, case) in known.items()
        if case
    )


def _finite(cell: object) -> bool:
    """Whether a cell is a number that can be drawn."""
    return isinstance(cell, int | float) and not isinstance(cell, bool) and -1e12 < cell < 1e12


@lru_cache(maxsize=REMEMBERED)
def range_picture(title: str, figures: tuple[Ranged, ...]) -> Drawing | None:
    """One row per figure, shares above and counts below; None where there is none."""
    groups = [[f for f in figures if not f.counted], [f for f in figures if f.counted]]
    groups = [group for group in groups if group]
    if not groups:
        return None
    tall = [6.0 + 6.6 * len(group) for group in groups]
    with canvas(WIDTH, sum(tall) + 10.0 * len(groups) + 6.0) as figure:
        figure.set_layout_engine("constrained", w_pad=0.04, h_pad=0.05)
        places = list(figure.subplots(len(groups), 1, squeeze=False, height_ratios=tall).flat)
        names = list(dict.fromkeys(tag for figure in figures for tag, _ in figure.case))[:PAIRS]
        for axes, group in zip(places, groups, strict=True):
            _rows(axes, group, names)
        _legend(places[0], names)
        svg = svg_of(figure)
    said = "; ".join(
        f"{short(f.name, 60)}: {', '.join(f'{tag} {_number(value)}' for tag, value in f.case)}, unrelated pairs "
        f"{_span(f.unrelated)}, related ones {_span(f.related)}"
        for f in figures
    )
    note = (
        f"{short(title, 300)}. Plain bars: unrelated pairs from least to most; hatched: related ones; "
        "marks: this case."
    )
    return Drawing(svg=svg, alt=f"Ranges. {short(title, 300)}. {said}.", width=WIDTH, note=note)


def _span(ends: tuple[float, float]) -> str:
    """A range in words."""
    low, high = map(_number, ends)
    return low if low == high else f"{low} to {high}"


def _number(value: float) -> str:
    """A count as a whole number, a share with its digits."""
    return numbers.count(int(value)) if value == int(value) else numbers.cell(value)


def _rows(axes: Axes, group: Sequence[Ranged], names: Sequence[str]) -> None:
    """The ranges of one group, unrelated above related, and the marks of the case across both."""
    thin = 0.3 if group[0].counted else 0.006
    for row, figure in enumerate(group):
        for ends, at, fill, hatch in (
            (figure.unrelated, row - 0.2, PALE, ""),
            (figure.related, row + 0.2, DERIVED, HATCH),
        ):
            axes.barh(
                at,
                ends[1] - ends[0] + 2 * thin,
                left=ends[0] - thin,
                height=0.36,
                color=fill,
                edgecolor=GREY,
                linewidth=0.7,
                hatch=hatch,
            )
        for tag, value in figure.case:
            if tag in names:
                axes.plot([value, value], [row - 0.42, row + 0.42], color=INK, linewidth=0.9)
                axes.plot([value], [row], **_mark(names.index(tag)), zorder=4, clip_on=False)
    _axes(axes, group)


def _axes(axes: Axes, group: Sequence[Ranged]) -> None:
    """Shares from 0 to 1, counts by powers of ten; one name per row."""
    values = [v for f in group for v in (*f.unrelated, *f.related, *(value for _, value in f.case))]
    if group[0].counted:
        axes.set_xscale("symlog", linthresh=10.0)
        most = max(1, min(12, len(str(int(max(values))))))
        ticks = [0, *(10**power for power in range(1, most + 1))]
        axes.set_xticks(ticks, [numbers.count(tick) for tick in ticks])
        axes.xaxis.set_minor_locator(_no_ticks())
        axes.set_xlim(min(-0.5, *values), ticks[-1])
        axes.set_xlabel("count, by powers of ten")
    else:
        axes.set_xlim(min(0.0, *values) - 0.02, 1.02)
        axes.set_xlabel("share, or correlation")
    axes.set_ylim(len(group) - 0.45, -0.55)
    axes.set_yticks(range(len(group)), [short(figure.name, 44) for figure in group])
    axes.tick_params(axis="x", labelsize=SMALL)
    axes.tick_params(axis="y", length=0)


def _no_ticks() -> Locator:
    """Minor ticks would be labelled as formulas."""
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _mark(place: int) -> dict[str, Any]:
    """The mark of a pair of the case: white with a dark border, a shape of its own."""
    return {
        "marker": MARKERS[place % len(MARKERS)],
        "markersize": 4.4,
        "markerfacecolor": "white",
        "markeredgecolor": INK,
        "markeredgewidth": 1.0,
        "linestyle": "",
    }


def _legend(axes: Axes, names: Sequence[str]) -> None:
    """Which bar and which mark is whose."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Patch | Line2D] = [
        Patch(facecolor=PALE, edgecolor=GREY, label="unrelated pairs"),
        Patch(facecolor=DERIVED, edgecolor=GREY, hatch=HATCH, label="related pairs"),
    ]
    handles += [Line2D([], [], label=short(tag, 24), **_mark(k)) for k, tag in enumerate(names)]
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=min(5, len(handles)), fontsize=6.5
    )
