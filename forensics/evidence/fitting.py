"""Log likelihood ratios from readings: a logistic regression that a hostile reader cannot turn round.

Three things distinguish it from a classifier. Rows are weighed so that every family cell counts once, however
many pairs it holds. The two classes get equal mass, so that the prior of the reference set is gone and the
fitted log odds are a log likelihood ratio. And slopes cannot be negative: more likeness never weighs less.

scikit-learn scales the readings, deals families into folds and pools adjacent violators (`statistics.pav`).
Its `LogisticRegression` cannot hold slopes at or above zero, and cutting negative ones off afterwards leaves
the remaining slopes fitted for a model that no longer exists; so the same L2 objective is minimised by
scipy's L-BFGS-B under bounds, which gives its optimum wherever that has no negative slope.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forensics.evidence.statistics import Array, Truth

STRENGTH = 1.0
"""Inverse of the L2 penalty, scikit-learn's default. A weaker penalty gives larger likelihood ratios than a
few dozen families can carry (Morrison and Poh 2018, Science & Justice 58:200: shrunk likelihood ratios)."""

FOLDS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Reference pairs as numbers, all readings present."""

    features: Array
    """Transformed readings, shape (n, p)."""
    derived: Truth
    """Shape (n,)."""
    families: NDArray[np.intp]
    """Indices of the one or two families of a pair, shape (n, 2), equal where both are one."""
    cells: NDArray[np.intp]
    """Which family cell a pair belongs to, shape (n,); a cell holds one class only."""
    family_count: int
    """Families that occur in these rows."""

    @property
    def independent_families(self) -> int:
        """Families with derived pairs or with unrelated pairs, whichever are fewer; what a cap may rest on."""
        return min(np.unique(self.families[kind]).size for kind in (self.derived, ~self.derived))

    def weights(self) -> Array:
        """One divided by the size of the pair's cell, shape (n,): each cell weighs 1 in all."""
        sizes = np.bincount(self.cells)
        return np.asarray(1.0 / sizes[self.cells], dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """ln LR = intercept + Σ slopes·(reading − centre)/spread, over transformed readings."""

    intercept: float
    slopes: Array
    centre: Array
    spread: Array

    def terms(self, features: Array) -> Array:
        """Each reading's share of ln LR, shape as `features` (…, p); add `intercept` for the whole."""
        return np.asarray(self.slopes * (features - self.centre) / self.spread, dtype=np.float64)

    def llr(self, features: Array) -> Array:
        """ln LR for readings of shape (…, p)."""
        return np.asarray(self.intercept + self.terms(features).sum(axis=-1), dtype=np.float64)

    def on(self, centre: Array, spread: Array) -> Fit:
        """The same function written with another centre and spread, so that replicas can be listed."""
        moved = float((self.slopes * (centre - self.centre) / self.spread).sum())
        slopes = self.slopes * spread / self.spread
        return Fit(intercept=self.intercept + moved, slopes=slopes, centre=centre, spread=spread)


def both_classes(derived: Truth, weights: Array) -> bool:
    """Whether derived and unrelated rows both carry weight."""
    return bool(weights[derived].sum() > 0 and weights[~derived].sum() > 0)


def balanced(derived: Truth, weights: Array) -> Array:
    """Weights with equal mass in both classes and the same total; this removes the prior."""
    half = weights.sum() / 2.0
    return np.where(
        derived, weights * half / weights[derived].sum(), weights * half / weights[~derived].sum()
    )


def _standard(features: Array, mass: Array) -> tuple[Array, Array]:
    """Weighted mean and standard deviation per column, (p,) each; 1 for a column that does not vary.

    What scikit-learn's StandardScaler computes, whose checks of its input cost as much as the fit, a thousand times.
    """
    share = mass / mass.sum()
    centre = share @ features
    spread = np.sqrt(share @ (features - centre) ** 2)
    still = spread <= len(features) * np.finfo(np.float64).eps * (np.abs(centre) + spread)
    return centre, np.where(still, 1.0, spread)


def fit(features: Array, derived: Truth, weights: Array, strength: float = STRENGTH, free: int = 0) -> Fit:
    """The non-negative L2 logistic regression on rows of shape (n, p); both classes must carry weight.

    Minimises Σ w·log-loss + ‖slopes‖²/(2·strength) over standardised readings, the intercept unpenalised. The last
    `free` columns are no readings but properties of a pair, whose slopes may have either sign; no opinion uses them.
    """
    from scipy.optimize import minimize

    mass = balanced(derived, weights)
    centre, spread = _standard(features, mass)
    scaled = (features - centre) / spread
    side = np.where(derived, 1.0, -1.0)

    def objective(at: Array) -> tuple[float, Array]:
        """Penalised loss and its gradient at (intercept, *slopes)."""
        margin = side * (at[0] + scaled @ at[1:])
        pull = -mass * side / (1.0 + np.exp(np.clip(margin, -500.0, 500.0)))
        loss = mass @ np.logaddexp(0.0, -margin) + at[1:] @ at[1:] / (2.0 * strength)
        return float(loss), np.concatenate([[pull.sum()], pull @ scaled + at[1:] / strength])

    start = np.concatenate([[0.0], np.full(features.shape[1], 0.5)])
    readings = features.shape[1] - free
    bounds = [(None, None)] + [(0.0, None)] * readings + [(None, None)] * free
    options = {"ftol": 1e-12, "gtol": 1e-8, "maxiter": 500}
    found = minimize(objective, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    slopes = found.x[1:].copy()
    slopes[:readings] = np.maximum(slopes[:readings], 0.0)
    return Fit(intercept=float(found.x[0]), slopes=slopes, centre=centre, spread=spread)


def deal(rows: Rows, folds: int = FOLDS) -> NDArray[np.intp]:
    """The fold of every family, shape (family index range,); −1 for families that do not occur.

    Families with many rows are spread over the folds (scikit-learn's GroupKFold, a row counting for each of
    its families), so that no fold's absence empties a class.
    """
    from sklearn.model_selection import GroupKFold

    present = np.unique(rows.families)
    fold_of = np.full(int(present.max()) + 1, -1, dtype=np.intp)
    derived = rows.families[rows.derived, 0]  # balance the scarcer class; every present family once besides
    incidence = np.concatenate([present, derived])
    splitter = GroupKFold(n_splits=min(folds, present.size))
    for fold, (_, held) in enumerate(splitter.split(incidence, groups=incidence)):
        fold_of[incidence[held]] = fold
    return fold_of


def out_of_fold(rows: Rows, folds: int = FOLDS, strength: float = STRENGTH, free: int = 0) -> Array:
    """ln LR of each row by a fit that saw neither of its families, shape (n,); NaN where none could be made.

    A row between families of two folds is judged by a fit without both folds, so leaving out families costs
    folds·(folds + 1)/2 small fits.
    """
    if np.unique(rows.families).size < 2:
        return np.full(rows.derived.shape, np.nan)
    return out_of_group(rows, deal(rows, folds), strength, free)


def out_of_group(rows: Rows, group_of: NDArray[np.intp], strength: float = STRENGTH, free: int = 0) -> Array:
    """ln LR of each row by a fit that saw no family of its families' groups, shape (n,); NaN where none could be made.

    `group_of` gives the group of every family: a fold, or an architecture to be judged by the others.
    """
    from threadpoolctl import threadpool_limits

    held = np.sort(group_of[rows.families], axis=1)
    weights = rows.weights()
    llr = np.full(rows.derived.shape, np.nan)
    with threadpool_limits(limits=1):
        for low, high in np.unique(held, axis=0):
            judged = (held == (low, high)).all(axis=1)
            seen = ~np.isin(held, (low, high)).any(axis=1)
            if both_classes(rows.derived[seen], weights[seen]):
                fitted = fit(rows.features[seen], rows.derived[seen], weights[seen], strength, free)
                llr[judged] = fitted.llr(rows.features[judged])
    return llr
