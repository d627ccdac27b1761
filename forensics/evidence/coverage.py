"""Whether the intervals of fits hold: how often one made without some families contains what a fit with others says."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from forensics.evidence.fitting import Fit, Rows, both_classes, fit
from forensics.evidence.statistics import Array, resampled
from forensics.evidence.validation import part

LEAST = 20
"""Replicas without a family, below which no interval is made of them."""


def interval_coverage(
    rows: Rows, fitted: Fit, replicas: Sequence[Fit], multiplicities: Array, level: float = 0.95
) -> tuple[float, float]:
    """How often intervals made without a family contain what the fit with it says, for derived and unrelated rows.

    For each family, the bootstrap replicas in whose sample it does not occur are a bootstrap of the population
    without it (the jackknife after the bootstrap; Efron 1992, Journal of the Royal Statistical Society B 54:83).
    Their percentile interval of ln LR at each of the family's rows contains the value of `fitted`, or does not.
    Rows of one cell count as one within a family, families count alike. `multiplicities`, shape (draws, n), are
    those of the replicas. NaN for a kind without rows.
    """
    values = fitted.llr(rows.features)
    drawn = np.array([replica.llr(rows.features) for replica in replicas])
    weights = rows.weights()
    shares: tuple[list[float], list[float]] = ([], [])
    for family in np.unique(rows.families):
        own = (rows.families == family).any(axis=1)
        without = ~(multiplicities[:, own] > 0).any(axis=1)
        if without.sum() < LEAST:
            continue
        low, high = np.quantile(drawn[without], [(1.0 - level) / 2.0, (1.0 + level) / 2.0], axis=0)
        inside = (low <= values) & (values <= high)
        for kind, found in zip((rows.derived, ~rows.derived), shares, strict=True):
            if (own & kind).any():
                found.append(float(np.average(inside[own & kind], weights=weights[own & kind])))
    first, second = (float(np.mean(found)) if found else math.nan for found in shares)
    return first, second


def halves_coverage(
    rows: Rows, splits: int, draws: int, seed: int, level: float = 0.95
) -> tuple[float, float]:
    """How often a half's bootstrap interval contains what the other half of the families says of the same rows.

    Both halves err alike and independently, so an exact interval of `level` covers 2Φ(z/√2) − 1 of the values, 0.83
    for 0.95. Over random splits, both ways, at all rows, cells counting once; derived and unrelated rows apart.
    """
    from threadpoolctl import threadpool_limits

    rng = np.random.Generator(np.random.PCG64(seed))
    weights, shares = rows.weights(), []
    for _ in range(splits):
        chosen = rng.permutation(rows.family_count) < rows.family_count // 2
        sides = [part(rows, (chosen[rows.families] == side).all(axis=1)) for side in (True, False)]
        if not all(both_classes(side.derived, side.weights()) for side in sides):
            continue
        with threadpool_limits(limits=1):
            says = [_replicated(side, draws, int(rng.integers(2**31))) for side in sides]
        for (_, replicas), (other, _) in (says, says[::-1]):
            drawn = np.array([replica.llr(rows.features) for replica in replicas])
            low, high = np.quantile(drawn, [(1.0 - level) / 2.0, (1.0 + level) / 2.0], axis=0)
            value = other.llr(rows.features)
            inside = (low <= value) & (value <= high)
            kinds = (rows.derived, ~rows.derived)
            shares.append([float(np.average(inside[kind], weights=weights[kind])) for kind in kinds])
    if not shares:
        return math.nan, math.nan
    first, second = np.mean(np.array(shares), axis=0)
    return float(first), float(second)


def _replicated(rows: Rows, draws: int, seed: int) -> tuple[Fit, list[Fit]]:
    """The fit on all rows and on bootstrap samples of their families."""
    weights, replicas = rows.weights(), []
    for sample in resampled(rows.families, rows.family_count, draws, seed):
        kept = weights * sample > 0
        if both_classes(rows.derived, weights * sample):
            replicas.append(fit(rows.features[kept], rows.derived[kept], (weights * sample)[kept]))
    return fit(rows.features, rows.derived, weights), replicas
