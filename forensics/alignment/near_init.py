"""Rows that still look like their initialisation, found on one model alone.

A row that training never reached is an independent draw: not parallel to other rows once their mean is removed, with a
length common to its kind, its entries without outliers. Decay and the softmax's push on all unused tokens alike move
such rows along one shared direction, which is why the mean row is removed. Source: methods §4.3 P6.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ROWS_LEAST = 8
"""Fewer rows cannot show that they are independent of each other."""
COSINE_MOST = 1.5
"""Root mean square cosine of a row with the others, in units of what independent rows have."""
LENGTH_MOST = 1.5
"""Length of a row over the lower quartile of all candidates' lengths."""
MODE = 2.0
"""The bottom mode: rows up to this many times as long as the eighth shortest."""
SHARE_LEAST = 1.0 / 3.0
"""If fewer of the bottom mode pass, those that do are the accidents among trained rows."""
PASSES = 24
"""Passes at most, each of which drops at most a quarter of the rows."""
PEAK_MOST = 4.0
"""Largest entry of a row over that of an independent Gaussian row, √(2 ln d) root mean squares: outlier channels."""


def distinct(rows: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Rows that are finite, not zero, not constant, and like no other row bit by bit, shape (n,).

    Zero padding and new tokens set to a common mean or copied from another carry no draw of their own; every member
    of a group of duplicates is left out.
    """
    with np.errstate(all="ignore"):
        fine = np.isfinite(rows).all(axis=1) & (np.ptp(rows, axis=1) > 0.0)
    _, inverse, counts = np.unique(rows, axis=0, return_inverse=True, return_counts=True)
    return np.asarray(fine & (counts[inverse.ravel()] == 1), np.bool_)


def near_initial(rows: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which candidate rows (n, d), finite and distinct, look like independent draws; shape (n,), none if too few do.

    Every criterion is invariant under signed permutations of the channels and says nothing of any other model, so a
    test on the rows kept is as exact as on all.
    """
    values = np.asarray(rows, np.float64)
    looks = np.zeros(len(values), bool)
    if len(values) < ROWS_LEAST:
        return looks
    raw = np.sqrt(np.sum(values**2, axis=1))
    kept = np.flatnonzero(raw <= MODE * np.sort(raw)[ROWS_LEAST - 1])
    enough = max(ROWS_LEAST, len(kept) * SHARE_LEAST)
    for _ in range(PASSES):
        if len(kept) < enough:
            return looks
        excess = _excess(values[kept])
        failing = int(np.count_nonzero(excess > 1.0))
        if not failing:
            looks[kept] = True
            return looks
        # the worst first: they spoil the mean and the cosines of the others
        dropped = min(failing, -(-len(kept) // 4))
        kept = np.sort(kept[np.argsort(excess, kind="stable")[: len(kept) - dropped]])
    return looks


def _excess(values: Floats) -> Floats:
    """How far each of rows (n, d) is from an independent draw: the largest of its figures over its limit."""
    n, width = values.shape
    centred = values - values.mean(axis=0)
    lengths = np.sqrt(np.sum(centred**2, axis=1))
    unit = centred / np.maximum(lengths, 1e-30)[:, None]
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, 0.0)
    alike = np.sqrt(np.sum(cosines**2, axis=1) / max(1, n - 1)) / np.sqrt(1.0 / width + 1.0 / n**2)
    peaks = np.max(np.abs(unit), axis=1) * np.sqrt(width / (2.0 * np.log(width)))
    longer = lengths / max(float(np.quantile(lengths, 0.25)), 1e-30)
    worst = np.max([alike / COSINE_MOST, longer / LENGTH_MOST, peaks / PEAK_MOST], axis=0)
    return np.asarray(np.where(lengths > 1e-30, worst, np.inf), np.float64)
