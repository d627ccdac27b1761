"""Merges: one set of blocks as a mean of several others, by least squares with shares that sum to one.

X ≈ Y₀ + Σ βₖ (Yₖ − Y₀), β₀ = 1 − Σ βₖ, over all and layer by layer. gain = 1 − ‖X − mixture‖ / ‖X − nearest parent‖
with shares of each layer's own, as tools for merging allow. Parents must correspond to X coordinate by coordinate.
Linear merges gain .94 and more in the zoo. A gain of .30, where published work draws the line (methods §4.3 P7), is
not enough: a merge beside one of its parents and their base reads .30, the stages of a single training up to .45, since
any model on the way from one to another lies between them. Known defeats: any gauge; TIES and DARE (gain .00 to .32);
training on after the merge (.40 for noise of a tenth of the weights' spread).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.blocks import Blocks, Place

BETWEEN, GAIN, STRAIGHT = 0.30, 0.60, 0.90
"""Gain over the nearest parent alone at which a model lies between others, is told as their mixture, and lies so
straight between them that it, and none of them, was made from the rest."""
PART = 0.05
"""Least share of a parent that takes part."""
SIMPLER = 0.7
"""A further parent must bring what is left below this share of what was left without it."""
PARENTS_MOST = 4
APART = 1e-6
"""Parents whose difference is below this share of their own size are one and the same."""

Floats = NDArray[np.float64]
Kind: TypeAlias = Literal["merge", "stack", "reverse", "arithmetic", "between", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Distances:
    """Inner products ⟨X − Yᵢ, X − Yⱼ⟩ of the differences between one set of blocks and several others, by layer."""

    by_layer: Mapping[int, Floats]
    size: float
    """‖X‖²."""

    @property
    def total(self) -> Floats:
        """Over all layers."""
        return np.asarray(np.sum(list(self.by_layer.values()), axis=0), np.float64)

    def of(self, chosen: Sequence[int]) -> Distances:
        """Of some of the others only."""
        pick = np.ix_(chosen, chosen)
        return Distances(by_layer={n: gram[pick] for n, gram in self.by_layer.items()}, size=self.size)

    def apart(self) -> Floats:
        """Squared distances between the others (n, n)."""
        squares = np.diag(self.total)
        return np.asarray(squares[:, None] + squares[None, :] - 2.0 * self.total)

    def cosine_at(self, middle: int, other: int) -> float:
        """Cosine of X − Y and Z − Y, seen from Y = `middle`: near 0 where X and Z left or passed Y independently."""
        gram = self.total
        lengths = np.sqrt(gram[middle, middle] * max(0.0, self.apart()[middle, other]))
        return float((gram[middle, middle] - gram[middle, other]) / lengths) if lengths > 0.0 else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """How one set of blocks is made of others."""

    parents: tuple[int, ...]
    """Positions of those that were needed."""
    shares: tuple[float, ...]
    """Of each of these, summing to one; negative where a parent was subtracted."""
    by_layer: Mapping[int, tuple[float, ...]]
    gain: float
    """Share of the distance to the nearest parent that the mixture explains, 0 to 1."""
    nearest: int
    """Which of all alone is nearest."""

    @property
    def kind(self) -> Kind:
        """A merge, a stack of whole layers, a parent of a merge (`reverse`), sums and differences, or nothing of it."""
        inside = min(self.shares) >= -PART
        taking_part = sum(abs(share) >= PART for share in self.shares)
        if self.gain < BETWEEN or taking_part < 2 or (self.gain < GAIN and not inside):
            return "none"
        if self.gain < GAIN:
            return "between"
        if inside:
            return "stack" if all(max(of) >= 1.0 - PART for of in self.by_layer.values()) else "merge"
        beyond = [share > 1.0 + PART for share in self.shares]
        rest = [share for share in self.shares if share <= 1.0 + PART]
        return "reverse" if sum(beyond) == 1 and max(rest) <= PART else "arithmetic"

    @property
    def is_merge(self) -> bool:
        """Whether several parents are needed, with gain enough to say so."""
        return self.kind in {"merge", "stack", "arithmetic"}

    @property
    def is_straight(self) -> bool:
        """Whether it lies so straight between its parents, in half of the layers, that it can only be their child."""
        inner = [min(shares) >= PART for shares in self.by_layer.values()]
        return self.gain >= STRAIGHT and 2 * sum(inner) >= len(inner)


def distances(child: Blocks, others: Sequence[Blocks]) -> Distances | None:
    """Over the blocks that all have, in equal shape; None without any."""
    places = [
        place
        for place, block in sorted(child.items())
        if all(place in other and other[place].shape == block.shape for other in others)
    ]
    if not places or not others:
        return None
    by_layer: dict[int, Floats] = {}
    for place in places:
        by_layer[place[1]] = by_layer.get(place[1], np.zeros(())) + _gram(child, others, place)
    size = float(sum(np.sum(child[place].astype(np.float64) ** 2) for place in places))
    return Distances(by_layer=by_layer, size=size)


def mixture(found: Distances) -> Mixture | None:
    """The fewest parents, two or more, without which much more would be left; None without two that differ."""
    alone = np.diag(found.total)
    differ = found.apart() > APART**2 * found.size
    pairs = [list(pair) for pair in combinations(range(len(alone)), 2) if differ[pair]]
    if not pairs:
        return None
    chosen = min(pairs, key=lambda pair: (_left(found.of(pair)), pair))
    left = _left(found.of(chosen))
    while len(chosen) < min(PARENTS_MOST, len(alone)):
        more = [[*chosen, k] for k in range(len(alone)) if all(differ[k, j] for j in chosen)]
        best = min(more, key=lambda some: (_left(found.of(some)), some), default=chosen)
        if _left(found.of(best)) > SIMPLER * left or left <= (APART**2 * found.size) ** 0.5:
            break
        chosen, left = best, _left(found.of(best))
    of_these = found.of(sorted(chosen))
    nearest = int(np.argmin(alone))
    best_alone = float(np.sqrt(alone[nearest]))
    return Mixture(
        parents=tuple(sorted(chosen)),
        shares=_told(of_these.total),
        by_layer={n: _told(gram) for n, gram in sorted(of_these.by_layer.items())},
        gain=1.0 - left / best_alone if best_alone > 0.0 else 0.0,
        nearest=nearest,
    )


def _left(found: Distances) -> float:
    """What a mixture with shares of each layer's own leaves."""
    fits = ((gram, _shares(gram)) for gram in found.by_layer.values())
    return float(np.sqrt(max(0.0, sum(float(shares @ gram @ shares) for gram, shares in fits))))


def _gram(child: Blocks, others: Sequence[Blocks], place: Place) -> Floats:
    """Inner products of the child's distances to the others: with β summing to one, βᵀGβ is what is left."""
    apart = np.stack([(child[place].astype(np.float64) - other[place]).ravel() for other in others])
    return np.asarray(apart @ apart.T, np.float64)


def _told(gram: Floats) -> tuple[float, ...]:
    return tuple(float(one) for one in _shares(gram))


def _shares(gram: Floats) -> Floats:
    """β with sum one that makes βᵀGβ least; parents that cannot be told apart share alike."""
    ones = np.ones(len(gram))
    scale = float(np.trace(gram))
    if scale <= 0.0:
        return ones / len(gram)
    system = np.block([[gram / scale, ones[:, None]], [ones[None, :], np.zeros((1, 1))]])
    return np.asarray(np.linalg.lstsq(system, np.append(np.zeros(len(gram)), 1.0), rcond=1e-9)[0][:-1])
