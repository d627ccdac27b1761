"""What one layer's attention contributes to curves over depth: sizes, shapes of distributions, effective ranks.

Every figure is read in a gauge of its own (methods §5.3 item 1): the gain of the norm in front is folded in, and a KV
head's keys are taken with their queries, its values with their outputs, so that free rescaling leaves the sizes alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

CURVES = (
    "size-qk",
    "size-vo",
    "heads-qk",
    "heads-vo",
    "tails-q",
    "tails-o",
    "rank-k",
    "rank-v",
    "gain-attention",
    "gain-mlp",
)
"""Names of the curves, in the order of `Profile.figures`."""
PROJECTED = 16
SAMPLED = 512
"""Rows of a matrix that are read at most, spread evenly."""

Floats = NDArray[np.float64]
Rows = NDArray[np.float32]


@dataclass(slots=True)
class Profile:
    """Running figures of one layer's Q, K, V and O; `gain` is that of the norm in front, if it fits."""

    heads: int
    kv_heads: int
    gain: Rows | None
    projection: Rows
    """Seeded signs, (width, PROJECTED)."""
    energies: dict[str, Floats] = field(default_factory=dict)
    powers: dict[str, Floats] = field(default_factory=dict)
    images: dict[str, Floats] = field(default_factory=dict)

    def see(self, role: str, rows: Rows, start: int, total: int) -> None:
        """Takes a block of rows of one of the four matrices; `total` rows in all."""
        stride = max(1, total // SAMPLED)
        first = -start % stride
        taken = rows[first::stride]
        if not len(taken):
            return
        if role != "o_proj" and self.gain is not None and self.gain.size == rows.shape[1]:
            taken = taken * self.gain
        squares = np.square(taken)
        self._sizes(role, squares, np.arange(start + first, start + len(rows), stride), total)
        if role in {"q_proj", "o_proj"}:
            sums = self.powers.setdefault(role, np.zeros(3))
            sums += np.array(
                [squares.size, squares.sum(dtype=np.float64), np.vdot(squares, squares)], np.float64
            )
        elif self.projection.shape[0] == rows.shape[1]:
            image = taken @ self.projection
            self.images.setdefault(role, np.zeros((PROJECTED, PROJECTED)))
            self.images[role] += (image.T @ image).astype(np.float64)

    def _sizes(self, role: str, squares: Rows, index: NDArray[np.intp], total: int) -> None:
        """Adds energies to their KV head: by row, of the output matrix by column."""
        if role == "o_proj":
            per, energies = squares.shape[1] // self.kv_heads, squares.sum(axis=0, dtype=np.float64)
            index = np.arange(squares.shape[1])
        else:
            per, energies = total // self.kv_heads, squares.sum(axis=1, dtype=np.float64)
        found = self.energies.setdefault(role, np.zeros(self.kv_heads))
        head = np.minimum(index // max(1, per), self.kv_heads - 1)
        found += np.bincount(head, weights=energies, minlength=self.kv_heads)

    def figures(self, mlp_gain: Rows | None) -> Floats:
        """One figure per name in `CURVES`; NaN where it cannot be read."""
        with np.errstate(all="ignore"):
            both = [np.log(np.maximum(self._energy(a) * self._energy(b), 1e-300)) / 4.0 for a, b in PAIRS]
            sizes = [float(pair.mean()) for pair in both]
            uneven = [float(np.log(pair.std() + 1e-3)) if pair.size > 1 else np.nan for pair in both]
            tails = [self._tails(role) for role in ("q_proj", "o_proj")]
            ranks = [self._rank(role) for role in ("k_proj", "v_proj")]
            gains = [_log_mean(gain) for gain in (self.gain, mlp_gain)]
        return np.array([*sizes, *uneven, *tails, *ranks, *gains])

    def _energy(self, role: str) -> Floats:
        return self.energies.get(role, np.full(1, np.nan))

    def _tails(self, role: str) -> float:
        """log kurtosis about zero, m₄ / m₂²: free of scale."""
        count, second, fourth = self.powers.get(role, np.full(3, np.nan))
        return float(np.log(count * fourth / second**2))

    def _rank(self, role: str) -> float:
        """log (tr M)² / tr M² with M = WᵀW, estimated from seeded signs: E[(ωᵢᵀ M ωⱼ)²] ≈ tr M² for i ≠ j."""
        image = self.images.get(role)
        if image is None:
            return float("nan")
        apart = image[~np.eye(PROJECTED, dtype=bool)]
        return float(np.log(np.mean(np.diag(image)) ** 2 / np.mean(apart**2)))


PAIRS = (("q_proj", "k_proj"), ("v_proj", "o_proj"))


def _log_mean(gain: Rows | None) -> float:
    """log of the mean magnitude of a norm's gains."""
    return (
        float("nan")
        if gain is None or not gain.size
        else float(np.log(np.abs(gain.astype(np.float64)).mean()))
    )


def signs(rows: int, columns: int, seed: int) -> Rows:
    """Seeded signs ±1, (rows, columns): the first rows are the same for any number of rows."""
    rng = np.random.Generator(np.random.PCG64(seed))
    return (rng.integers(0, 2, (rows, columns), dtype=np.int8) * 2 - 1).astype(np.float32)
