"""The report's general tables, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.validation.merits import MARGIN, Interval, Merit
from benchmarks.validation.population import Reading

NONE = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A reading with its numbers."""

    reading: Reading
    merit: Merit


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """As Markdown."""
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def number(value: float) -> str:
    """To three decimals; a dash for what there is not."""
    return NONE if math.isnan(value) else f"{value + 0.0:.3f}"


def share(value: float) -> str:
    """In per cent."""
    return NONE if math.isnan(value) else f"{100.0 * value:.1f} %"


def _within(value: float, interval: Interval) -> str:
    """With its 95 % interval, if there is one."""
    if math.isnan(interval[0]):
        return number(value)
    return f"{number(value)} [{number(interval[0])}, {number(interval[1])}]"


def merits(told: Mapping[str, Merit]) -> str:
    """Cllr, its parts and intervals, and the rates of misleading evidence."""
    rows = []
    for name, merit in told.items():
        values = zip((merit.cllr, merit.cllr_min, merit.cllr_cal), merit.intervals, strict=True)
        rows.append(
            [
                name,
                f"{merit.derived} / {merit.unrelated}",
                f"{merit.judged} / {merit.families}",
                *(_within(value, interval) for value, interval in values),
                *(share(rate) for rate in merit.misleading),
                f"{merit.bounds[0]:+.2f} to {merit.bounds[1]:+.2f}",
            ]
        )
    head = ["", "derived / unrelated pairs", "families judged / behind the bounds", "Cllr [95 %]", "Cllr_min",
            "Cllr_cal",
            "derived, LR < 1", "unrelated, LR > 1", "bounds (log10 LR)"]  # fmt: skip
    return table(head, rows)


def floors(told: Mapping[str, Merit]) -> str:
    """Each fused figure against the least that its cap allows."""
    rows = [
        [
            name,
            f"{merit.derived} / {merit.unrelated} ({merit.judged})",
            number(merit.cllr),
            f"{max(-merit.bounds[0], merit.bounds[1]):.2f}",
            number(merit.floor),
            number(merit.floor + MARGIN),
            "reached" if merit.reached else f"**missed by {merit.cllr - merit.floor - MARGIN:.3f}**",
            number(merit.reachable),
        ]
        for name, merit in told.items()
    ]
    head = [
        "fused, judged",
        "derived / unrelated pairs (families)",
        "Cllr",
        "cap",
        "floor",
        f"target (floor + {MARGIN})",
        "",
        "least within its own two bounds",
    ]
    return table(head, rows)


def turings(told: Mapping[str, Merit]) -> str:
    """Counts beyond 3 and 10, and what Turing's rule allows."""
    rows = []
    for name, merit in told.items():
        for x, above, above_count, below, below_count in merit.turing:
            rows.append(
                [
                    name,
                    f"{x:g}",
                    f"{above_count} of {merit.unrelated}",
                    share(above),
                    f"{below_count} of {merit.derived}",
                    share(below),
                    share(1.0 / x),
                    "kept" if max(above, below) <= 1.0 / x else "**not kept**",
                ]
            )
    head = ["", "x", "unrelated with LR > x", "share", "derived with LR < 1/x", "share", "at most", ""]
    return table(head, rows)


def coverages(told: Mapping[str, Interval]) -> str:
    """Share of values that the intervals contain."""
    rows = [[name, share(first), share(second)] for name, (first, second) in told.items()]
    return table(["", "derived pairs", "unrelated pairs"], rows)


def transfers(told: Mapping[str, Mapping[str, float]]) -> str:
    """Cllr by what was left out of the fit; `told` by probe, then by regime."""
    regimes = list(next(iter(told.values())))
    rows = [[name, *(number(costs[regime]) for regime in regimes)] for name, costs in told.items()]
    return table(["", *regimes], rows)
