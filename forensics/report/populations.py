"""The unrelated population beside a picture: reference pairs and controls on the scale of the reading, the case marked.

A picture of one pair means nothing without the same picture of pairs that have nothing to do with each other. Where a
record holds reference pairs of the reading they stand beside it as two histograms back to back; the controls of the
case stand among them. Where it holds neither, the picture says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from forensics.readings import Table
from forensics.report import numbers
from forensics.report.canvas import DERIVED, GREY, HATCH, INK, LARGEST, PALE, SMALL, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BACKGROUND_COLUMNS = ("from", "to", "unrelated", "derived", "this case")
CONTROLS = 6
"""Controls that are marked beside a picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """A background table, checked: edges ascending, counts not negative."""

    edges: tuple[tuple[float, float], ...]
    unrelated: tuple[float, ...]
    derived: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What stands beside a picture of one finding."""

    case: tuple[str, float]
    """Tag and reading."""
    counts: Bins | None = None
    title: str = ""
    """Which reference pairs they are."""
    controls: tuple[tuple[str, float], ...] = ()
    """Tags and readings of the case's controls."""
    one_scale: bool = False
    """Whether what it stands beside is the same quantity, so that both have one axis."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to stand beside anything."""
        return self.counts is None and not self.controls


def bins(table: Table | None) -> Bins | None:
    """The counts of a background table, or None where it does not have the agreed form.

    Open bins, with which a table says that the case lies outside, hold no pair and are left out.
    """
    if table is None or table.columns != BACKGROUND_COLUMNS:
        return None
    rows: list[tuple[float, ...]] = []
    for row in table.rows:
        if len(row) == 5 and None in row[:2] and row[2:4] == (0, 0):
            continue
        if len(row) != 5 or not all(isinstance(cell, int | float) for cell in row):
            return None
        rows.append(
            tuple(float(max(-LARGEST, min(LARGEST, cell))) for cell in row if isinstance(cell, int | float))
        )
    if not rows or any(row[0] >= row[1] or min(row[2:]) < 0 for row in rows):
        return None
    return Bins(
        edges=tuple((row[0], row[1]) for row in rows),
        unrelated=tuple(row[2] for row in rows),
        derived=tuple(row[3] for row in rows),
    )


def pairs(counts: Bins) -> str:
    """How many pairs of either kind, in words."""
    both = numbers.count(round(sum(counts.unrelated))), numbers.count(round(sum(counts.derived)))
    return f"{both[0]} unrelated and {both[1]} derived"


def reached(counts: Bins, value: float) -> str:
    """How many unrelated pairs read as high as the case, as far as bins tell."""
    total = numbers.count(round(sum(counts.unrelated)))
    last = counts.edges[-1][1]
    above = sum(
        n
        for (_, high), n in zip(counts.edges, counts.unrelated, strict=True)
        if high > value or high == value == last
    )
    if not above:
        return f"none of the {total} unrelated pairs lies in its bin or above"
    return f"{numbers.count(round(above))} of the {total} unrelated pairs lie in its bin or above"


def words(beside: Beside) -> str:
    """What stands beside the picture, with its numbers, as sentences."""
    tag, value = beside.case
    said = []
    if beside.counts is not None:
        which = short(beside.title.removeprefix("Reference pairs "), 110)
        said.append(
            f"At the right, reference pairs {which}: {pairs(beside.counts)}; this case ({tag}) at "
            f"{numbers.cell(value)}; {reached(beside.counts, value)}."
        )
    if beside.controls:
        listed = ", ".join(f"{name} at {numbers.cell(at)}" for name, at in beside.controls[:CONTROLS])
        more = len(beside.controls) - CONTROLS
        listed += f" and {more} more" if more > 0 else ""
        lead = (
            "Controls of this case"
            if beside.counts
            else f"No reference pair has this reading. At the right, {tag} at {numbers.cell(value)} and the controls"
        )
        said.append(f"{lead}: {listed}.")
    if not said:
        said.append(
            "No unrelated population stands beside it: no reference pair has this reading, and no control of "
            "the case gave one."
        )
    return " ".join(said)


def draw(axes: Axes, beside: Beside) -> None:
    """The reading upwards: unrelated pairs to the left, derived ones to the right, case and controls as lines."""
    axes.set_xlim(-1.15, 1.15)
    axes.set_xticks([])
    if beside.counts is not None:
        _back_to_back(axes, beside.counts)
    axes.tick_params(axis="x", length=0, labelsize=SMALL)
    axes.tick_params(axis="y", labelsize=SMALL)
    marks = [(*control, (0, (1, 1.4)), 0.9) for control in beside.controls[:CONTROLS]]
    marks.append((*beside.case, (0, (4, 1.5)), 1.3))
    for _, value, dash, wide in marks:
        axes.axhline(max(-LARGEST, min(LARGEST, value)), color=INK, linewidth=wide, linestyle=dash)
    _tags(axes, [(tag, value) for tag, value, _, _ in marks])
    among = "reference pairs" if beside.counts is not None else "controls"
    axes.set_title(f"Reading among\n{among}", fontsize=6.5)


def _back_to_back(axes: Axes, counts: Bins) -> None:
    """Both classes over their bins, each as long as its fullest bin."""
    low = [low for low, _ in counts.edges]
    tall = [high - low for low, high in counts.edges]
    sides = ((counts.unrelated, -1.0, PALE, ""), (counts.derived, 1.0, DERIVED, HATCH))
    for heights, sign, fill, hatch in sides:
        lengths = [sign * height / max([1.0, *heights]) for height in heights]
        axes.barh(
            low,
            lengths,
            height=tall,
            align="edge",
            color=fill,
            edgecolor=GREY,
            linewidth=0.4,
            hatch=hatch,
        )
    axes.axvline(0.0, color=GREY, linewidth=0.5)
    totals = [numbers.count(round(sum(heights))) for heights, *_ in sides]
    axes.set_xticks([-0.55, 0.55], [f"unrelated\n{totals[0]}", f"derived\n{totals[1]}"])


def _tags(axes: Axes, marks: Sequence[tuple[str, float]]) -> None:
    """Tags at the right edge, pushed apart where they would lie on each other."""
    low, high = axes.get_ylim()
    span = (high - low) or 1.0
    last = -1e300
    for tag, value in sorted(marks, key=lambda mark: mark[1]):
        place = max((value - low) / span, last + 0.075)
        last = place
        axes.annotate(
            tag,
            (1.0, place),
            xycoords="axes fraction",
            xytext=(2, 0),
            textcoords="offset points",
            ha="left",
            va="center",
            fontsize=7,
            fontweight="bold",
            annotation_clip=False,
        )
