"""The packaged reference table with what the recipes say of its families: architecture and width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.zoo.imitators import IMITATORS
from benchmarks.zoo.recipes import BASES, RECIPES
from forensics.evidence.calibration import Calibration
from forensics.evidence.fitting import Rows
from forensics.evidence.fusion import choose
from forensics.evidence.library import Reference, bundled, load_reference
from forensics.evidence.population import COLUMNS, ReferenceTable
from forensics.evidence.statistics import Array, Truth
from forensics.evidence.validation import Judged, judge, transfer

IMITATIONS = ("distilled", "pasted", "same-initialisation")
"""Strata of unrelated pairs that share something on purpose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """The table, its families by name, and what is known of them; arrays by index of the family."""

    content: Mapping[str, Any]
    """The reference file as it is."""
    reference: Reference
    table: ReferenceTable
    names: tuple[str, ...]
    architectures: tuple[str, ...]
    widths: NDArray[np.intp]

    @property
    def fused(self) -> tuple[str, ...]:
        """The probes that a case fuses in which all of them spoke."""
        return choose(self.table, self.table.probes, self.reference.thresholds.fusion_families)

    def calibration(self, probe: str) -> Calibration | None:
        """The probe's own curve, if it was fitted on this table."""
        found = self.reference.calibrations.get(probe)
        return found if found is not None and found.population == self.table.population else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One probe, or the fusion, judged on families it was not fitted on."""

    name: str
    probes: tuple[str, ...]
    rows: Rows
    judged: Judged
    at: NDArray[np.intp]
    """Rows of the table that were judged, in the order of `judged`."""

    def only(self, members: Truth) -> Judged:
        """Those of the judged rows for which `members`, over the whole table, holds."""
        return self.judged.only(members[self.at])


def load() -> Population:
    """What the package holds."""
    content = next(found for found in bundled() if found.get("fusion"))
    reference = load_reference()
    if reference.table is None:
        raise SystemExit("the package holds no table for the fusion")
    listed = [dict(zip(COLUMNS, row, strict=True))["families"] for row in content["fusion"]["rows"]]
    names = tuple(sorted({name for families in listed for name in families}))
    unknown = [name for name in names if name not in BASES and name not in IMITATORS]
    if unknown:
        raise SystemExit(f"the recipes of the zoo do not tell what {', '.join(unknown)} is")
    recipes = [RECIPES[BASES[n] if n in BASES else IMITATORS[n].recipe] for n in names]
    widths = [recipe.config.get("hidden_size", recipe.config.get("n_embd")) for recipe in recipes]
    return Population(
        content=content,
        reference=reference,
        table=reference.table,
        names=names,
        architectures=tuple(recipe.architecture for recipe in recipes),
        widths=np.array(widths, dtype=np.intp),
    )


def _complete(table: ReferenceTable, probes: Sequence[str]) -> NDArray[np.intp]:
    """Rows on which all of these probes gave a reading."""
    columns = [table.probes.index(probe) for probe in probes]
    return np.flatnonzero(np.isfinite(table.readings[:, columns]).all(axis=1))


def reading(
    population: Population, name: str, probes: tuple[str, ...], groups: Sequence[str] | None = None
) -> Reading | None:
    """Every row by a fit without its families, or without all families of their `groups` (one per family)."""
    rows, kept = population.table.select(probes), _complete(population.table, probes)
    group_of = None
    if groups is not None:
        present = np.unique(population.table.families[kept])
        group_of = np.unique(np.array(groups)[present], return_inverse=True)[1].astype(np.intp)
    judged = judge(rows, group_of)
    if judged is None:
        return None
    return Reading(name=name, probes=probes, rows=rows, judged=judged, at=kept[judged.rows])


def wider(population: Population, probes: tuple[str, ...], width: int) -> Reading | None:
    """Pairs of models both wider than `width`, by the fit and the bounds of pairs both at most so wide."""
    rows, kept = population.table.select(probes), _complete(population.table, probes)
    both = population.widths[population.table.families[kept]]
    narrow, wide = both.max(axis=1) <= width, both.min(axis=1) > width
    judged = transfer(rows, narrow, wide)
    if judged is None:
        return None
    name = f"widths above {width} by those up to {width}"
    return Reading(name=name, probes=probes, rows=rows, judged=judged, at=kept[judged.rows])


def of_architecture(population: Population, architecture: str) -> Truth:
    """Rows of the table of which a family has this architecture, shape (n,)."""
    own = np.array([found == architecture for found in population.architectures])
    return np.asarray(own[population.table.families].any(axis=1))


def of_stratum(population: Population, stratum: str) -> Truth:
    """Rows of the table of this stratum, shape (n,)."""
    return np.array([found == stratum for found in population.table.strata])


def bins(widths: Array) -> list[tuple[int, int]]:
    """The width bins that occur, as (above, up to): powers of two and their halves between, 64 to 4096."""
    edges = [0, 64, 96, 128, 192, 256, 384, 512, 1024, 2048, 4096]
    return [(low, high) for low, high in pairwise(edges) if ((widths > low) & (widths <= high)).any()]
