"""Singular values of a matrix that goes by in row blocks, from a bounded number of sign-summed rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BUCKETS = 512
QUANTILES = 64

Floats = NDArray[np.float64]


@dataclass(slots=True)
class SummedRows:
    """Rows added, with seeded signs, into at most `BUCKETS` sums (a count sketch): Wᵀ W is kept in expectation.

    A matrix of no more rows than buckets is kept whole, and its singular values are exact.
    """

    sums: NDArray[np.float32]
    signs: NDArray[np.float32]

    @classmethod
    def of(cls, rows: int, columns: int, seed: int) -> SummedRows:
        """Empty sums for a matrix of this shape."""
        rng = np.random.Generator(np.random.PCG64(seed))
        signs = (rng.integers(0, 2, rows, dtype=np.int8) * 2 - 1).astype(np.float32)
        return cls(np.zeros((min(rows, BUCKETS), columns), np.float32), signs)

    def see(self, rows: NDArray[np.float32], start: int) -> None:
        """Adds a block; row i goes to bucket i modulo their number, so runs of rows are added at once."""
        signed, at = rows * self.signs[start : start + len(rows), None], start % len(self.sums)
        while len(signed):
            taken = min(len(signed), len(self.sums) - at)
            self.sums[at : at + taken] += signed[:taken]
            signed, at = signed[taken:], 0

    def spectrum(self) -> Floats | None:
        """log of singular values over their root mean square, at `QUANTILES` even ranks; None if not finite or zero.

        Invariant to orthogonal maps of the input space, to the order of rows up to what the sums smear, to scale.
        """
        with np.errstate(all="ignore"):
            small = self.sums if self.sums.shape[0] <= self.sums.shape[1] else self.sums.T
            gram = (small @ small.T).astype(np.float64)
        if not np.isfinite(gram).all() or np.trace(gram) <= 0.0:
            return None
        squares = np.sort(np.linalg.eigvalsh(gram / np.mean(np.diag(gram))))[::-1]
        logs = np.log(np.maximum(squares, 1e-6)) / 2.0
        return np.interp(np.linspace(0, logs.size - 1, QUANTILES), np.arange(logs.size), logs)
