"""The report's tables by operation, width and architecture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.validation.population import (
    IMITATIONS,
    Population,
    Reading,
    bins,
    of_architecture,
    of_stratum,
)
from benchmarks.validation.tables import NONE, Told, number, table
from forensics.evidence.statistics import Truth
from forensics.evidence.validation import Judged, cost


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


def costliest(population: Population, fused: Reading, count: int = 3) -> list[str]:
    """The strata on which the fusion costs most."""
    found = []
    for name, derived in strata_of(population):
        members = of_stratum(population, name)
        size = int(members[fused.at].sum())
        if size:
            found.append(
                (
                    _against(fused, members, derived),
                    f"{name} ({'derived' if derived else 'unrelated'}, {size})",
                )
            )
    return [f"{name} {cost_:.3f}" for cost_, name in sorted(found, reverse=True)[:count]]


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
        found[
            f"{f'{low + 1} to' if low else 'up to'} {high} ({_counted(_families(population, members))})"
        ] = members
    return found


def architecture_groups(population: Population) -> dict[str, Truth]:
    """Rows of which a model has the architecture, with the number of its families."""
    found = {}
    for architecture in sorted(set(population.architectures)):
        count = population.architectures.count(architecture)
        found[f"{architecture} ({_counted(count)})"] = of_architecture(population, architecture)
    return found


def _counted(families: int) -> str:
    return "1 family" if families == 1 else f"{families} families"


def _families(population: Population, members: Truth) -> int:
    return int(np.unique(population.table.families[members]).size)


def ceilings(population: Population) -> str:
    """Largest reading of an unrelated pair by width, without those that imitate."""
    plain = (
        np.array([stratum not in IMITATIONS for stratum in population.table.strata])
        & ~population.table.derived
    )
    rows = []
    for name, members in width_groups(population).items():
        readings = population.table.readings[plain & members]
        seen = np.isfinite(readings).any(axis=0)
        most = np.where(seen, np.max(np.nan_to_num(readings, nan=-np.inf), axis=0, initial=-np.inf), np.nan)
        rows.append([name, *(number(float(value)) for value in most)])
    return table(["narrower width", *population.table.probes], rows)
