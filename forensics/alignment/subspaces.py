"""Head subspaces: what each attention head sees of tokens, in no basis of the head.

P_h = Z_h (Z_hᵀ Z_h)⁻¹ Z_hᵀ projects onto the span of a head's responses Z_h (tokens, head dimensions). Any invertible
map inside the head leaves it as it is: rescaled or mixed value dimensions, queries scaled against keys, turned
rotary pairs. The sum over heads does not depend on their order.
Source: principal angles between subspaces (Björck & Golub 1973): ⟨P, Q⟩ is the sum of their squared cosines.
Known defeats: fewer dimensions per head than before; heads as wide as the token sample see everything and tell nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RIDGE = 1e-7
"""Of the unit-length response columns' Gram matrix: above rounding, far below what a trained head responds with."""
FILLED_MOST = 0.75
"""A head that spans more than this share of what the tokens span has no subspace worth comparing."""


def head_subspaces(responses: NDArray[np.float32], head_dim: int, span: int) -> NDArray[np.float32] | None:
    """Σ_h P_h (n, n) of responses (n, heads · head_dim), heads in order; `span` is the rank of the tokens' inputs.

    None where heads cannot be told apart, span too much, or a response is not finite. A head without response
    contributes nothing; a column that others explain changes nothing.
    """
    from scipy.linalg.lapack import dpotrf, dtrtri

    tokens, width = responses.shape
    if head_dim < 1 or width % head_dim or head_dim > FILLED_MOST * min(tokens, span):
        return None
    with np.errstate(all="ignore"):
        lengths = np.sqrt(np.einsum("ij,ij->j", responses, responses, dtype=np.float64))
    if not np.isfinite(lengths).all():
        return None
    bases = np.empty(responses.shape, np.float32)
    for start in range(0, width, head_dim):
        own = slice(start, start + head_dim)
        head = responses[:, own] / np.where(lengths[own] > 0.0, lengths[own], 1.0)
        lower, failed = dpotrf(head.T @ head + RIDGE * np.eye(head_dim), lower=1)
        inverse, failed_too = dtrtri(lower, lower=1)
        if failed or failed_too:
            return None
        bases[:, own] = head.astype(np.float32) @ inverse.T.astype(np.float32)
    projected: NDArray[np.float32] = bases @ bases.T
    return projected
