"""Exact tests by symmetry: permutations of channels and flips of signs that leave the null's law unchanged.

If initialisation is exchangeable over an index and training treats every index alike, then an unrelated checkpoint
is as likely as any of its permuted (or sign-flipped) copies (methods §4.2, fact 1). Comparing the observed agreement
with the agreement of such copies gives a p-value that assumes nothing about how trained weights are distributed.
Every subgroup of the symmetry group gives a valid test too; the bounds below rest on subgroups of independent
sign changes, whose tail is bounded rigorously, so that no normal approximation is ever printed as a p-value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forensics.readings import P_FLOOR

Floats = NDArray[np.float64]

WIDEST = 4096
"""Monte Carlo permutes at most this many channels (a seeded sample of them), so that memory stays bounded."""
ENOUGH = 100
"""Exceeding draws after which Monte Carlo stops: p is then known to a tenth of itself (Besag and Clifford 1991)."""
BUNDLES = 4096
"""Sign changes are drawn for at most this many bundles of units: a subgroup, hence as exact."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SymmetryTest:
    """Outcome of an exact one-sided test against a symmetry group."""

    p: float
    """Reported p-value, in [1e-12, 1]; see `combine`."""
    z: float
    """Observed statistic in standard deviations of its exact null distribution about its exact null mean."""
    exceeding: int
    """Monte Carlo draws that reached the observed statistic."""
    draws: int
    """Draws made: fewer than asked for where enough had exceeded before."""
    bound: float
    """Chernoff bound of the sign-change subgroup."""
    units: int
    """Independent sign changes behind `bound`."""

    def method(self, copies: str, subgroup: str) -> str:
        """How `p` came about, in words: `copies` names what was drawn, `subgroup` what the bound is over."""
        drawn = f"Monte Carlo, {self.draws} {copies}"
        if self.exceeding:
            return f"{drawn}; {self.exceeding} reached the observed agreement"
        return (
            f"{drawn}; none reached the observed agreement, so p is the smaller of 1/{self.draws + 1} and a Chernoff "
            f"bound ({self.bound:.1g}) over {self.units} independent {subgroup}; no normal approximation is involved"
        )


def floored(p: float) -> float:
    """`p` within [1e-12, 1]: below, the model behind any null is the larger error (methods §4.5)."""
    return float(min(1.0, max(P_FLOOR, p)))


def monte_carlo_p(exceeding: int, draws: int, *, stopped: bool = False) -> float:
    """(1 + exceeding) / (1 + draws), or exceeding / draws where drawing stopped at a fixed number of exceeding ones.

    Both are valid at every level, whatever the number of draws (Besag and Clifford 1991, sequential Monte Carlo).
    """
    return exceeding / draws if stopped else (1 + exceeding) / (1 + draws)


def combine(exceeding: int, draws: int, bound: float, *, stopped: bool = False) -> float:
    """Monte Carlo's p-value while it resolves; once no draw reached the observation, the smaller of it and the bound.

    Valid at every level α, given two tests that each are. For α ≥ 1/(1 + draws) the event p ≤ α is Monte Carlo's own,
    and for smaller α it is contained in bound ≤ α. The two need neither be independent nor test the same statistic.
    """
    resolution = monte_carlo_p(exceeding, draws, stopped=stopped)
    return floored(resolution if exceeding else min(resolution, bound))


def chernoff(contributions: Floats) -> float:
    """Bound on P(Σ sᵢcᵢ ≥ Σ cᵢ) over independent fair signs sᵢ: min over λ of Π cosh(λcᵢ) · exp(−λ Σ cᵢ).

    Never above Hoeffding's exp(−(Σc)² / 2Σc²), reaches the exact 2⁻ⁿ when all n contributions are equal and positive,
    and is rigorous at any n and for any tails: a few large contributions make it large. Any λ gives a valid bound,
    so a grid loses tightness only.
    """
    scale = float(np.sqrt(np.sum(contributions**2)))
    total = float(np.sum(contributions))
    if scale == 0.0 or total <= 0.0:
        return 1.0
    sizes = np.abs(contributions) / scale
    slopes = np.geomspace(0.05, 50.0 * max(1.0, math.sqrt(sizes.size)), 160)
    steep = slopes[:, None] * sizes
    # log cosh(x) = x + log1p(exp(−2x)) − log 2, without overflow
    log_means = np.sum(steep + np.log1p(np.exp(-2.0 * steep)) - math.log(2.0), axis=1)
    return math.exp(min(0.0, float(np.min(log_means - slopes * (total / scale)))))


def sign_flip_test(contributions: Floats, *, draws: int, rng: np.random.Generator) -> SymmetryTest:
    """Tests Σ cᵢ against independent fair flips of the signs of the contributions, shape (units,), one-sided.

    Under the null each unit's contribution is as likely as its negative, whatever the magnitudes: structure in the
    magnitudes (rotary frequencies, outlier channels) can neither create nor inflate significance.
    """
    c = np.asarray(contributions, np.float64).ravel()
    if c.size > BUNDLES:  # one common sign per bundle of units, assigned at random
        c = np.zeros(BUNDLES) + np.bincount(rng.permutation(c.size) % BUNDLES, weights=c)
    scale, total = float(np.sqrt(np.sum(c**2))), float(np.sum(c))
    if scale == 0.0:
        return SymmetryTest(p=1.0, z=0.0, exceeding=draws, draws=draws, bound=1.0, units=c.size)
    exceeding = 0
    for start in range(0, draws, 512):
        signs = rng.integers(0, 2, size=(min(512, draws - start), c.size), dtype=np.int8) * 2.0 - 1.0
        exceeding += int(np.count_nonzero(signs @ c >= total - 1e-9 * scale))
    bound = chernoff(c)
    return SymmetryTest(
        p=combine(exceeding, draws, bound),
        z=total / scale,
        exceeding=exceeding,
        draws=draws,
        bound=bound,
        units=int(np.count_nonzero(c)),
    )


def mean_ranks(values: NDArray[np.floating]) -> Floats:
    """Ranks from 1, ties at their mean, shape (n,) to (n,): scipy.stats has them too, at half a second per import."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[inverse], np.float64)


def normal_scores(values: NDArray[np.floating]) -> Floats:
    """Van der Waerden's scores Φ⁻¹(rank / (n + 1)), ties at their mean rank, standardised; zeros if constant.

    Shape (n,) to (n,). Makes a correlation indifferent to outlier channels, and to any monotone change of scale.
    """
    from scipy.special import ndtri

    scores = ndtri(mean_ranks(values) / (values.size + 1.0))
    scores = scores - scores.mean()
    spread = float(np.sqrt(np.mean(scores**2)))
    return np.asarray(scores / spread if spread > 1e-12 else np.zeros(values.size), np.float64)


def signed_scores(values: NDArray[np.floating]) -> Floats:
    """Sign times the half-normal score of the magnitude's rank, shape (n,) to (n,); zero stays zero.

    Odd in every coordinate, so that flipping signs before or after is the same; heavy tails are gone.
    """
    from scipy.special import ndtri

    ranks = mean_ranks(np.abs(values)) / (values.size + 1.0)
    return np.asarray(np.sign(values) * ndtri((1.0 + ranks) / 2.0), np.float64)


def joint_moments(first: Floats, second: Floats) -> tuple[float, float]:
    """Exact mean and standard deviation of Σᵢ aᵢ·b_π(i) over uniform permutations π (Hoeffding 1951).

    `first`, `second`: (curves, channels). The variance is Σ over pairs of curves of the product of their centred Gram
    matrices, divided by n − 1, so that curves which repeat each other are not counted twice.
    """
    n = first.shape[1]
    mean = float(first.mean(axis=1) @ second.mean(axis=1)) * n
    a = first - first.mean(axis=1, keepdims=True)
    b = second - second.mean(axis=1, keepdims=True)
    variance = float(np.sum((a @ a.T) * (b @ b.T))) / max(1, n - 1)
    return mean, math.sqrt(max(0.0, variance))


def joint_permutation_test(
    first: Floats, second: Floats, *, draws: int, rng: np.random.Generator
) -> SymmetryTest:
    """Tests Σᵢ aᵢ·bᵢ against one permutation of the channels applied to all curves at once, one-sided.

    `first`, `second`: (curves, channels), finite. Curves that share the residual stream share its permutation, so they
    are summed and permuted jointly, never combined as if they were independent (methods §4.2, fact 1). The bound
    uses the subgroup that swaps channels within the pairs `swap_contrasts` forms.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    mean, spread = joint_moments(a, b)
    z = (float(np.sum(a * b)) - mean) / spread if spread > 0.0 else 0.0
    contrasts = swap_contrasts(a, b)
    bound = chernoff(contrasts)
    exceeding, drawn = (draws, draws) if spread == 0.0 else _exceeding(a, b, draws, rng)
    return SymmetryTest(
        p=combine(exceeding, drawn, bound, stopped=exceeding == ENOUGH),
        z=z,
        exceeding=exceeding,
        draws=drawn,
        bound=bound,
        units=contrasts.size,
    )


def _exceeding(a: Floats, b: Floats, draws: int, rng: np.random.Generator) -> tuple[int, int]:
    """How many random permutations reach the observed sum, of how many drawn."""
    if a.shape[1] > WIDEST:
        kept = np.sort(rng.choice(a.shape[1], WIDEST, replace=False))
        a, b = a[:, kept], b[:, kept]
    table = (a.T @ b).astype(np.float32)  # table[i, j]: channel i of the one put on channel j of the other
    rows = np.arange(table.shape[0])
    observed = float(table[rows, rows].sum(dtype=np.float64))
    slack = 1e-6 * float(np.abs(table[rows, rows]).sum(dtype=np.float64))
    exceeding = 0
    for drawn in range(1, draws + 1):
        drawn_sum = float(table[rows, rng.permutation(rows.size)].sum(dtype=np.float64))
        exceeding += drawn_sum >= observed - slack
        if exceeding == ENOUGH:
            return exceeding, drawn
    return exceeding, draws


def swap_contrasts(first: Floats, second: Floats) -> Floats:
    """What each pair of channels gains by not being swapped: (aᵢ − aⱼ)·(bᵢ − bⱼ), shape (channels // 2,).

    Under the null, swapping i and j in `first` changes nothing, pair by pair independently. The pairs may depend on
    `second` alone: it is ordered along its leading direction over channels, and rank k is paired with rank k + n/2,
    which makes the contrasts as equal as possible and the test powerful.
    """
    n = first.shape[1]
    centred = second - second.mean(axis=1, keepdims=True)
    _, vectors = np.linalg.eigh(centred @ centred.T)
    order = np.argsort(vectors[:, -1] @ centred, kind="stable")
    low, high = order[: n // 2], order[n - n // 2 :]
    return np.einsum(
        "cp,cp->p", first[:, low] - first[:, high], second[:, low] - second[:, high], optimize=True
    )
