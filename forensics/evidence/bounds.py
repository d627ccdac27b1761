"""How far a likelihood ratio may go, on either side.

A reference set need not carry as much against descent as for it: few derived pairs, or some that were missed,
limit the one, few unrelated families the other. So each side has its own bound, and the record's single `cap`
is the larger one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

DECIMALS = 3
"""Digits of a log10 LR in the record: more would be noise, and would tie the record to one machine's sums."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Largest support for independence (`lower` ≤ 0) and for descent (`upper` ≥ 0), as log10 LR."""

    lower: float
    upper: float

    @property
    def cap(self) -> float:
        """What |log10 LR| never exceeds."""
        return max(-self.lower, self.upper)

    def hold(self, log10_lr: float) -> float:
        """The value within the bounds, to the record's digits."""
        return round(min(max(log10_lr, self.lower), self.upper), DECIMALS) + 0.0  # no minus zero

    def reached(self, log10_lr: float) -> bool:
        """Whether a held value lies on the bound of its side."""
        return log10_lr != 0 and (log10_lr >= self.upper or log10_lr <= self.lower)


def bounds_from(elub: tuple[float, float], families: int, ceiling: float = math.inf) -> Bounds:
    """Per side the least of the empirical bound, log10 of the independent families and a decided ceiling.

    Duplicated pairs lift the empirical bound though nothing was learned; the number of families does not move.
    """
    most = min(math.log10(max(families, 1)), ceiling)
    return Bounds(lower=-_cut(min(-elub[0], most)), upper=_cut(min(elub[1], most)))


def _cut(size: float) -> float:
    """To three decimals, never outwards."""
    return math.floor(max(size, 0.0) * 10.0**DECIMALS + 1e-9) / 10.0**DECIMALS
