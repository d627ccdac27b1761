"""Head subspaces: what each attention head sees of tokens, in no basis of the head.

P_h = Z_h (Z_hᵀ Z_h)⁻¹ Z_hᵀ projects onto the span of a head's responses Z_h (tokens, head dimensions). Any invertible
map inside the head leaves it as it is: rescaled or mixed value dimensions, queries scaled against keys, turned
rotary pairs. The sum over heads does not depend on their order. A head that is nearly as wide as what the tokens span
sees everything; of it P_h is the projection onto its strongest responses, the leading left singular vectors of Z_h,
which orthogonal maps inside the head leave as they are, others not.
Source: principal angles between subspaces (Björck & Golub 1973): ⟨P, Q⟩ is the sum of their squared cosines.
Known defeats: fewer dimensions per head than before; a wide head whose dimensions were rescaled.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RIDGE = 1e-7
"""Of the unit-length response columns' Gram matrix: above rounding, far below what a trained head responds with."""
FILLED_MOST = 0.75
"""A head that spans more than this share of what the tokens span is known by its strongest responses only."""
STRONGEST = 0.25
"""Of what the tokens span: how many of these."""

Floats = NDArray[np.float32]


def head_subspaces(responses: Floats, head_dim: int, span: int) -> Floats | None:
    """Σ_h P_h (n, n) of responses (n, heads · head_dim), heads in order; `span` is the rank of the tokens' inputs.

    None where heads cannot be told apart, tokens span nothing, or a response is not finite. A head without response
    contributes nothing; a column that others explain changes nothing.
    """
    tokens, width = responses.shape
    room = min(tokens, span)
    if head_dim < 1 or width % head_dim or room < 2:
        return None
    with np.errstate(all="ignore"):
        lengths = np.sqrt(np.einsum("ij,ij->j", responses, responses, dtype=np.float64))
    if not np.isfinite(lengths).all():
        return None
    if head_dim > FILLED_MOST * room:
        return _strongest(responses, lengths, head_dim, max(1, int(STRONGEST * room)))
    return _spanned(responses, lengths, head_dim)


def _spanned(responses: Floats, lengths: NDArray[np.float64], head_dim: int) -> Floats | None:
    """Σ_h P_h onto all that each head responds with."""
    from scipy.linalg.lapack import dpotrf, dtrtri

    bases = np.empty(responses.shape, np.float32)
    for start in range(0, responses.shape[1], head_dim):
        own = slice(start, start + head_dim)
        head = responses[:, own] / np.where(lengths[own] > 0.0, lengths[own], 1.0)
        lower, failed = dpotrf(head.T @ head + RIDGE * np.eye(head_dim), lower=1)
        inverse, failed_too = dtrtri(lower, lower=1)
        if failed or failed_too:
            return None
        bases[:, own] = head.astype(np.float32) @ inverse.T.astype(np.float32)
    projected: Floats = bases @ bases.T
    return projected


def _strongest(responses: Floats, lengths: NDArray[np.float64], head_dim: int, keep: int) -> Floats:
    """Σ_h P_h onto each head's `keep` leading left singular vectors, fewer where it responds with fewer."""
    from scipy.linalg import eigh

    tokens = len(responses)
    projected = np.zeros((tokens, tokens), np.float32)
    for start in range(0, responses.shape[1], head_dim):
        own = slice(start, start + head_dim)
        largest = float(lengths[own].max())
        if largest <= 0.0:
            continue
        head = responses[:, own].astype(np.float64) / largest  # rounding must not count as a response
        values, vectors = eigh(head @ head.T, subset_by_index=(tokens - keep, tokens - 1), check_finite=False)
        leading = vectors[:, values > RIDGE * values[-1]].astype(np.float32)
        projected += leading @ leading.T
    return projected
