"""A fitted curve together with what it is good for: bounds, cost and interval, from families it never saw.

Order matters: out-of-fold log LRs by family first, from them the bounds and the cost, and only then the fit on all
rows that will be used. Bounds from training LRs would be too generous.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from forensics.evidence.bounds import Bounds, bounds_from
from forensics.evidence.fitting import Fit, Rows, both_classes, fit, out_of_fold
from forensics.evidence.statistics import (
    Array,
    TuringCheck,
    bootstrap_cllr,
    cllr,
    cllr_min,
    elub,
    resampled,
    turing,
)

_LN10 = math.log(10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessed:
    """The fit on all rows and its validation on families left out."""

    fit: Fit
    replicas: tuple[Fit, ...]
    """Fits on bootstrap samples of families, written with `fit`'s centre and spread."""
    llr: Array
    """Out-of-fold ln LR per row, uncapped, NaN where no fold could judge it, shape (n,)."""
    elub: tuple[float, float]
    """On log10 LR, family cells counting once."""
    bounds: Bounds
    """What LRs are held within."""
    cllr: float
    """Of the bounded out-of-fold LRs, in bits, family cells counting once; the interval likewise."""
    cllr_interval: tuple[float, float]
    cllr_min: float
    turing: tuple[TuringCheck, ...]
    families: int


def assess(rows: Rows, *, seed: int, draws: int, ceiling: float = math.inf) -> Assessed | None:
    """Fit, validate and bound; None where the rows hold too few families or one class only.

    `ceiling` (log10) is a bound set on other grounds, e.g. by a decision; `draws` bootstrap samples of families
    give the replicas. Deterministic for given rows and seed: one thread, so that sums are always taken in one
    order (and several would only get into each other's way on matrices this small).
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        return _assessed(rows, seed, draws, ceiling)


def _assessed(rows: Rows, seed: int, draws: int, ceiling: float) -> Assessed | None:
    """The steps of `assess`."""
    weights = rows.weights()
    if not both_classes(rows.derived, weights) or rows.family_count < 2:
        return None
    llr = out_of_fold(rows)
    judged = np.isfinite(llr)
    truth, mass = rows.derived[judged], weights[judged]
    if not both_classes(truth, mass):
        return None
    empirical = elub(llr[judged], truth, mass)
    bounds = bounds_from(empirical, rows.independent_families, ceiling)
    bounded = np.clip(llr[judged], bounds.lower * _LN10, bounds.upper * _LN10)
    multiplicities = resampled(rows.families, rows.family_count, draws, seed)
    fitted = fit(rows.features, rows.derived, weights)
    return Assessed(
        fit=fitted,
        replicas=_replicas(rows, fitted, multiplicities),
        llr=llr,
        elub=empirical,
        bounds=bounds,
        cllr=cllr(bounded, truth, mass),
        cllr_interval=bootstrap_cllr(bounded, truth, mass, multiplicities[:, judged]),
        cllr_min=cllr_min(llr[judged], truth, mass),
        turing=turing(bounded, truth, mass),
        families=rows.independent_families,
    )


def _replicas(rows: Rows, fitted: Fit, multiplicities: Array) -> tuple[Fit, ...]:
    """A fit per bootstrap sample that holds both classes."""
    weights = rows.weights()
    made = []
    for multiplicity in multiplicities:
        drawn = weights * multiplicity
        if both_classes(rows.derived, drawn):
            kept = drawn > 0
            replica = fit(rows.features[kept], rows.derived[kept], drawn[kept])
            made.append(replica.on(fitted.centre, fitted.spread))
    return tuple(made)
