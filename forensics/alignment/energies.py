"""Energies of rows and columns that free rescalings trade against each other, layer by layer.

A value dimension and the output columns that read it, an up row and its down column, a rotary pair of keys and the
queries that meet it, a norm gain and the columns behind it: each product is fixed by what the model computes, each
ratio is free. A ledger holds, for one layer, the logarithms of both sides of each trade.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.moments import column_energies, row_energies

TRADES = ("value-output", "query-key", "up-down", "attention-gain", "mlp-gain")
"""Kinds of trade, in the order in which they are shown."""
BY_ROW = ("q_proj", "k_proj", "v_proj", "up_proj")
BY_COLUMN = ("o_proj", "down_proj")
BEHIND_GAIN = {"k_proj": "input_norm", "up_proj": "mlp_norm"}
"""A matrix that reads each norm; a quarter of its rows is enough for the energies of its columns."""
STRIDE = 4
WIDEST = 1 << 17
"""Rows or columns beyond which a matrix is left alone; four times the widest public model."""

Floats = NDArray[np.float64]


@dataclass(slots=True)
class Ledger:
    """Energies of one layer by role, filled block by block; of experts, those of one."""

    kv_heads: int
    rows: dict[str, Floats] = field(default_factory=dict)
    columns: dict[str, Floats] = field(default_factory=dict)

    def see(self, role: str, block: NDArray[np.float32], start: int, total: int) -> None:
        """Takes the rows of `role` from `start`; `total` rows in all."""
        if role in BY_ROW:
            energies = self.rows.setdefault(role, np.zeros(total))
            energies[start : start + len(block)] = row_energies(block)
        if role in BY_COLUMN:
            self._add(role, block)
        if role in BEHIND_GAIN:
            stride = STRIDE if total >= 64 * STRIDE else 1
            self._add(role, block[-start % stride :: stride])

    def _add(self, role: str, block: NDArray[np.float32]) -> None:
        if len(block):
            found = self.columns.setdefault(role, np.zeros(block.shape[1]))
            found += column_energies(np.ascontiguousarray(block))

    def trades(self, gains: dict[str, NDArray[np.float32]]) -> dict[str, Floats]:
        """Half log energies of both sides, shape (2, units), of every trade that can be read and is finite."""
        found = {
            "value-output": self._heads(self.rows.get("v_proj"), self.columns.get("o_proj"), paired=False),
            "query-key": self._heads(self.rows.get("k_proj"), self.rows.get("q_proj"), paired=True),
            "up-down": _both(self.rows.get("up_proj"), self.columns.get("down_proj")),
        }
        for trade, (role, norm) in zip(TRADES[3:], BEHIND_GAIN.items(), strict=True):
            gain = gains.get(norm)
            squares = None if gain is None else gain.astype(np.float64) ** 2
            found[trade] = _both(squares, self.columns.get(role))
        return {trade: sides for trade, sides in found.items() if sides is not None and sides.shape[1]}

    def _heads(self, few: Floats | None, many: Floats | None, *, paired: bool) -> Floats | None:
        """Both sides per KV head and dimension, query heads of a group summed; rotary pairs (i, i + n / 2) summed."""
        if few is None or many is None or self.kv_heads < 1 or few.size % self.kv_heads:
            return None
        dims = few.size // self.kv_heads
        if not dims or many.size % few.size or (paired and dims % 2):
            return None
        few, many = few.reshape(self.kv_heads, dims), many.reshape(self.kv_heads, -1, dims).sum(axis=1)
        if paired:
            few, many = (side.reshape(self.kv_heads, 2, -1).sum(axis=1) for side in (few, many))
        return _both(few.ravel(), many.ravel())


def _both(first: Floats | None, second: Floats | None) -> Floats | None:
    """Half logarithms of both energies where both are positive and finite; None if they do not pair."""
    if first is None or second is None or first.size != second.size:
        return None
    usable = np.isfinite(first) & np.isfinite(second) & (first > 0.0) & (second > 0.0)
    return np.log(np.stack([first[usable], second[usable]])) / 2.0


@dataclass(frozen=True, slots=True)
class Balance:
    """How one layer's trade stands."""

    correlation: float
    """Pearson's, of log size on the two sides; training moves both alike, a random rescaling moves them apart."""
    spread: float
    """Standard deviation of the log ratio of the two sides."""
    smoother: float
    """Spread of the log product over the smaller spread of the sides: below one if the sides undo each other."""
    mean: float
    """Mean log ratio."""


def balance(sides: Floats, least: int = 12) -> Balance | None:
    """The balance of a trade's two sides, shape (2, units); None below `least` units.

    Invariant to order of the units and to a factor of either side as a whole (`mean` apart). A rescaling by factors of
    log-spread s brings the correlation towards −1 and the spread to 2 s; methods §5.3 item 1 names the symmetry.
    Defeated by rescalings smaller than what training itself leaves, and by one factor for all units.
    """
    if sides.shape[1] < least:
        return None
    first, second = sides - sides.mean(axis=1, keepdims=True)
    own = float(first.std()), float(second.std())
    if min(own) <= 1e-9:
        return Balance(0.0, float((first - second).std()), 1.0, float(np.mean(sides[0] - sides[1])))
    return Balance(
        correlation=float(np.mean(first * second) / (own[0] * own[1])),
        spread=float((first - second).std()),
        smoother=float((first + second).std()) / min(own),
        mean=float(np.mean(sides[0] - sides[1])),
    )
