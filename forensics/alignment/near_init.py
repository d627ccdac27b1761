"""Rows that still look like their initialisation, found on one model alone.

A row that training never reached is an independent draw: not parallel to other rows once their mean is removed, with a
length common to its kind, its entries without outliers. Decay and the softmax's push on all unused tokens alike move
such rows along one shared direction, which is why the mean row is removed. Source: methods §4.3 P6.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ROWS_LEAST = 8
"""Fewer rows cannot show that they are independent of each other."""
COSINE_MOST = 1.5
"""Root mean square cosine of a row with the others, in units of what independent rows have."""
LENGTH_MOST = 1.5
"""Length of a row over the lower quartile of all candidates' lengths."""
PEAK_MOST = 4.0
"""Largest entry of a row over that of an independent Gaussian row, √(2 ln d) root mean squares: outlier channels."""


def token_key(token: bytes) -> int:
    """64-bit key of a token's bytes, the same in every vocabulary."""
    return int.from_bytes(hashlib.blake2b(token, digest_size=8).digest(), "little")


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
    kept = np.ones(len(values), bool)
    for _ in range(4):
        if kept.sum() < ROWS_LEAST:
            return np.zeros(len(values), bool)
        passing = kept.copy()
        passing[kept] = _independent(values[kept])
        if (passing == kept).all():
            break
        kept = passing
    return kept if kept.sum() >= ROWS_LEAST else np.zeros(len(values), bool)


def _independent(values: Floats) -> NDArray[np.bool_]:
    """One pass of the criteria over rows (n, d)."""
    n, width = values.shape
    centred = values - values.mean(axis=0)
    lengths = np.sqrt(np.sum(centred**2, axis=1))
    unit = centred / np.maximum(lengths, 1e-30)[:, None]
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, 0.0)
    alike = np.sqrt(np.sum(cosines**2, axis=1) / max(1, n - 1))
    peaks = np.max(np.abs(unit), axis=1) * np.sqrt(width / (2.0 * np.log(width)))
    return np.asarray(
        (alike <= COSINE_MOST * np.sqrt(1.0 / width + 1.0 / n**2))
        & (lengths <= LENGTH_MOST * np.quantile(lengths, 0.25))
        & (peaks <= PEAK_MOST)
        & (lengths > 1e-30),
        np.bool_,
    )
