"""Samples of neurons as the few arrays of a sketch, and back; a sketch may come from a stranger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.neuron_sample import SampledUnit, Unit

NAMES = ("units", "codes", "rows", "index", "energy", "grams", "traits", "graphs", "third", "thirds")
GRAPH_MOST = 512
"""A stranger's sketch with more neurons a unit in its Grams is refused."""


def units_to_arrays(kept: Mapping[Unit, SampledUnit]) -> dict[str, NDArray[Any]]:
    """Samples as few arrays: units (u, 3) of layer, expert and m, and each field over all neurons."""
    units = sorted(kept)
    parts = [kept[unit] for unit in units]
    return {
        "units": np.array([(*u, len(s.index)) for u, s in zip(units, parts, strict=True)], np.int32),
        "codes": np.concatenate([s.codes for s in parts], axis=1),
        "rows": np.concatenate([s.rows for s in parts]),
        "index": np.concatenate([s.index for s in parts]),
        "energy": np.concatenate([s.energy for s in parts]),
        "grams": np.concatenate([s.grams.ravel() for s in parts]),
        "traits": np.concatenate([s.traits.ravel() for s in parts]),
        "graphs": np.array([len(s.traits) for s in parts], np.int32),
        "third": np.concatenate([s.third for s in parts]),
        "thirds": np.array([len(s.third) for s in parts], np.int32),
    }


def units_from_arrays(
    arrays: Mapping[str, NDArray[Any]], anchors: int, *, layers: int, experts: int
) -> dict[Unit, SampledUnit] | None:
    """What `units_to_arrays` wrote, by unit in order; None if the arrays do not fit each other.

    Nor may there be more than `layers` layers, or more units a layer than `experts`, an MLP and a shared expert.
    """
    if not set(NAMES) <= set(arrays) or not _places_fit(arrays["units"], layers, experts):
        return None
    units, codes, rows, index, energy, grams, traits, graphs, third, thirds = (arrays[n] for n in NAMES)
    total = int(units[:, 2].sum())
    if (
        codes.shape != (2, total, anchors)
        or {len(rows), len(index), len(energy)} != {total}
        or rows.ndim != 2
    ):
        return None
    if not (np.isfinite(rows).all() and np.isfinite(energy).all()):
        return None
    parts = ((graphs, np.minimum(units[:, 2], GRAPH_MOST)), (thirds, units[:, 2]))
    if any(n.shape != (len(units),) or (n < 0).any() or (n > most).any() for n, most in parts):
        return None
    sizes, confirmed = graphs.astype(np.int64), thirds.astype(np.int64)
    if third.shape != (int(confirmed.sum()), anchors):
        return None
    if grams.shape != (2 * int((sizes**2).sum()),) or traits.shape != (2 * int(sizes.sum()),):
        return None
    kept: dict[Unit, SampledUnit] = {}
    stop = at = trait = column = 0
    for (layer, expert, neurons), size, last in zip(
        units.tolist(), sizes.tolist(), confirmed.tolist(), strict=True
    ):
        start, stop = stop, stop + neurons
        square, pair = grams[at : at + 2 * size * size], traits[trait : trait + 2 * size]
        columns = third[column : column + last]
        at, trait, column = at + 2 * size * size, trait + 2 * size, column + last
        kept[layer, expert] = SampledUnit(
            codes=codes[:, start:stop].astype(np.int8),
            rows=rows[start:stop].astype(np.float16),
            index=index[start:stop].astype(np.int32),
            energy=energy[start:stop].astype(np.float32),
            grams=square.reshape(2, size, size).astype(np.float16),
            traits=pair.reshape(size, 2).astype(np.float16),
            third=columns.astype(np.int8),
        )
    return kept


def _places_fit(units: NDArray[Any], layers: int, experts: int) -> bool:
    """Whether units (u, 3) are different places, no more than are ever sampled."""
    if units.ndim != 2 or units.shape[1] != 3 or not len(units) or (units[:, 2] < 0).any():
        return False
    if len(units) > layers * (experts + 2):
        return False
    places = {tuple(place) for place in units[:, :2].tolist()}
    deep = len({layer for layer, _ in places})
    return len(places) == len(units) and deep <= layers and len(units) <= deep * (experts + 2)
