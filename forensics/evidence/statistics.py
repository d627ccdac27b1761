"""How good likelihood ratios are: Cllr, its calibration loss, empirical bounds and Turing's check.

`llr` is always the natural log of the likelihood ratio of derived against unrelated, shape (n,); `derived` is
the truth, shape (n,), bool; `weights`, shape (n,), lets rows of one family cell count as one observation
together (omitted: every row is one). Infinite `llr` are allowed unless said otherwise, NaN never.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Truth = NDArray[np.bool_]

_LN10 = float(np.log(10.0))
_GRID = 0.001
"""Step of the thresholds tried for ELUB, in log10 units."""


def _checked(llr: Array, derived: Truth, weights: Array | None) -> tuple[Array, Truth, Array]:
    """The three as arrays of one length, both classes present."""
    llr = np.asarray(llr, dtype=np.float64)
    truth = np.asarray(derived, dtype=bool)
    mass = np.ones(llr.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    if llr.shape != truth.shape or llr.shape != mass.shape or llr.ndim != 1:
        raise ValueError("llr, derived and weights must be vectors of one length")
    if np.isnan(llr).any() or not np.isfinite(mass).all() or (mass < 0).any():
        raise ValueError("llr must not be NaN and weights must be finite and not negative")
    if mass[truth].sum() <= 0 or mass[~truth].sum() <= 0:
        raise ValueError("both derived and unrelated rows are needed")
    return llr, truth, mass


def cllr(llr: Array, derived: Truth, weights: Array | None = None) -> float:
    """Log-likelihood-ratio cost in bits: 0 perfect, 1 says nothing, above 1 harmful.

    0.5·(mean over derived of log2(1 + 1/LR) + mean over unrelated of log2(1 + LR)). Brümmer and du Preez 2006,
    Computer Speech & Language 20:230, eq. 25. Infinite if an infinite LR is wrong.
    """
    llr, truth, mass = _checked(llr, derived, weights)
    cost = np.logaddexp(0.0, np.where(truth, -llr, llr)) / np.log(2.0)
    return float(
        0.5 * np.average(cost[truth], weights=mass[truth])
        + 0.5 * np.average(cost[~truth], weights=mass[~truth])
    )


def pav(llr: Array, derived: Truth, weights: Array | None = None) -> Array:
    """The best monotone recalibration in hindsight, natural-log LRs, shape (n,); ±inf where a step is pure.

    Pool adjacent violators on the order of `llr` with both classes given equal mass (so that the fitted
    posterior's log odds are the log LR). Brümmer and du Preez 2006, section 6.
    """
    from scipy.optimize import isotonic_regression

    llr, truth, mass = _checked(llr, derived, weights)
    balanced = np.where(truth, mass / mass[truth].sum(), mass / mass[~truth].sum())
    order, ranks = np.unique(llr, return_inverse=True)
    held = np.bincount(ranks, balanced)
    kept = held > 0  # not those that a resampling left out
    share = np.bincount(ranks, balanced * truth)[kept] / held[kept]
    steps = isotonic_regression(share, weights=held[kept]).x
    posterior = np.interp(np.arange(order.size), np.flatnonzero(kept), np.clip(steps, 0.0, 1.0))[ranks]
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(posterior) - np.log1p(-posterior), dtype=np.float64)


def cllr_min(llr: Array, derived: Truth, weights: Array | None = None) -> float:
    """Cllr after `pav`: what is left is discrimination; `cllr - cllr_min` is the loss by miscalibration."""
    return cllr(pav(llr, derived, weights), derived, weights)


def elub(llr: Array, derived: Truth, weights: Array | None = None) -> tuple[float, float]:
    """Empirical lower and upper bound on log10 LR, (lower ≤ 0, upper ≥ 0).

    Vergeer, van Es, de Jongh, Alberink and Stoel 2016, Science & Justice 56:482. One misleading observation is
    added to each class; a threshold t is allowed while deciding by "LR > t" costs no more than not looking
    at all: miss(t) + t·false(t) ≤ min(1, t). Walking outward from t = 1, the bounds are the last allowed
    thresholds. Counts are sums of `weights`, so duplicates do not lift the bound if a cell counts once.
    """
    llr, truth, mass = _checked(llr, derived, weights)
    log10 = llr / _LN10
    counts = float(mass[truth].sum()), float(mass[~truth].sum())

    def share_above(members: Truth, thresholds: Array) -> Array:
        """Mass of `members` with log10 LR above each threshold."""
        order = np.argsort(log10[members], kind="stable")
        heights = log10[members][order]
        tail = np.append(np.cumsum(mass[members][order][::-1])[::-1], 0.0)
        return np.asarray(tail[np.searchsorted(heights, thresholds, side="right")], dtype=np.float64)

    def reach(sign: int, limit: float) -> float:
        """How far from 0 the walk in direction `sign` gets."""
        steps = np.arange(0, int(np.ceil(limit / _GRID)) + 1)
        thresholds = np.asarray(sign * steps * _GRID, dtype=np.float64)
        miss = (counts[0] - share_above(truth, thresholds) + 1.0) / (counts[0] + 1.0)
        false = (share_above(~truth, thresholds) + 1.0) / (counts[1] + 1.0)
        odds = 10.0**thresholds
        allowed = miss + odds * false <= np.minimum(1.0, odds) * (1.0 + 1e-12)
        stop = int(np.argmin(allowed)) if not allowed.all() else allowed.size
        return round(max(stop - 1, 0) * _GRID, 3)

    # Beyond these limits the added misleading observation alone already costs too much.
    return -reach(-1, float(np.log10(counts[0] + 1.0))), reach(+1, float(np.log10(counts[1] + 1.0)))


@dataclass(frozen=True, slots=True, kw_only=True)
class TuringCheck:
    """Share of unrelated rows with LR > x (and derived rows with LR < 1/x); both should be at most 1/x."""

    x: float
    unrelated_above: float
    derived_below: float

    @property
    def kept(self) -> bool:
        """Whether the bound holds on both sides."""
        return max(self.unrelated_above, self.derived_below) <= 1.0 / self.x


def turing(
    llr: Array, derived: Truth, weights: Array | None = None, at: Sequence[float] = (3.0, 10.0)
) -> tuple[TuringCheck, ...]:
    """Turing's rule P(LR > x | unrelated) ≤ 1/x, tested at LR > 3 and LR > 10 (decision 8), and its mirror."""
    llr, truth, mass = _checked(llr, derived, weights)
    return tuple(
        TuringCheck(
            x=x,
            unrelated_above=float(np.average(llr[~truth] > np.log(x), weights=mass[~truth])),
            derived_below=float(np.average(llr[truth] < -np.log(x), weights=mass[truth])),
        )
        for x in at
    )


def cllr_floor(cap: float) -> float:
    """The least Cllr that LRs held within ±cap (log10) can reach, in bits: log2(1 + 10^-cap) (decision 8)."""
    return float(np.log2(1.0 + 10.0**-cap))


def resampled(families: NDArray[np.intp], count: int, draws: int, seed: int) -> Array:
    """Multiplicities of rows in `draws` bootstrap samples of families, shape (draws, n).

    `families`, shape (n, 2), holds the indices (below `count`) of the one or two families of each row, equal
    where both are one. A row between two families appears as often as the product of their multiplicities
    (the pigeonhole bootstrap; Owen 2007, Annals of Applied Statistics 1:386).
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    drawn = rng.multinomial(count, np.full(count, 1.0 / count), size=draws).astype(np.float64)
    first, second = families[:, 0], families[:, 1]
    return np.where(first == second, drawn[:, first], drawn[:, first] * drawn[:, second])


def bootstrap_cllr(
    llr: Array, derived: Truth, weights: Array, multiplicities: Array, level: float = 0.95
) -> tuple[float, float]:
    """Percentile interval of Cllr under resampling of families; `multiplicities` from `resampled`."""
    llr, truth, mass = _checked(llr, derived, weights)
    costs = []
    for multiplicity in multiplicities:
        drawn = mass * multiplicity
        if drawn[truth].sum() > 0 and drawn[~truth].sum() > 0:
            costs.append(cllr(llr, truth, drawn))
    if not costs:
        raise ValueError("no resampling held both classes")
    low, high = np.quantile(costs, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)
