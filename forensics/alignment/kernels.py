"""Token kernels: what a matrix sees of shared tokens, compared without any basis.

A kernel K = Z Zᵀ over tokens does not change when the basis behind Z is rotated or permuted. Kernels are
centred as the unbiased estimate of CKA does, which also removes every bias vector: (Z + 1bᵀ)(Z + 1bᵀ)ᵀ − ZZᵀ
has the form aᵢ + aⱼ, and U-centring is the orthogonal projection off just these.
Sources: Székely & Rizzo, "Partial distance correlation" (2014), definition 2 (U-centring); Kornblith et al.
(2019), CKA; Nguyen et al. (2021), its unbiased form; methods §4.9 for the projection.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32] | NDArray[np.float64]

TINY = 1e-30
"""Below this a squared length counts as nothing."""


def anchor_inputs(rows: NDArray[np.float32], *, subtract_mean: bool) -> NDArray[np.float32]:
    """What a norm without gain makes of embedding rows: unit root mean square per row, shape as given.

    `subtract_mean` is for layer norm. A row without direction (zero, or not finite) becomes NaN throughout.
    """
    exact = rows.astype(np.float64)
    with np.errstate(all="ignore"):
        if subtract_mean:
            exact = exact - exact.mean(axis=1, keepdims=True)
        scale = np.sqrt(np.mean(exact * exact, axis=1, keepdims=True))
        scale[~(np.isfinite(scale) & (scale > TINY))] = np.nan
        return (exact / scale).astype(np.float32)


def usable_anchors(
    hashes: NDArray[np.uint64], rows: NDArray[np.float32], *, subtract_mean: bool
) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
    """Hashes (n,) and normed inputs (n, width) of the anchors that have a direction, less the mean anchor.

    Subtracting the mean anchor moves a response by a constant and a kernel by aᵢ + aⱼ only, which centring over
    whatever anchors are shared removes; it saves digits of float32.
    """
    inputs = anchor_inputs(rows, subtract_mean=subtract_mean)
    usable = np.isfinite(inputs).all(axis=1)
    inputs = inputs[usable]
    return hashes[usable], inputs - inputs.mean(axis=0) if len(inputs) else inputs


def shared_positions(first: NDArray[Any], second: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions in both lists of the tokens that both have, by hash, in the same order."""
    _, left, right = np.intersect1d(first, second, return_indices=True)
    return left.astype(np.intp), right.astype(np.intp)


def centre(kernel: Floats) -> NDArray[np.float64]:
    """The U-centred kernel (n, n): zero diagonal, every row sums to zero (n ≥ 4)."""
    n = len(kernel)
    if n < 4:
        raise ValueError(f"U-centring needs at least 4 tokens, got {n}")
    bare = kernel.astype(np.float64)
    np.fill_diagonal(bare, 0.0)
    rows = bare.sum(axis=1) / (n - 2)
    centred = bare - rows[:, None] - rows[None, :] + bare.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(centred, 0.0)
    return centred


def flatten(centred: Floats) -> NDArray[np.float64]:
    """The strict upper triangle as a vector of unit length, shape (n (n − 1) / 2,); zeros if there is nothing."""
    vector = centred[np.triu_indices(len(centred), 1)].astype(np.float64)
    length = float(vector @ vector)
    return vector / np.sqrt(length) if length > TINY else np.zeros_like(vector)


def unbiased_cka(first: Floats, second: Floats) -> float:
    """Unbiased CKA of two kernels (n, n) over the same tokens, in [−1, 1]; about 0 for unrelated ones."""
    return float(flatten(centre(first)) @ flatten(centre(second)))


def whitener(gram: Floats, ridge: float) -> NDArray[np.float64]:
    """(G + ridge² μ I)^(−1/2) on the range of a Gram matrix G (n, n), μ the mean of its positive eigenvalues.

    W K W is the kernel K as if the tokens' features had nearly one variance in every direction.
    """
    values, vectors = np.linalg.eigh(gram.astype(np.float64))
    inside = values > 1e-9 * max(float(values[-1]), TINY)
    values, vectors = values[inside], vectors[:, inside]
    if not len(values):
        return np.zeros(gram.shape)
    white: NDArray[np.float64] = (vectors / np.sqrt(values + ridge**2 * values.mean())) @ vectors.T
    return white


def pack(kernel: Floats) -> NDArray[np.float16]:
    """A kernel (n, n) in the smallest form that keeps what comparison needs, shape (n (n − 1) / 2,).

    U-centred first: centring again over fewer tokens undoes nothing, and float16 then spends its digits on
    what is compared. Scaled so that the largest entry is 1; NaN throughout if the kernel is not finite.
    """
    triangle = np.triu_indices(len(kernel), 1)
    if not np.isfinite(kernel).all():
        return np.full(len(triangle[0]), np.nan, np.float16)
    vector = centre(kernel)[triangle]
    largest = float(np.abs(vector).max())
    return (vector / largest if largest > TINY else vector * 0.0).astype(np.float16)


def unpack(packed: NDArray[Any], tokens: int, keep: NDArray[np.intp]) -> NDArray[np.float32]:
    """From packed kernels (k, p) of `tokens` tokens: the tokens `keep`, U-centred, flat and of unit length.

    Shape (k, n (n − 1) / 2) for n kept tokens.
    """
    place = np.zeros((tokens, tokens), np.intp)
    place[np.triu_indices(tokens, 1)] = np.arange(packed.shape[1])
    place = (place + place.T)[np.ix_(keep, keep)]
    n = len(keep)
    flat = np.empty((len(packed), n * (n - 1) // 2), np.float32)
    for row, one in zip(flat, packed.astype(np.float32), strict=True):
        row[:] = flatten(centre(one[place]))
    return flat


def project_out(vectors: Floats, nuisances: Sequence[Floats]) -> NDArray[np.float32]:
    """Rows (k, p) without their parts along the nuisance vectors (Gram-Schmidt), scaled to unit length again.

    A row that lies within the nuisances (less than a thousandth of it is left) becomes zero.
    """
    axes = np.zeros((0, np.shape(vectors)[1]))
    for nuisance in nuisances:
        axis = np.array(nuisance, np.float64)
        for _ in range(2):  # twice is enough against rounding
            axis -= (axes @ axis) @ axes
        length = np.sqrt(axis @ axis)
        if length > 1e-5:
            axes = np.vstack([axes, axis / length])
    left = vectors - (vectors @ axes.T) @ axes
    lengths = np.sqrt(np.einsum("ij,ij->i", left, left))[:, None]
    return np.where(lengths > 1e-3, left / np.maximum(lengths, 1e-3), 0.0).astype(np.float32)
