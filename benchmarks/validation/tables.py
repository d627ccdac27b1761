"""The report's tables, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.validation.merits import MARGIN, Interval, Merit
from benchmarks.validation.population import (
    IMITATIONS,
    Population,
    Reading,
    bins,
    of_architecture,
    of_stratum,
)
from forensics.evidence.statistics import Truth
from forensics.evidence.validation import Judged, cost

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
    """With its 95 % interval."""
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
                str(merit.families),
                *(_within(value, interval) for value, interval in values),
                *(share(rate) for rate in merit.misleading),
                f"{merit.bounds[0]:+.2f} to {merit.bounds[1]:+.2f}",
            ]
        )
    head = ["", "derived / unrelated pairs", "families", "Cllr [95 %]", "Cllr_min", "Cllr_cal",
            "derived, LR < 1", "unrelated, LR > 1", "bounds (log10 LR)"]  # fmt: skip
    return table(head, rows)


def floors(told: Mapping[str, Merit]) -> str:
    """Each fused figure against the least that its cap allows."""
    rows = [
        [
            name,
            number(merit.cllr),
            f"{max(-merit.bounds[0], merit.bounds[1]):.2f}",
            number(merit.floor),
            number(merit.floor + MARGIN),
            "reached" if merit.reached else f"**missed by {merit.cllr - merit.floor - MARGIN:.3f}**",
            number(merit.reachable),
        ]
        for name, merit in told.items()
    ]
    head = ["fused, judged", "Cllr", "cap", "floor", f"target (floor + {MARGIN})", "", "least within its own two bounds"]
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


def strata(population: Population, fused: Reading) -> str:
    """What there is of each stratum, and what the fusion says of it."""
    rows = []
    for name, derived in strata_of(population):
        members = of_stratum(population, name)
        own = fused.only(members)
        reached = own.log10
        spread = (
            [f"{value:+.2f}" for value in (reached.min(), float(np.median(reached)), reached.max())]
            if reached.size
            else [NONE] * 3
        )
        wrong = (reached < 0) if derived else (reached > 0)
        rows.append(
            [
                name,
                "derived" if derived else "unrelated",
                str(int(members.sum())),
                str(np.unique(population.table.families[members]).size),
                f"{reached.size} ({np.unique(own.families).size})",
                number(_against(fused, members, derived)),
                f"{int(wrong.sum())}",
                *spread,
            ]
        )
    head = ["stratum", "truth", "pairs", "families", "fused pairs (families)", "Cllr", "misleading",
            "least", "median", "most (log10 LR)"]  # fmt: skip
    return table(head, rows)


def strata_of(population: Population) -> list[tuple[str, bool]]:
    """Names with their truth, derived first."""
    found = set(zip(population.table.strata, population.table.derived.tolist(), strict=True))
    return sorted(found, key=lambda entry: (not entry[1], entry[0]))


def _against(reading: Reading, members: Truth, derived: bool) -> float:
    """Cllr of a stratum beside all judged pairs of the other kind; NaN without either."""
    judged = reading.judged
    joined = judged.only(members[reading.at] | (judged.derived != derived))
    return cost(joined) if joined.complete else math.nan


def by_stratum(population: Population, told: Sequence[Told]) -> str:
    """Cllr and misleading pairs of every probe on every stratum."""
    rows = []
    for name, derived in strata_of(population):
        members = of_stratum(population, name)
        cells = [_cell(t.reading.only(members), _against(t.reading, members, derived)) for t in told]
        rows.append([f"{name} ({'derived' if derived else 'unrelated'})", *cells])
    return table(["", *(t.reading.name for t in told)], rows)


def _cell(own: Judged, cllr: float) -> str:
    """Cllr, and of so many pairs those that mislead."""
    if not own.derived.size:
        return NONE
    return f"{number(cllr)} ({int(np.where(own.derived, own.llr < 0, own.llr > 0).sum())}/{own.derived.size})"


def by_group(groups: Mapping[str, Truth], told: Sequence[Told], heading: str) -> str:
    """Cllr and misleading pairs of every probe on parts of the table that hold both kinds of pairs."""
    rows = []
    for name, members in groups.items():
        parts = [t.reading.only(members) for t in told]
        cells = [_cell(own, cost(own) if own.complete else math.nan) for own in parts]
        rows.append([name, *cells])
    return table([heading, *(t.reading.name for t in told)], rows)


def width_groups(population: Population) -> dict[str, Truth]:
    """Rows by the width of the narrower model, with the number of families."""
    widths = population.table.widths
    found = {}
    for low, high in bins(widths):
        members = (widths > low) & (widths <= high)
        found[f"{low + 1} to {high} ({_families(population, members)} families)"] = members
    return found


def architecture_groups(population: Population) -> dict[str, Truth]:
    """Rows of which a model has the architecture, with the number of its families."""
    found = {}
    for architecture in sorted(set(population.architectures)):
        count = population.architectures.count(architecture)
        found[f"{architecture} ({count} families)"] = of_architecture(population, architecture)
    return found


def _families(population: Population, members: Truth) -> int:
    return int(np.unique(population.table.families[members]).size)


def ceilings(population: Population) -> str:
    """Largest reading of an unrelated pair by width, without those that imitate."""
    plain = np.array([stratum not in IMITATIONS for stratum in population.table.strata]) & ~population.table.derived
    rows = []
    for name, members in width_groups(population).items():
        readings = population.table.readings[plain & members]
        seen = np.isfinite(readings).any(axis=0)
        most = np.where(seen, np.max(np.nan_to_num(readings, nan=-np.inf), axis=0, initial=-np.inf), np.nan)
        rows.append([name, *(number(float(value)) for value in most)])
    return table(["narrower width", *population.table.probes], rows)
