"""The order of neurons in the file: whether two models' matched neurons stand in the same one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.assignment import fisher, match_rows, spearman
from forensics.alignment.neuron_codes import directions
from forensics.alignment.neuron_sample import SampledUnit, Unit
from forensics.alignment.ordered import stand_sorted
from forensics.alignment.permutation import floored

Floats32 = NDArray[np.float32]
Orders = Mapping[Unit, tuple[int, float, float]]
"""Per unit: neurons compared, ρ of their order, p."""
ORDER_LEAST, UNIT_FLOOR = 32, 1e-6
"""Neurons below which an order is not tested, and the least p that one MLP may contribute."""


def order_test(
    first: tuple[Floats32, NDArray[Any]], second: tuple[Floats32, NDArray[Any]]
) -> tuple[float, float] | None:
    """φ_CSW of one layer: (ρ, one-sided p) of the neurons' own order after matching rows by cosine.

    Each side is (rows (m, k) by falling norm, index (m,)). Exact up to the closed form of Spearman's p: neurons
    of an unrelated layer are exchangeable, so their indices are a random order whatever their rows are. None if
    both sides stand sorted by norm (some pruning tools do that): then order tells of the tool, not of descent.
    """
    if stand_sorted(first[1]) and stand_sorted(second[1]):
        return None
    (rows, index), (other_rows, other_index) = sorted((first, second), key=lambda side: len(side[1]))
    partner = match_rows(directions(rows) @ directions(other_rows).T)
    return spearman(index, other_index[partner])


def order_tests(first: Mapping[Unit, SampledUnit], second: Mapping[Unit, SampledUnit]) -> Orders:
    """(neurons, ρ, p) of `order_test` for every unit that both models have at the same place."""
    found = {}
    for unit in sorted(first.keys() & second.keys()):
        a, b = ((side.rows.astype(np.float32), side.index) for side in (first[unit], second[unit]))
        tested = order_test(a, b)
        if tested is not None:
            found[unit] = (min(len(a[1]), len(b[1])), *tested)
    return found


def orders_together(orders: Orders) -> tuple[float, str] | None:
    """One p and how it came about: Fisher's combination over layers; None without any order to speak of.

    Experts of one layer may be copies of each other, so of those the least p counts, times their number. Student's t
    for Spearman's ρ is up to twice too small in its tail for few neurons (measured: 1.6 at 1e-4 for 16 of them), so
    each p is doubled and none counts for less than one in a million.
    """
    layers: dict[int, list[float]] = {}
    for (layer, _), (neurons, _, p) in orders.items():
        if neurons >= ORDER_LEAST:
            layers.setdefault(layer, []).append(max(2.0 * p, UNIT_FLOOR))
    if not layers:
        return None
    by_layer = [min(1.0, len(found) * min(found)) for found in layers.values()]
    return floored(fisher(by_layer)), (
        f"Spearman's closed form, doubled and floored at 1e-6, least over a layer's experts (Bonferroni), combined by "
        f"Fisher over {len(layers)} layers"
    )
