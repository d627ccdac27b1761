"""Kernels of hidden states over fixed places in texts: read out of a sketch, and compared block by block.

A kernel says which place looks like which, in no basis, so that models of any width and depth can be compared
(`kernels`; methods §1.8).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.kernels import project_out, unpack

Floats = NDArray[np.floating]
Key = tuple[int, int]
"""(index of a text, character offset in it)."""


@dataclass(frozen=True, kw_only=True)
class StateKernels:
    """Kernels over the places of one kind of text, the input's first, then one per block."""

    places: list[Key]
    packed: NDArray[np.float16]
    """Shape (1 + k, n (n − 1) / 2)."""

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]], kind: str, blocks: int) -> StateKernels:
        """Out of arrays that may come from a stranger; ValueError or KeyError where they do not fit."""
        places, packed = arrays[f"{kind}_places"], arrays[f"{kind}_kernels"].astype(np.float16)
        n = len(places)
        if n < 4 or places.shape != (n, 2) or packed.shape != (blocks + 1, n * (n - 1) // 2):
            raise ValueError("shapes")
        if not np.isfinite(packed).all():
            raise ValueError("not finite")
        return cls(places=[(int(text), int(offset)) for text, offset in places], packed=packed)

    def shared_with(self, other: StateKernels) -> list[Key]:
        """The places that both have, in this one's order."""
        known = set(other.places)
        return [key for key in dict.fromkeys(self.places) if key in known]

    def flat(self, shared: list[Key]) -> Floats:
        """Flat unit kernels over the shared places, (1 + k, p), the input's first."""
        at = {key: i for i, key in enumerate(self.places)}
        return unpack(self.packed, len(self.places), np.array([at[key] for key in shared], np.intp))


@dataclass(frozen=True, kw_only=True)
class StateAgreement:
    """Unbiased CKA of every block of one model with every block of another, (k, k')."""

    places: list[Key]
    plain: Floats
    projected: Floats
    """With both inputs' kernels projected out."""
    left: Floats
    """The first model's flat kernels with both inputs' kernels projected out, (k, p)."""
    right: Floats

    @classmethod
    def of(cls, ours: StateKernels, theirs: StateKernels) -> StateAgreement:
        """Over the places that both tokenizers reach, at least four of them."""
        shared = ours.shared_with(theirs)
        flat = ours.flat(shared), theirs.flat(shared)
        left, right = (project_out(side[1:], [flat[0][0], flat[1][0]]) for side in flat)
        return cls(
            places=shared, plain=flat[0][1:] @ flat[1][1:].T, projected=left @ right.T, left=left, right=right
        )

    def early(self) -> float:
        """Mean over the first half of our blocks of the best projected agreement with any of theirs."""
        best = self.projected.max(axis=1)
        return float(best[: (len(best) + 1) // 2].mean())
