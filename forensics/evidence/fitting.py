"""Log likelihood ratios from readings: a logistic regression that a hostile reader cannot turn round.

Three things distinguish it from a classifier. Rows are weighed so that every family cell counts once, however
many pairs it holds. The two classes get equal mass, so that the prior of the reference set is gone and the
fitted log odds are a log likelihood ratio. And slopes cannot be negative: more likeness never weighs less.

scikit-learn's `LogisticRegression` cannot hold slopes at or above zero, and cutting negative ones off afterwards leaves
the remaining slopes fitted for a model that no longer exists; so the same L2 objective is minimised under bounds,
which gives its optimum wherever that has no negative slope. By Newton's method of our own: a case is weighed by over a
thousand such fits (200 draws, each probe left out once), and scipy's L-BFGS-B takes several times as long for them.
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

_STEPS, _HALVINGS, _STILL = 100, 40, 1e-13


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

    What scikit-learn's StandardScaler computes, which is not asked: importing it costs more than weighing a case.
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
    mass = balanced(derived, weights)
    centre, spread = _standard(features, mass)
    side = np.where(derived, 1.0, -1.0)
    design = np.column_stack([side, (features - centre) / spread * side[:, None]])
    readings = features.shape[1] - free
    bounded = np.zeros(design.shape[1], dtype=bool)
    bounded[1 : 1 + readings] = True
    penalty = np.concatenate([[0.0], np.full(features.shape[1], 1.0 / strength)])
    found = _minimum(design, mass, penalty, bounded)
    return Fit(intercept=float(found[0]), slopes=found[1:].copy(), centre=centre, spread=spread)


def _minimum(design: Array, mass: Array, penalty: Array, bounded: Truth) -> Array:
    """Where Σ mass·log(1 + exp(−design·x)) + Σ penalty·x²/2 is least, the `bounded` coordinates at or above zero.

    Newton's method, projected (Bertsekas 1982, SIAM Journal on Control and Optimization 20:221): coordinates that lie
    on their bound and are pushed beyond it are held, the others take Newton's step, cut back to the bound and halved
    until the loss falls. The objective is convex and the penalty keeps it strictly so; about eight steps.
    """
    at = np.full(design.shape[1], 0.5)
    at[0] = 0.0
    margin = design @ at

    def loss(margin: Array, at: Array) -> float:
        return float(mass @ np.logaddexp(0.0, -margin) + 0.5 * penalty @ (at * at))

    now = loss(margin, at)
    for _ in range(_STEPS):
        chance = 1.0 / (1.0 + np.exp(np.clip(margin, -500.0, 500.0)))
        slope = penalty * at - (mass * chance) @ design
        held = bounded & (at <= 0.0) & (slope > 0.0)
        curve = (design * (mass * chance * (1.0 - chance))[:, None]).T @ design + np.diag(penalty)
        curve[0, 0] += 1e-12 * mass.sum()  # where every row is decided the intercept alone has no curvature
        move = np.zeros_like(at)
        move[~held] = np.linalg.solve(curve[np.ix_(~held, ~held)], -slope[~held])
        if slope @ move >= -_STILL * now:  # twice what a step can still gain
            break
        for halving in range(_HALVINGS):
            to = at + 0.5**halving * move
            to[bounded] = np.maximum(to[bounded], 0.0)
            new_margin = design @ to
            then = loss(new_margin, to)
            if then <= now + 1e-4 * float(slope @ (to - at)):
                break
        else:
            break  # no smaller in floating point
        at, margin, now = to, new_margin, then
    return at


def deal(rows: Rows, folds: int = FOLDS) -> NDArray[np.intp]:
    """The fold of every family, shape (family index range,); −1 for families that do not occur.

    The family with most derived rows first, each goes to the fold that has fewest so far, so that no fold's absence
    empties a class: what scikit-learn's GroupKFold does, a derived row counting for its first family.
    """
    present = np.unique(rows.families)
    fold_of = np.full(int(present.max()) + 1, -1, dtype=np.intp)
    held = 1 + np.bincount(rows.families[rows.derived, 0], minlength=fold_of.size)[present]
    load = np.zeros(min(folds, present.size), dtype=np.intp)
    for family in np.argsort(held, kind="stable")[::-1]:
        fold = int(np.argmin(load))
        load[fold] += held[family]
        fold_of[present[family]] = fold
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
