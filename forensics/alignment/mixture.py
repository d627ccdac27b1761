"""Merges: one set of blocks as a mean of several others, by least squares with shares that sum to one.

X ≈ Y₀ + Σ βₖ (Yₖ − Y₀), β₀ = 1 − Σ βₖ, by layer and over all. gain = 1 − ‖X − mixture‖ / ‖X − nearest parent‖: a
merge is told from a fine-tune of one parent only at a gain of .30 or more (methods §4.3 P7). Parents must correspond
to X coordinate by coordinate. Known defeats: any gauge; merges that are not linear (TIES, DARE) lose gain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.blocks import Blocks

GAIN = 0.30
"""Least gain over the nearest parent alone at which a mixture is told."""
APART = 1e-6
"""Parents whose difference is below this share of their own size are one and the same."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """How one set of blocks is made of others."""

    shares: tuple[float, ...]
    """Of every parent, summing to one; negative where a parent was subtracted."""
    by_layer: Mapping[int, tuple[float, ...]]
    gain: float
    """Share of the distance to the nearest parent that the mixture explains, 0 to 1."""
    nearest: int
    """Which parent alone is nearest."""

    @property
    def is_merge(self) -> bool:
        """Whether several parents are needed: enough gain, and two shares of a twentieth or more."""
        return self.gain >= GAIN and sum(abs(share) >= 0.05 for share in self.shares) > 1


def mixture(child: Blocks, parents: Sequence[Blocks]) -> Mixture | None:
    """The least-squares mixture over blocks that all have, in equal shape; None without two different parents."""
    places = [
        place
        for place, block in sorted(child.items())
        if all(place in parent and parent[place].shape == block.shape for parent in parents)
    ]
    if len(parents) < 2 or not places:
        return None
    grams = {place: _gram(child, parents, place) for place in places}
    total = np.sum([grams[place] for place in places], axis=0)
    if np.min(_distances(total)) <= APART**2 * _size(child, places):
        return None
    layers = sorted({layer for _, layer, _ in places})
    by_layer = {n: np.sum([grams[p] for p in places if p[1] == n], axis=0) for n in layers}
    shares = _shares(total)
    alone = np.diag(total)
    left = float(np.sqrt(max(0.0, shares @ total @ shares)))
    nearest = int(np.argmin(alone))
    best = float(np.sqrt(alone[nearest]))
    return Mixture(
        shares=tuple(float(one) for one in shares),
        by_layer={n: tuple(float(one) for one in _shares(gram)) for n, gram in by_layer.items()},
        gain=1.0 - left / best if best > 0.0 else 0.0,
        nearest=nearest,
    )


def _gram(child: Blocks, parents: Sequence[Blocks], place: tuple[str, int, int]) -> Floats:
    """Inner products of the child's distances to every parent: with β summing to one, βᵀGβ is what is left."""
    apart = np.stack([(child[place].astype(np.float64) - parent[place]).ravel() for parent in parents])
    return np.asarray(apart @ apart.T, np.float64)


def _shares(gram: Floats) -> Floats:
    """β with sum one that makes βᵀGβ least; parents that cannot be told apart share alike."""
    ones = np.ones(len(gram))
    scale = float(np.trace(gram))
    if scale <= 0.0:
        return ones / len(gram)
    system = np.block([[gram / scale, ones[:, None]], [ones[None, :], np.zeros((1, 1))]])
    return np.asarray(np.linalg.lstsq(system, np.append(np.zeros(len(gram)), 1.0), rcond=1e-9)[0][:-1])


def _distances(gram: Floats) -> Floats:
    """Squared distances between different parents."""
    squares = np.diag(gram)
    return np.asarray((squares[:, None] + squares[None, :] - 2.0 * gram)[np.triu_indices(len(gram), 1)])


def _size(blocks: Blocks, places: Sequence[tuple[str, int, int]]) -> float:
    """Sum of squares of these blocks."""
    return float(sum(np.sum(blocks[place].astype(np.float64) ** 2) for place in places))
