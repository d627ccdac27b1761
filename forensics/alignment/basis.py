"""The residual basis between two models, from matched rows: polar factor, trace test, signed-permutation search.

Rows (n, d) and (n, d2) stand for the same objects (tokens, matched neurons) in two models. The polar factor Ũ of EᵀF is
the partial isometry nearest to it: a model and its copy give a projection in place, a copy with channels re-ordered or
negated a signed permutation of one. Sources: MDIR (arXiv 2508.06309) for the polar factor and the Haar bound; methods
§4.2 facts 1 to 3 and §4.3 P1 for the trace test. Known defeat: new embeddings; a dense rotation leaves no matching.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.assignment import match_rows
from forensics.alignment.permutation import SymmetryTest, joint_permutation_test, sign_flip_test

Floats = NDArray[np.float64]

RANK_TOLERANCE = 1e-6
"""Singular values below this share of the largest are noise of rounding."""
SEARCHED = 384
"""Channels for which a partner is searched: a sample, so that the assignment stays cheap at any width."""
CLEAR = 0.5
"""A channel's match is clear if its entry has this share of the squared length of its row, or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Polar:
    """Partial isometry Ũ = left · rightᵀ, kept as its factors; rank r is at most the rows less one."""

    left: Floats
    """(d, r), orthonormal columns; moves with the channels of the first model alone."""
    right: Floats
    """(d2, r), orthonormal columns; moves with the channels of the second model alone."""

    @property
    def rank(self) -> int:
        """Rank of Ũ, also its squared Frobenius norm."""
        return int(self.left.shape[1])

    def diagonal(self) -> Floats:
        """Entries Ũᵢᵢ of the channels both have, shape (min(d, d2),)."""
        common = min(len(self.left), len(self.right))
        return np.asarray(np.einsum("ir,ir->i", self.left[:common], self.right[:common]))


def polar_factor(first: NDArray[np.floating], second: NDArray[np.floating]) -> Polar | None:
    """Polar factor of EᵀF with the mean row removed from both; None if nothing is left or anything is not finite.

    Equivariant: signed permutations (any orthogonal map) of either side's channels act on Ũ alone. Costs two thin QR
    factorisations and an SVD of at most rows × rows.
    """
    sides = [np.asarray(side, np.float64) for side in (first, second)]
    if any(s.ndim != 2 or not s.size for s in sides) or len(sides[0]) != len(sides[1]):
        return None
    with np.errstate(all="ignore"):
        sides = [side - side.mean(axis=0) for side in sides]
        sizes = [float(np.sqrt(np.sum(side * side))) for side in sides]
    if not all(math.isfinite(size) and size > 0.0 for size in sizes):
        return None
    (q_1, r_1), (q_2, r_2) = (np.linalg.qr(side.T / size) for side, size in zip(sides, sizes, strict=True))
    try:
        u, s, v = np.linalg.svd(r_1 @ r_2.T, full_matrices=False)
    except np.linalg.LinAlgError:  # did not converge
        return None
    kept = s > RANK_TOLERANCE * s[0] if s.size else np.zeros(0, bool)
    if not kept.any() or s[0] <= 0.0:
        return None
    return Polar(left=q_1 @ u[:, kept], right=q_2 @ v[kept].T)


def trace_test(polar: Polar, *, flips: bool, draws: int, rng: np.random.Generator) -> SymmetryTest:
    """Tests t = tr Ũ in place, one-sided, exact by symmetry of the residual stream whatever the token geometry is.

    With `flips` (RMSNorm) the signs of channels are free and the contributions Ũᵢᵢ flip one by one. Without (LayerNorm
    subtracts the mean over channels, which ties the signs together) one permutation of the channels of the wider side
    is drawn, which leaves the null where it is: Σᵢ Ũᵢ,π(i), centred at its exact mean.
    """
    if flips:
        return sign_flip_test(polar.diagonal(), draws=draws, rng=rng)
    wide, narrow = (
        (polar.left, polar.right) if len(polar.left) >= len(polar.right) else (polar.right, polar.left)
    )
    padded = np.zeros_like(wide)
    padded[: len(narrow)] = narrow
    return joint_permutation_test(wide.T, padded.T, draws=draws, rng=rng)


def haar_bound(matched: float, energy: float, searched: int, width: int) -> float:
    """ln of a bound on P(some signed injection of `searched` channels into `width` has Σ|Ũ| ≥ `matched`), if Ũ is Haar.

    Union over 2ᵏ·d!/(d−k)! signed injections of the sub-Gaussian tail exp(−d·S² / 2v): given the left factor, Σ is
    linear in a Haar frame, with coefficients of squared length v = `energy`, the squared length of the searched rows of
    Ũ. For a full Ũ and k = d this is ln d! + d ln 2 − d²α²/2. Haar is an assumption about trained
    models, not a symmetry: never an exact p-value.
    """
    if energy <= 0.0 or matched <= 0.0:
        return 0.0
    return min(0.0, _injections(searched, width) - width * matched**2 / (2.0 * energy))


def _injections(searched: int, width: int) -> float:
    """ln of the number of signed injections of `searched` channels into `width`."""
    return searched * math.log(2.0) + math.lgamma(width + 1) - math.lgamma(width - searched + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedMatch:
    """The best signed permutation found, over a sample of channels of the narrower side."""

    channels: NDArray[np.intp]
    """Channels of the narrower side, shape (k,)."""
    partners: NDArray[np.intp]
    """Their channels on the wider side."""
    signs: Floats
    """Their signs, ±1."""
    clear: NDArray[np.bool_]
    """Whether each match stands out (`CLEAR`)."""
    alpha: float
    """Mean matched |Ũ|."""
    floor: float
    """α at which the Haar bound becomes 1: what chance can reach."""
    ceiling: float
    """α of an exact copy: mean squared length of the searched rows."""
    ln_bound: float
    """ln of the Haar-model bound on the probability of α."""

    @property
    def excess(self) -> float:
        """(α − floor) / (ceiling − floor): 1 for a copy in whatever order, below 0 for what chance reaches."""
        return (self.alpha - self.floor) / (self.ceiling - self.floor)

    @property
    def moved(self) -> float:
        """Share of the clear matches that are not in place with their own sign; 0 if none is clear."""
        away = (self.channels != self.partners) | (self.signs < 0.0)
        return float(np.mean(away[self.clear])) if self.clear.any() else 0.0


def signed_permutation(polar: Polar, *, rng: np.random.Generator, most: int = SEARCHED) -> SignedMatch | None:
    """The signed matching of at most `most` channels that maximises Σ|Ũ|; None where a copy could not stand out.

    Invariant under signed permutations of either side but for the sample, which is why it has no permutation p-value
    (methods §4.2, fact 2). None if floor ≥ half the ceiling: too few rows for the width.
    """
    narrow, wide = (
        (polar.left, polar.right) if len(polar.left) <= len(polar.right) else (polar.right, polar.left)
    )
    count, width = min(len(narrow), most), len(wide)
    channels = np.sort(rng.choice(len(narrow), count, replace=False))
    table = narrow[channels] @ wide.T
    lengths = np.sum(table**2, axis=1)
    energy = float(lengths.sum())
    floor = math.sqrt(2.0 * energy * _injections(count, width) / width) / count
    ceiling = energy / count
    if not ceiling > 2.0 * floor:
        return None
    partners = match_rows(np.abs(table))
    entries = table[np.arange(count), partners]
    matched = float(np.abs(entries).sum())
    return SignedMatch(
        channels=channels.astype(np.intp),
        partners=partners,
        signs=np.where(entries < 0.0, -1.0, 1.0),
        clear=entries**2 >= CLEAR * np.maximum(lengths, 1e-12) * min(1.0, ceiling),
        alpha=matched / count,
        floor=floor,
        ceiling=ceiling,
        ln_bound=haar_bound(matched, energy, count, width),
    )


def explained(first: NDArray[np.floating], second: NDArray[np.floating]) -> float | None:
    """Cosine of held-out rows under the polar factor of the others, in [−1, 1]; None where it cannot be fitted.

    No evidence of descent: independent models that know the same tokens are nearly isometric (methods §4.2, fact 3).
    """
    polar = polar_factor(first[::2], second[::2])
    if polar is None:
        return None
    a, b = (np.asarray(s[1::2], np.float64) for s in (first, second))
    a, b = (a - a.mean(axis=0)) @ polar.left, (b - b.mean(axis=0)) @ polar.right
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.sum(a * b) / lengths) if lengths > 1e-30 else None
