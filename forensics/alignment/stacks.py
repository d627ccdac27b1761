"""Vectors by kind and layer as the few arrays of a sketch, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


def stack(
    vectors: Mapping[tuple[str, int], NDArray[np.float32]], kinds: Sequence[str]
) -> dict[str, NDArray[np.generic]]:
    """Arrays `kind` of shape (layers, size) and `kind.layers`; all vectors of a kind must have one size."""
    arrays: dict[str, NDArray[np.generic]] = {}
    for kind in kinds:
        rows = {layer: vector for (k, layer), vector in vectors.items() if k == kind}
        if rows:
            arrays[kind] = np.stack(list(rows.values())).astype(np.float32)
            arrays[f"{kind}.layers"] = np.array(list(rows), np.int32)
    return arrays


def unstack(arrays: Mapping[str, NDArray[np.generic]], kind: str) -> dict[int, NDArray[np.float64]]:
    """Vectors of one kind by layer, float64; empty where there are none."""
    if kind not in arrays:
        return {}
    layers = np.asarray(arrays[f"{kind}.layers"], np.int64)
    return {int(n): v for n, v in zip(layers, np.asarray(arrays[kind], np.float64), strict=True)}
