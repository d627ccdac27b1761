"""Biases of one kind and layer as two models have them: products of signed scores, which free sign flips negate.

Magnitudes enter as scores of their ranks, so that a few huge biases cannot decide alone; signs are kept, for they are
what is free (methods §4.2, fact 4). Source: methods §4.3 P4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.curves import pearson
from forensics.alignment.permutation import signed_scores

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class BiasMatch:
    """One bias vector as both models have it."""

    kind: str
    layer: int
    products: Floats
    """Products of the two signed scores, shape (size,)."""
    norm: float
    """Product of the lengths of the two score vectors."""
    raw: float
    """Signed correlation of the values themselves, about zero."""
    magnitudes: float
    """Correlation of magnitudes: high for any two models with rotary embeddings, and no evidence."""
    first: Floats
    """Signed scores of the first model's vector, shape (size,)."""
    second: Floats


def match_biases(kind: str, layer: int, first: Floats, second: Floats) -> BiasMatch:
    """What two bias vectors (size,) say of each other; `layer` is the first model's."""
    s, t = signed_scores(first), signed_scores(second)
    lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
    return BiasMatch(
        kind=kind,
        layer=layer,
        products=s * t,
        norm=float(np.linalg.norm(s) * np.linalg.norm(t)),
        raw=float(first @ second) / lengths if lengths > 0.0 else 0.0,
        magnitudes=pearson(np.abs(first), np.abs(second)) or 0.0,
        first=s,
        second=t,
    )


def pooled(matches: Sequence[BiasMatch]) -> float:
    """Signed correlation of the scores about zero, pooled over coordinates, in [−1, 1]."""
    norm = sum(match.norm for match in matches)
    return float(np.clip(sum(float(match.products.sum()) for match in matches) / max(norm, 1e-30), -1.0, 1.0))
