"""Mean and spread of a matrix that is seen block by block, without cancellation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FAR_FROM_ZERO = 1e-3
"""Share of the mean square that the squared mean may be before blocks are centred ahead of squaring."""
PIECE = 1 << 16
"""Elements squared at a time."""


@dataclass(slots=True)
class Moments:
    """Running count, mean and sum of squared deviations; blocks merge by the formula of Chan, Golub, LeVeque (1983)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, rows: NDArray[np.float32]) -> None:
        """Takes one more block, shape (n, columns); sums within a row are float32, all else float64."""
        size, shift = rows.size, 0.0
        if not size:
            return
        mean, squares = _sums(rows)
        if mean**2 * size > FAR_FROM_ZERO * squares:
            shift = float(np.float32(mean))
            mean, squares = _sums(rows - np.float32(mean))
        step, total = shift + mean - self.mean, self.count + size
        self.squares += max(0.0, squares - size * mean**2) + step**2 * self.count * size / total
        self.mean += step * size / total
        self.count = total

    @property
    def std(self) -> float:
        """Standard deviation of all entries seen, with Bessel's correction."""
        return math.sqrt(self.squares / max(1, self.count - 1))


def row_energies(rows: NDArray[np.float32], scale: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
    """Sum of squares of each row, its columns multiplied by `scale` first; shape (n, columns) to (n,).

    Works through pieces that stay in the processor's cache: a temporary the size of the block costs ten times more.
    """
    if scale is None:
        return np.einsum("ij,ij->i", rows, rows)
    weights = np.square(scale)
    step = max(1, PIECE // max(1, rows.shape[1]))
    buffer = np.empty((min(step, len(rows)), rows.shape[1]), np.float32)
    energies = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), step):
        piece = rows[start : start + step]
        np.multiply(piece, piece, out=buffer[: len(piece)])
        energies[start : start + step] = buffer[: len(piece)] @ weights
    return energies


def _sums(rows: NDArray[np.float32]) -> tuple[float, float]:
    """Mean and sum of squares of a block."""
    mean = float(rows.sum(axis=1).sum(dtype=np.float64)) / rows.size
    return mean, float(row_energies(rows).sum(dtype=np.float64))


def dispersion(energies: Sequence[NDArray[np.float32]], columns: int) -> float | None:
    """How unlike chance the rows of a matrix differ in energy: about 1 for independent normal entries, more if trained.

    Variance of the row energies over their squared mean, in units of 2 / columns; None below 8 rows or if not finite.
    """
    all_rows = np.concatenate([*energies, np.zeros(0)]).astype(np.float64)
    if all_rows.size < 8 or not np.isfinite(all_rows).all() or all_rows.mean() <= 0.0:
        return None
    return float(all_rows.var() / all_rows.mean() ** 2 * columns / 2.0)
