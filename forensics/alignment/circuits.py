"""Circuits compared: token kernels of all layers of two models, without what their tokens have in common.

A model's kernels are kept as arrays: `hashes` (n,) of its anchors, `embedding` (2, p) with the embeddings' Gram
matrix G and whitened G, `kernels` (layers, 4, p) of q, k, v and o, and `layers`,
the layers' numbers; p = n (n − 1) / 2, packed by `pack`. Zeros stand for a matrix that is not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.kernels import project_out, unpack

Kernels = NDArray[np.float32]

ALIKE = 0.9
"""Rows of a cosine above this are one layer twice: counted twice in the mean, it would be projected out itself."""
LAYERS_FOR_MEAN = 3
"""From this many layers on, what all layers of a model have in common is projected out."""


def holds_kernels(arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Whether these arrays are a model's kernels and fit each other."""
    if {"hashes", "embedding", "kernels", "layers"} - set(arrays):
        return False
    tokens, layers = len(arrays["hashes"]), len(arrays["layers"])
    pairs = tokens * (tokens - 1) // 2
    fits = arrays["embedding"].shape == (2, pairs) and arrays["kernels"].shape == (layers, 4, pairs)
    return fits and all(bool(np.isfinite(arrays[name]).all()) for name in ("embedding", "kernels"))


def layer_kernels(arrays: Mapping[str, NDArray[Any]], keep: NDArray[np.intp]) -> tuple[Kernels, Kernels]:
    """G and whitened G (2, p) and all other kernels (layers, 4, p), over the tokens at `keep`."""
    tokens, packed = len(arrays["hashes"]), arrays["kernels"]
    own = unpack(arrays["embedding"], tokens, keep)
    others = unpack(packed.reshape(-1, packed.shape[-1]), tokens, keep)
    return own, others.reshape(-1, 4, others.shape[-1])


def circuit_correlations(
    suspect: tuple[Kernels, Kernels], candidate: tuple[Kernels, Kernels]
) -> NDArray[np.float64]:
    """Correlations (4, suspect layers, candidate layers) of q, k, v and o from `layer_kernels` of the same tokens.

    Projected out of all kernels: G and whitened G of both sides, and each side's mean over its layers. NaN
    where a side has no such matrix, or none that differs between layers.
    """
    meaning = [*suspect[0], *candidate[0]]
    first, second = (
        project_out(kernels.reshape(-1, kernels.shape[-1]), meaning).reshape(kernels.shape)
        for kernels in (suspect[1], candidate[1])
    )
    found = np.full((4, len(first), len(second)), np.nan)
    for circuit in range(4):
        sides = [first[:, circuit], second[:, circuit]]
        filled = [side[_filled(side)] for side in sides]
        means = [rows.mean(axis=0) for rows in map(_distinct, filled) if len(rows) >= LAYERS_FOR_MEAN]
        left, right = (project_out(side, means) for side in sides)
        both = np.ix_(_filled(left), _filled(right))
        found[circuit][both] = (left @ right.T)[both]
    return found


def _filled(kernels: Kernels) -> NDArray[np.bool_]:
    """Which rows hold anything."""
    return np.asarray(kernels.any(axis=1), np.bool_)


def _distinct(kernels: Kernels) -> Kernels:
    """The rows, of unit length, without those that repeat an earlier one; all, if too few are left for a mean."""
    distinct = kernels[~np.tril(kernels @ kernels.T > ALIKE, -1).any(axis=1)]
    return distinct if len(distinct) >= LAYERS_FOR_MEAN else kernels
