"""Assignments: which neuron is which, and how surprising an agreement is.

Sources: Zhu et al. 2025 (arXiv 2502.12292) for Spearman and Fisher after a linear assignment; methods §4.3 P2
for the agreement of two assignments and its null within strata of importance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32] | NDArray[np.float64]

UNMATCHED = -1
"""Stands for "no partner" in a matching."""

SMALLEST_P = 1e-300
"""A single p-value enters Fisher's sum no smaller than this, so that the sum stays finite."""


def match_rows(similarity: Floats) -> NDArray[np.intp]:
    """Best one-to-one matching of rows to columns, by the sum of similarities (linear assignment).

    Shape (rows,): the column of each row, `UNMATCHED` where there are more rows than columns.
    Entries that are not finite count as the least similarity present.
    """
    from scipy.optimize import linear_sum_assignment

    finite = np.isfinite(similarity)
    partner = np.full(similarity.shape[0], UNMATCHED, np.intp)
    if not finite.any():
        return partner
    rows, columns = linear_sum_assignment(
        np.where(finite, similarity, similarity[finite].min()), maximize=True
    )
    partner[rows] = columns
    return partner


def agreement(first: NDArray[np.intp], second: NDArray[np.intp]) -> float:
    """Share of rows that both matchings send to the same partner, among the rows that have one in both."""
    both = (first != UNMATCHED) & (second != UNMATCHED)
    return float(np.mean(first[both] == second[both])) if both.any() else 0.0


def stratified_z(
    first: NDArray[np.intp], second: NDArray[np.intp], importance: Floats, strata: int = 16
) -> float:
    """Agreement of two matchings in standard deviations of its null within strata of importance.

    The null permutes `second` among rows of like importance; mean and variance in closed form: of n rows in a
    stratum k have a value of `first` that occurs there in `second`, so k/n agree on average, with variance
    k(k−1)/(n(n−1)) + k/n − k²/n². Removes what "important matches important" explains, not convergent features.
    """
    both = (first != UNMATCHED) & (second != UNMATCHED)
    first, second, importance = first[both], second[both], importance[both]
    if not len(first):
        return 0.0
    stratum = np.argsort(np.argsort(importance, kind="stable"), kind="stable") * strata // len(first)
    mean = variance = 0.0
    for s in range(strata):
        inside = stratum == s
        n, k = int(inside.sum()), len(np.intersect1d(first[inside], second[inside]))
        if n > 1:
            mean += k / n
            variance += k * (k - 1) / (n * (n - 1)) + k / n - (k / n) ** 2
    return float((np.sum(first == second) - mean) / np.sqrt(max(variance, 1.0)))


def spearman(first: NDArray[Any], second: NDArray[Any]) -> tuple[float, float]:
    """Spearman's ρ of two rankings without ties, and the one-sided p of a ρ this large.

    Closed form: ρ √((n−2)/(1−ρ²)) is nearly Student's t with n−2 degrees of freedom if the order of one side
    is uniformly random. Fewer than 4 values say nothing: (0, 1).
    """
    n = len(first)
    if n < 4:
        return 0.0, 1.0
    ranks = [np.argsort(np.argsort(side)).astype(np.float64) for side in (first, second)]
    rho = float(np.clip(1.0 - 6.0 * np.sum((ranks[0] - ranks[1]) ** 2) / (n * (n * n - 1.0)), -1.0, 1.0))
    return rho, student_p(rho, n)


def student_p(rho: float, n: int) -> float:
    """One-sided p of a rank correlation of n values, by Student's t with n−2 degrees of freedom."""
    from scipy.special import stdtr

    statistic = rho * np.sqrt((n - 2) / max(1.0 - rho * rho, 1e-15))
    return float(max(stdtr(n - 2, -statistic), SMALLEST_P))


def fisher(p_values: Sequence[float]) -> float:
    """One p from independent ones: −2 Σ ln p is χ² with twice as many degrees of freedom. Empty gives 1."""
    from scipy.special import chdtrc

    if len(p_values) == 0:
        return 1.0
    logs = np.log(np.maximum(np.asarray(p_values, np.float64), SMALLEST_P))
    return float(chdtrc(2 * len(p_values), -2.0 * logs.sum()))
