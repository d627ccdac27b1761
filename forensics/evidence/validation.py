"""What a set of likelihood ratios shows of itself: curves, misleading evidence, intervals.

`llr` is always the natural log of the likelihood ratio, shape (n,), `derived` the truth and `weights` the mass of each
row, as in `statistics`. `judge` gives them for rows of a reference population that no fit had seen.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from forensics.evidence.bounds import Bounds, bounds_from
from forensics.evidence.fitting import Rows, both_classes, fit, out_of_fold, out_of_group
from forensics.evidence.statistics import Array, Truth, cllr, cllr_min, elub, resampled

_LN10 = math.log(10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """Rows with the log LR of a fit that had not seen them; rows that no fit could judge are left out."""

    raw: Array
    """ln LR before the bounds, shape (n,)."""
    derived: Truth
    weights: Array
    families: NDArray[np.intp]
    """As `Rows.families`, shape (n, 2)."""
    rows: NDArray[np.intp]
    """Which of the rows given these are, shape (n,)."""
    bounds: Bounds
    independent_families: int

    @property
    def llr(self) -> Array:
        """ln LR within the bounds, as they are reported, shape (n,)."""
        return np.clip(self.raw, self.bounds.lower * _LN10, self.bounds.upper * _LN10)

    @property
    def log10(self) -> Array:
        """log10 LR within the bounds, shape (n,)."""
        return self.llr / _LN10

    def only(self, members: Truth) -> Judged:
        """A part of the rows, under the bounds of the whole."""
        return replace(
            self,
            raw=self.raw[members],
            derived=self.derived[members],
            weights=self.weights[members],
            families=self.families[members],
            rows=self.rows[members],
        )

    @property
    def complete(self) -> bool:
        """Whether there are rows of both kinds."""
        return bool(self.derived.any() and not self.derived.all())


def judge(
    rows: Rows, group_of: NDArray[np.intp] | None = None, ceiling: float = math.inf, free: int = 0
) -> Judged | None:
    """Each row by a fit without its families, or without their whole groups; None where that leaves nothing to say.

    The bounds come from these very LRs and from the number of independent families, as in `assessment.assess`. The
    last `free` columns are properties of a pair, as in `fitting.fit`.
    """
    raw = out_of_fold(rows, free=free) if group_of is None else out_of_group(rows, group_of, free=free)
    at = np.flatnonzero(np.isfinite(raw))
    mass = rows.weights()[at]
    if not at.size or not both_classes(rows.derived[at], mass):
        return None
    empirical = elub(raw[at], rows.derived[at], mass)
    return Judged(
        raw=raw[at],
        derived=rows.derived[at],
        weights=mass,
        families=rows.families[at],
        rows=at,
        bounds=bounds_from(empirical, rows.independent_families, ceiling),
        independent_families=rows.independent_families,
    )


def part(rows: Rows, members: Truth) -> Rows:
    """Some of the rows, families and cells numbered anew."""
    names, families = np.unique(rows.families[members], return_inverse=True)
    return Rows(
        features=rows.features[members],
        derived=rows.derived[members],
        families=families.reshape(-1, 2).astype(np.intp),
        cells=np.unique(rows.cells[members], return_inverse=True)[1].reshape(-1).astype(np.intp),
        family_count=int(names.size),
    )


def transfer(rows: Rows, seen: Truth, judged: Truth) -> Judged | None:
    """Rows `judged` by the fit and under the bounds of the rows `seen`; None where either lacks a kind of pair."""
    known, mass = part(rows, seen), rows.weights()
    within = judge(known) if seen.any() else None
    if within is None or not judged.any() or not both_classes(rows.derived[judged], mass[judged]):
        return None
    fitted = fit(known.features, known.derived, known.weights())
    return Judged(
        raw=fitted.llr(rows.features[judged]),
        derived=rows.derived[judged],
        weights=mass[judged],
        families=rows.families[judged],
        rows=np.flatnonzero(judged),
        bounds=within.bounds,
        independent_families=within.independent_families,
    )


def misleading(llr: Array, derived: Truth, weights: Array) -> tuple[float, float]:
    """Share of derived rows with LR < 1 and of unrelated rows with LR > 1; NaN for a kind that is absent.

    Royall 2000, Journal of the American Statistical Association 95:760. An LR of 1 misleads nobody.
    """

    def share(wrong: Truth, kind: Truth) -> float:
        mass = weights[kind].sum()
        return float(weights[kind & wrong].sum() / mass) if mass > 0 else math.nan

    return share(llr < 0, derived), share(llr > 0, ~derived)


def tippett(llr: Array, derived: Truth, weights: Array, at: Array) -> tuple[Array, Array]:
    """Share of derived and of unrelated rows with log10 LR ≥ each of `at`, both of its shape.

    Evett and Buckleton 1996, Advances in Forensic Haemogenetics 6:79 (after Tippett et al. 1968).
    """
    reached = (llr / _LN10)[:, None] >= at[None, :] - 1e-9
    first, second = (weights[kind] @ reached[kind] / weights[kind].sum() for kind in (derived, ~derived))
    return first, second


def empirical_cross_entropy(llr: Array, derived: Truth, weights: Array, prior_log10_odds: Array) -> Array:
    """Bits of doubt that remain for a reader with these prior odds, shape of `prior_log10_odds`; at 0 it is Cllr.

    With odds O: O/(1+O)·mean over derived of log2(1 + 1/(LR·O)) + 1/(1+O)·mean over unrelated of log2(1 + LR·O).
    Ramos, Gonzalez-Rodriguez, Zadora and Aitken 2013, Journal of Forensic Sciences 58:1503. Zeros for `llr` give the
    entropy of the prior, which evidence that is worth looking at stays below.
    """
    prior = prior_log10_odds * _LN10
    share = 1.0 / (1.0 + np.exp(-prior))

    def doubt(kind: Truth, sign: float) -> Array:
        posterior = llr[kind][:, None] + prior[None, :]
        return np.asarray(weights[kind] @ np.logaddexp(0.0, sign * posterior) / weights[kind].sum())

    return np.asarray((share * doubt(derived, -1.0) + (1.0 - share) * doubt(~derived, 1.0)) / np.log(2.0))


def intervals(
    judged: Judged, measure: Callable[[Judged], Sequence[float]], draws: int, seed: int, level: float = 0.95
) -> list[tuple[float, float]]:
    """Percentile interval of each number that `measure` gives when families are resampled (`statistics.resampled`).

    NaN where no sample held both kinds of pairs.
    """
    count = int(judged.families.max()) + 1
    found = []
    for multiplicity in resampled(judged.families, count, draws, seed):
        mass = judged.weights * multiplicity
        if both_classes(judged.derived, mass):
            drawn = replace(judged, weights=mass).only(mass > 0)  # who was not drawn has no part in PAV
            found.append(measure(drawn))
    if not found:
        return [(math.nan, math.nan)] * len(measure(judged))
    ends = np.quantile(np.array(found), [(1.0 - level) / 2.0, (1.0 + level) / 2.0], axis=0)
    return [(float(low), float(high)) for low, high in ends.T]


def cost(judged: Judged) -> float:
    """Cllr of the bounded LRs."""
    return cllr(judged.llr, judged.derived, judged.weights)


def costs(judged: Judged) -> tuple[float, float, float]:
    """Cllr of the bounded LRs, Cllr_min of the LRs before the bounds, and Cllr_cal, the difference.

    What the bounds cost is part of the calibration loss.
    """
    whole, least = cost(judged), cllr_min(judged.raw, judged.derived, judged.weights)
    return whole, least, whole - least
