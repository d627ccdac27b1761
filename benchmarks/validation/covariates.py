"""Whether it would help a fit to know how wide, how deep and how finely stored the models of a pair are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from benchmarks.validation.population import Population, Reading
from forensics.evidence.fitting import Rows
from forensics.evidence.statistics import Array
from forensics.evidence.validation import cost, judge, part

NOTHING = "readings alone"


def costs(population: Population, each: Reading) -> dict[str, float]:
    """Cllr out of fold of the readings alone and beside each property of the pair, all on the same rows."""
    table = population.table
    kept = np.isfinite(table.readings[:, [table.probes.index(p) for p in each.probes]]).all(axis=1)
    properties: Mapping[str, Array] = {
        "and width": np.log2(table.widths[kept]),
        "and layers": np.log2(table.depths[kept]),
        "and precision": np.log2(table.precisions[kept]),
    }
    told = {NOTHING: _cost(each.rows, 0)}
    for name, values in properties.items():
        known = np.isfinite(values)
        told[name] = _cost(_beside(part(each.rows, known), values[known]), 2)
    return told


def _beside(rows: Rows, values: Array) -> Rows:
    """Rows with a property and its product with the mean reading: it may move an LR and how steeply readings count."""
    centred = values - values.mean()
    slope = centred * rows.features.mean(axis=1)
    return replace(rows, features=np.column_stack([rows.features, centred, slope]))


def _cost(rows: Rows, free: int) -> float:
    """Cllr within its own bounds; NaN where a kind of pair is missing."""
    judged = judge(rows, free=free)
    return math.nan if judged is None else cost(judged)
