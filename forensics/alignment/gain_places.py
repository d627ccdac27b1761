"""One norm's gains as two models have them: whether they vary at all, and the cosine that says nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float64]
CONSTANT = 1e-4
"""Gains whose spread is below this share of their mean magnitude count as constant; one step of bf16 is larger."""


@dataclass(frozen=True, slots=True)
class GainPlace:
    """One norm as both models have it; gains as magnitudes, shape (width,)."""

    kind: str
    layer: int
    suspect: Rows
    candidate: Rows

    @property
    def flat(self) -> tuple[bool, ...]:
        """Whether the suspect's and the candidate's gains are constant."""
        return tuple(bool(g.std() <= CONSTANT * max(g.mean(), 1e-12)) for g in (self.suspect, self.candidate))

    @property
    def cosine(self) -> float:
        """Cosine without centring: near one for any two sets of positive gains."""
        lengths = float(np.linalg.norm(self.suspect) * np.linalg.norm(self.candidate))
        return float(self.suspect @ self.candidate) / max(lengths, 1e-30)
