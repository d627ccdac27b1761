"""The order of neurons in the file: whether two models' matched neurons stand in the same one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.assignment import match_rows, spearman
from forensics.alignment.neuron_codes import directions
from forensics.alignment.neuron_sample import SampledUnit, Unit

Floats32 = NDArray[np.float32]


def order_test(
    first: tuple[Floats32, NDArray[Any]], second: tuple[Floats32, NDArray[Any]]
) -> tuple[float, float] | None:
    """φ_CSW of one layer: (ρ, one-sided p) of the neurons' own order after matching rows by cosine.

    Each side is (rows (m, k) by falling norm, index (m,)). Exact up to the closed form of Spearman's p: neurons
    of an unrelated layer are exchangeable, so their indices are a random order whatever their rows are. None if
    both sides stand sorted by norm (some pruning tools do that): then order tells of the tool, not of descent.
    """
    by_norm = [
        spearman(index, sign * np.arange(len(index)))[1] for _, index in (first, second) for sign in (1, -1)
    ]
    if min(by_norm[:2]) < 1e-6 and min(by_norm[2:]) < 1e-6:
        return None
    (rows, index), (other_rows, other_index) = sorted((first, second), key=lambda side: len(side[1]))
    partner = match_rows(directions(rows) @ directions(other_rows).T)
    return spearman(index, other_index[partner])


def order_tests(
    first: Mapping[Unit, SampledUnit], second: Mapping[Unit, SampledUnit]
) -> dict[Unit, tuple[int, float, float]]:
    """(neurons, ρ, p) of `order_test` for every unit that both models have at the same place."""
    found = {}
    for unit in sorted(first.keys() & second.keys()):
        a, b = ((side.rows.astype(np.float32), side.index) for side in (first[unit], second[unit]))
        tested = order_test(a, b)
        if tested is not None:
            found[unit] = (min(len(a[1]), len(b[1])), *tested)
    return found
