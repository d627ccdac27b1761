"""The numbers that are told of every set of judged pairs, and the curves that are drawn of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.validation.population import Population, Reading
from forensics.evidence.assessment import assess
from forensics.evidence.coverage import interval_coverage
from forensics.evidence.fitting import Fit, Rows, both_classes
from forensics.evidence.fusion import fuser
from forensics.evidence.statistics import cllr_floor, pav, resampled, turing
from forensics.evidence.validation import (
    Judged,
    costs,
    empirical_cross_entropy,
    intervals,
    misleading,
    tippett,
)

LN10 = math.log(10.0)
TURING = (3.0, 10.0)
MARGIN = 0.03
"""What the fused Cllr may lie above its floor (decision 8)."""
LEAST = 6
"""Judged families below which resampling them says nothing."""
PURE = 9.0
"""Stands for an infinite log10 LR where PAV finds one kind only."""
DIGITS = 3
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Merit:
    """Everything told of judged pairs, as plain numbers."""

    derived: int
    unrelated: int
    families: int
    """Behind the bounds."""
    judged: int
    """Families in the judged pairs."""
    bounds: Interval
    cllr: float
    cllr_min: float
    cllr_cal: float
    intervals: tuple[Interval, Interval, Interval]
    """Of the three, in this order."""
    misleading: Interval
    """Share of derived pairs with LR < 1, of unrelated pairs with LR > 1."""
    turing: tuple[tuple[float, float, int, float, int], ...]
    """x, share and count of unrelated pairs with LR > x, share and count of derived pairs with LR < 1/x."""

    @property
    def floor(self) -> float:
        """The least Cllr that this cap allows."""
        return cllr_floor(max(-self.bounds[0], self.bounds[1]))

    @property
    def reachable(self) -> float:
        """The least Cllr if every LR lay on the bound of its side."""
        return (cllr_floor(self.bounds[1]) + cllr_floor(-self.bounds[0])) / 2.0

    @property
    def reached(self) -> bool:
        """Whether Cllr, to the digits told, is at most the target."""
        return round(self.cllr, DIGITS) <= round(self.floor + MARGIN, DIGITS)


def merit_of(judged: Judged, draws: int, seed: int) -> Merit:
    """The numbers; intervals by resampling families."""
    values, families = costs(judged), int(np.unique(judged.families).size)
    low_high = [(math.nan, math.nan)] * 3 if families < LEAST else intervals(judged, costs, draws, seed)
    llr, derived = judged.llr, judged.derived
    checks = [
        (
            check.x,
            check.unrelated_above,
            int((llr[~derived] > math.log(check.x)).sum()),
            check.derived_below,
            int((llr[derived] < -math.log(check.x)).sum()),
        )
        for check in turing(llr, derived, judged.weights, TURING)
    ]
    return Merit(
        derived=int(derived.sum()),
        unrelated=int((~derived).sum()),
        families=judged.independent_families,
        judged=families,
        bounds=(judged.bounds.lower, judged.bounds.upper),
        cllr=values[0],
        cllr_min=values[1],
        cllr_cal=values[2],
        intervals=(low_high[0], low_high[1], low_high[2]),
        misleading=misleading(llr, derived, judged.weights),
        turing=tuple(checks),
    )


def merit_from(found: Mapping[str, Any]) -> Merit:
    """Reads what `asdict` and JSON made of a Merit."""
    listed = {key: _tuples(value) for key, value in found.items()}
    return Merit(**listed)


def _tuples(value: Any) -> Any:
    """Lists of JSON as the tuples that they were."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def coverage_of(population: Population, reading: Reading) -> Interval:
    """`interval_coverage` of the fit that cases use: the calibration's own replicas, or the fusion's."""
    table, rows = population.table, reading.rows
    calibration = population.calibration(reading.probes[0]) if len(reading.probes) == 1 else None
    if calibration is not None:
        centre, spread = np.array([calibration.centre]), np.array([calibration.spread])
        lines = [(calibration.intercept, calibration.slope), *calibration.replicas.tolist()]
        fitted, *replicas = (
            Fit(intercept=a, slopes=np.array([b]), centre=centre, spread=spread) for a, b in lines
        )
    else:
        assessed = fuser(table, reading.probes)
        if assessed is None:
            return math.nan, math.nan
        fitted, replicas = assessed.fit, list(assessed.replicas)
    return _covered(rows, fitted, replicas, table.draws, table.seed)


def _covered(rows: Rows, fitted: Fit, replicas: list[Fit], draws: int, seed: int) -> Interval:
    """With the samples from which the replicas were made; NaN if they are not as many."""
    drawn = resampled(rows.families, rows.family_count, draws, seed)
    used = drawn[[both_classes(rows.derived, rows.weights() * sample) for sample in drawn]]
    if len(used) != len(replicas):
        return math.nan, math.nan
    return interval_coverage(rows, fitted, replicas, used)


def coverage_from_rows(rows: Rows, draws: int, seed: int, ceiling: float) -> Interval:
    """The same for rows of which no fit is kept."""
    assessed = assess(rows, seed=seed, draws=draws, ceiling=ceiling)
    if assessed is None:
        return math.nan, math.nan
    return _covered(rows, assessed.fit, list(assessed.replicas), draws, seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """Points to draw, rounded so that the same numbers give the same picture on every machine."""

    log10_lr: tuple[float, ...]
    derived: tuple[float, ...]
    unrelated: tuple[float, ...]
    """Tippett: shares at or above."""
    prior: tuple[float, ...]
    neutral: tuple[float, ...]
    reported: tuple[float, ...]
    ideal: tuple[float, ...]
    """ECE over prior log10 odds: of LR = 1, as reported, after PAV."""
    pav: tuple[tuple[float, float], ...]
    """Reported log10 LR and what PAV makes of it, ±PURE where a step holds one kind only."""
    bounds: Interval

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def curves_from(found: Mapping[str, Any]) -> Curves:
    """Reads what `Curves.as_json` and JSON made of it."""
    return Curves(**{key: _tuples(value) for key, value in found.items()})


def curves_of(judged: Judged) -> Curves:
    """The three plots' points."""
    llr, derived, weights = judged.llr, judged.derived, judged.weights
    half = max(1.0, judged.bounds.cap) + 0.3
    at = np.linspace(-half, half, 161)
    priors = np.linspace(-2.0, 2.0, 41)
    best = pav(llr, derived, weights)
    first, second = tippett(llr, derived, weights, at)
    entropy = [
        empirical_cross_entropy(values, derived, weights, priors)
        for values in (np.zeros(llr.size), llr, best)
    ]
    steps = np.unique(np.round(np.clip(np.stack([llr, best], axis=1) / LN10, -PURE, PURE), DIGITS), axis=0)
    inner = np.ones(len(steps), dtype=bool)
    inner[1:-1] = (np.diff(steps[:, 1]) != 0)[1:] | (np.diff(steps[:, 1]) != 0)[:-1]
    return Curves(
        log10_lr=_points(at),
        derived=_points(first),
        unrelated=_points(second),
        prior=_points(priors),
        neutral=_points(entropy[0]),
        reported=_points(entropy[1]),
        ideal=_points(entropy[2]),
        pav=tuple((float(x) + 0.0, float(y) + 0.0) for x, y in steps[inner]),
        bounds=(judged.bounds.lower, judged.bounds.upper),
    )


def _points(values: Any) -> tuple[float, ...]:
    """Rounded, without a minus zero."""
    return tuple(round(float(value), DIGITS) + 0.0 for value in values)
