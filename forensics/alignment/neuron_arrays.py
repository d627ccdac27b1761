"""Samples of neurons as the few arrays of a sketch, and back; a sketch may come from a stranger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.neuron_sample import SampledUnit, Unit

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
    }


def units_from_arrays(arrays: Mapping[str, NDArray[Any]], anchors: int) -> dict[Unit, SampledUnit] | None:
    """What `units_to_arrays` wrote, by unit in order; None if the arrays do not fit each other."""
    names = ("units", "codes", "rows", "index", "energy", "grams", "traits", "graphs")
    if not set(names) <= set(arrays):
        return None
    units, codes, rows, index, energy, grams, traits, graphs = (arrays[name] for name in names)
    if units.ndim != 2 or units.shape[1] != 3 or (units[:, 2] < 0).any() or rows.ndim != 2:
        return None
    total = int(units[:, 2].sum())
    if codes.shape != (2, total, anchors) or {len(rows), len(index), len(energy)} != {total}:
        return None
    if not (np.isfinite(rows).all() and np.isfinite(energy).all()):
        return None
    if (
        graphs.shape != (len(units),)
        or (graphs < 0).any()
        or (graphs > np.minimum(units[:, 2], GRAPH_MOST)).any()
    ):
        return None
    sizes = graphs.astype(np.int64)
    if grams.shape != (2 * int((sizes**2).sum()),) or traits.shape != (2 * int(sizes.sum()),):
        return None
    kept: dict[Unit, SampledUnit] = {}
    stop = at = trait = 0
    for (layer, expert, neurons), size in zip(units.tolist(), sizes.tolist(), strict=True):
        start, stop = stop, stop + neurons
        square, pair = grams[at : at + 2 * size * size], traits[trait : trait + 2 * size]
        at, trait = at + 2 * size * size, trait + 2 * size
        kept[layer, expert] = SampledUnit(
            codes=codes[:, start:stop].astype(np.int8),
            rows=rows[start:stop].astype(np.float16),
            index=index[start:stop].astype(np.int32),
            energy=energy[start:stop].astype(np.float32),
            grams=square.reshape(2, size, size).astype(np.float16),
            traits=pair.reshape(size, 2).astype(np.float16),
        )
    return kept
