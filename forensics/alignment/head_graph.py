"""Attention heads as a graph: what heads of one model read and write in common, in no basis and no vocabulary.

A head's circuits are QK = W_Qᵀ W_K and OV = W_O W_V (Elhage et al. 2021), gains of the norms around them folded in.
Their `rank` strongest singular directions in the residual stream, with weights w_r = σ_r / ‖σ‖, give four legs per
head: q, k, o and v. Overlap of leg a of head i with leg b of head j: Σ_rs w_ir w_js ⟨a_ir, b_js⟩², from 0 to 1,
and 1 for a leg with itself. No invertible map inside a head changes it, nor any orthogonal map of the residual stream
(permuted, turned or flipped channels); permuted heads permute rows.
Defeats: attention trained anew; directions of a circuit whose singular values lie close together turn in training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

LEGS = 4
"""q, k, o, v, in this order."""
HEAD_LARGEST = 1024
"""Dimensions of a head beyond which it is not taken apart."""
RIDGE = 1e-5
"""Of the Gram matrix of a head's dimensions at unit length: above rounding in 32 bits, far below what counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadLegs:
    """The legs of one layer's heads."""

    directions: Floats
    """(4, heads, rank, width), of length √w_r; zeros where a head has no circuit."""
    spectra: Floats
    """w_r of QK and OV, (2, heads, rank)."""


def head_legs(matrices: dict[str, Floats], *, heads: int, kv_heads: int, rank: int) -> HeadLegs | None:
    """Legs of one layer from `q_proj`, `k_proj`, `v_proj` (heads · dimensions, width), `o_proj` transposed likewise.

    None where shapes do not fit each other or a number is not finite. Matrices come with gains folded in.
    """
    q, k, v, o = (matrices[name] for name in ("q_proj", "k_proj", "v_proj", "o_proj"))
    width = q.shape[1]
    fits = heads > 0 and kv_heads > 0 and heads % kv_heads == 0 and len(q) % heads == 0 == len(o) % heads
    fits = fits and all(0 < len(one) <= heads * HEAD_LARGEST for one in (q, o))
    fits = fits and len(k) * heads == len(q) * kv_heads and len(v) * heads == len(o) * kv_heads
    if not fits or any(one.shape[1] != width for one in (k, v, o)):
        return None
    directions = np.zeros((LEGS, heads, rank, width), np.float32)
    spectra = np.zeros((2, heads, rank), np.float32)
    for circuit, (near, far) in enumerate(((q, k), (o, v))):
        first = near.reshape(heads, -1, width)
        second = far.reshape(kv_heads, -1, width)
        own, other = _roots(first), _roots(second)
        if own is None or other is None:
            return None
        for head in range(heads):
            group = head * kv_heads // heads
            found = _strongest(own[head], other[group], rank)
            if found is not None:
                left, right, weights = found
                kept, length = len(weights), np.sqrt(weights)[:, None]
                spectra[circuit, head, :kept] = weights
                directions[2 * circuit, head, :kept] = length * _unit(left @ first[head])
                directions[2 * circuit + 1, head, :kept] = length * _unit(right @ second[group])
    return HeadLegs(directions=directions, spectra=spectra) if np.isfinite(directions).all() else None


def _roots(heads: Floats) -> NDArray[np.float64] | None:
    """Cholesky factors of each head's Gram matrix W Wᵀ, of mean diagonal 1; zeros for a dead head, None if not finite.

    Dimensions are brought to one length first, so that the ridge means the same for all of them.
    """
    grams = np.stack([head @ head.T for head in heads]).astype(np.float64)
    if not np.isfinite(grams).all():
        return None
    lengths = np.sqrt(np.maximum(np.einsum("hii->hi", grams), 0.0))
    usual = np.sqrt(np.mean(lengths**2, axis=1, keepdims=True))
    alive = usual > 0.0
    lengths = np.maximum(lengths, 1e-6 * np.where(alive, usual, 1.0))
    one = np.eye(grams.shape[1])
    level = grams / lengths[:, :, None] / lengths[:, None]
    level += (1.0 + RIDGE - np.einsum("hii->hi", level))[:, :, None] * one
    try:
        roots = np.linalg.cholesky(level) * lengths[:, :, None]
    except np.linalg.LinAlgError:
        return None
    return np.asarray(roots * alive[:, :, None] / np.where(alive, usual, 1.0)[:, :, None], np.float64)


def _strongest(
    first: NDArray[np.float64], second: NDArray[np.float64], rank: int
) -> tuple[Floats, Floats, Floats] | None:
    """Rows that combine a head's own into its strongest left and right directions, and w; None for a dead head.

    W_1ᵀ W_2 = E_1ᵀ (L_1ᵀ L_2) E_2 with orthonormal rows E = L⁻¹ W: the singular vectors of the small L_1ᵀ L_2 suffice.
    """
    from scipy.linalg import solve_triangular

    if not first.any() or not second.any():
        return None
    core = (first.T @ second).astype(np.float32)
    values, vectors = np.linalg.eigh(core @ core.T)
    kept = min(rank, len(values))
    sigma = np.sqrt(np.maximum(values[::-1][:kept], 0.0))
    left = vectors[:, ::-1][:, :kept]
    if not sigma[0] > 0.0:
        return None
    right = core.T @ left / np.maximum(sigma, 1e-6 * sigma[0])
    turned = [
        solve_triangular(root, side, trans="T", lower=True).T.astype(np.float32)
        for root, side in ((first, left), (second, right))
    ]
    return turned[0], turned[1], (sigma / np.linalg.norm(sigma)).astype(np.float32)


def _unit(rows: Floats) -> Floats:
    """Rows of unit length; zeros stay."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(lengths > 0.0, lengths, 1.0), np.float32)


def overlaps(layers: list[HeadLegs]) -> Floats:
    """Overlaps of all legs of all heads of different layers, (4, heads, 4, heads); zeros within a layer.

    Within a layer only a head's own q with its k, and o with its v, are kept.
    """
    counts = [layer.directions.shape[1] for layer in layers]
    ends = np.cumsum([0, *counts])
    found = np.zeros((LEGS, ends[-1], LEGS, ends[-1]), np.float32)
    flat = [layer.directions.reshape(-1, layer.directions.shape[-1]) for layer in layers]
    for a, first in enumerate(layers):
        own = slice(ends[a], ends[a + 1])
        index = np.arange(ends[a], ends[a + 1])
        for near in (0, 2):
            met = np.einsum("hrd,hsd->hrs", first.directions[near], first.directions[near + 1])
            found[near, index, near + 1, index] = found[near + 1, index, near, index] = (met**2).sum((1, 2))
        for b in range(a + 1, len(layers)):
            met = flat[a] @ flat[b].T
            rank = first.directions.shape[2]
            shape = (LEGS, counts[a], rank, LEGS, counts[b], rank)
            block = np.square(met, out=met).reshape(shape).sum(axis=(2, 5))
            other = slice(ends[b], ends[b + 1])
            found[:, own, :, other] = block
            found[:, other, :, own] = block.transpose(2, 3, 0, 1)
    return found
