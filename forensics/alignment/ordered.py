"""Whether channels or neurons stand sorted: then their order tells of the tool that sorted them, not of descent.

Pruning by importance leaves the largest first, and two strangers that were both sorted agree in place. Every exact
test of an order asks this first, and is withheld where both sides are sorted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.assignment import student_p
from forensics.alignment.permutation import mean_ranks

SORTED_P, SORTED_RHO = 1e-6, 0.5
"""Values whose ranks follow their places with a smaller p, or with a larger ρ, stand sorted."""


def order_rho(values: NDArray[Any]) -> float:
    """Spearman's ρ of values (n,), ties at their mean rank, and their places; 0 of fewer than 4, or all alike."""
    n = len(values)
    if n < 4:
        return 0.0
    ranks = mean_ranks(np.asarray(values)) - (n + 1) / 2.0
    places = np.arange(n) - (n - 1) / 2.0
    lengths = float(np.linalg.norm(ranks) * np.linalg.norm(places))
    return float(np.clip(ranks @ places / lengths, -1.0, 1.0)) if lengths > 0.0 else 0.0


def order_z(values: NDArray[Any]) -> float:
    """|ρ| of values (n,) and their places in standard deviations of its null: times √(n−1)."""
    return abs(order_rho(values)) * float(np.sqrt(max(0, len(values) - 1)))


def stand_sorted(values: NDArray[Any]) -> bool:
    """Whether values (n,) rise or fall along their places."""
    rho = abs(order_rho(values))
    return rho > SORTED_RHO or (len(values) > 3 and student_p(rho, len(values)) < SORTED_P)
