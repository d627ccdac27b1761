"""A fitted curve together with what it is good for: cap, cost and interval, from families it never saw.

Order matters: out-of-fold log LRs by family first, from them the cap and the cost, and only then the fit on all
rows that will be used. A cap from training LRs would be too generous.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

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
    cap: float
    """min(|ELUB| of both sides, log10 of the number of families), in log10 units, cut to three decimals."""
    cllr: float
    """Of the capped out-of-fold LRs, in bits, family cells counting once; the interval likewise."""
    cllr_interval: tuple[float, float]
    cllr_min: float
    turing: tuple[TuringCheck, ...]
    families: int


def cut(cap: float) -> float:
    """A cap to three decimals, never upwards."""
    return math.floor(cap * 1000.0 + 1e-9) / 1000.0


def assess(rows: Rows, *, seed: int, draws: int, ceiling: float = math.inf) -> Assessed | None:
    """Fit, validate and cap; None where the rows hold too few families or one class only.

    `ceiling` (log10) is a cap set on other grounds, e.g. by a decision; `draws` bootstrap samples of families
    give the replicas. Deterministic for given rows and seed.
    """
    weights = rows.weights()
    if not both_classes(rows.derived, weights) or rows.family_count < 2:
        return None
    llr = out_of_fold(rows)
    judged = np.isfinite(llr)
    truth, mass = rows.derived[judged], weights[judged]
    if not both_classes(truth, mass):
        return None
    bounds = elub(llr[judged], truth, mass)
    cap = cut(min(-bounds[0], bounds[1], math.log10(rows.independent_families), ceiling))
    capped = np.clip(llr[judged], -cap * _LN10, cap * _LN10)
    multiplicities = resampled(rows.families, rows.family_count, draws, seed)
    fitted = fit(rows.features, rows.derived, weights)
    return Assessed(
        fit=fitted,
        replicas=_replicas(rows, fitted, multiplicities),
        llr=llr,
        elub=bounds,
        cap=cap,
        cllr=cllr(capped, truth, mass),
        cllr_interval=bootstrap_cllr(capped, truth, mass, multiplicities[:, judged]),
        cllr_min=cllr_min(llr[judged], truth, mass),
        turing=turing(capped, truth, mass),
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
