"""Mean and spread of a matrix that is seen block by block, without cancellation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FAR_FROM_ZERO = 1e-3
"""Share of the mean square that the squared mean may be before blocks are centred ahead of squaring."""

Floats32 = NDArray[np.float32]


@dataclass(slots=True)
class Moments:
    """Running count, mean and sum of squared deviations; blocks merge by the formula of Chan, Golub, LeVeque (1983)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, rows: Floats32, energies: Floats32 | None = None) -> None:
        """Takes one more block, shape (n, columns); `energies` are sums of its squares, if they are at hand.

        Sums within a row (or a column, if energies are by column) are float32, all else float64.
        """
        size, shift = rows.size, 0.0
        if not size:
            return
        if energies is None:
            energies = row_energies(rows)
        mean, squares = _mean(rows), float(energies.sum(dtype=np.float64))
        if mean**2 * size > FAR_FROM_ZERO * squares:
            shift = float(np.float32(mean))
            rows = rows - np.float32(mean)
            mean, squares = _mean(rows), float(row_energies(rows).sum(dtype=np.float64))
        step, total = shift + mean - self.mean, self.count + size
        self.squares += max(0.0, squares - size * mean**2) + step**2 * self.count * size / total
        self.mean += step * size / total
        self.count = total

    @property
    def std(self) -> float:
        """Standard deviation of all entries seen, with Bessel's correction."""
        return math.sqrt(self.squares / max(1, self.count - 1))


def row_energies(rows: Floats32, scale: Floats32 | None = None) -> Floats32:
    """Sum of squares of each row, its columns multiplied by `scale` first; shape (n, columns) to (n,).

    Every row is summed alike, so that equal rows have equal energies wherever they stand in a block. Blocks are best
    given small enough for the processor's cache, as the reading pass does: a larger temporary costs ten times more.
    """
    with np.errstate(over="ignore"):  # beyond 1.8e19 a square is infinite, and the caller tells it by that
        if scale is None:
            return np.vecdot(rows, rows)
        return np.vecdot(np.square(rows), np.square(scale))


def column_energies(rows: Floats32) -> Floats32:
    """Sum of squares of each column; shape (n, columns) to (columns,)."""
    with np.errstate(over="ignore"):
        return np.ones(len(rows), np.float32) @ np.square(rows)


def _mean(rows: Floats32) -> float:
    """Mean of a block; a product with ones is the quickest sum."""
    return float((rows @ np.ones(rows.shape[1], np.float32)).sum(dtype=np.float64)) / rows.size


def dispersion(energies: Sequence[NDArray[np.float32]], columns: int) -> float | None:
    """How unlike chance the rows of a matrix differ in energy: about 1 for independent normal entries, more if trained.

    Variance of the row energies over their squared mean, in units of 2 / columns; None below 8 rows or if not finite.
    """
    all_rows = np.concatenate([*energies, np.zeros(0)]).astype(np.float64)
    if all_rows.size < 8 or not np.isfinite(all_rows).all() or all_rows.mean() <= 0.0:
        return None
    return float(all_rows.var() / all_rows.mean() ** 2 * columns / 2.0)
