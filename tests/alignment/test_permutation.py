"""Exact tests hold their level whatever the tails, and see descent."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, norm

from forensics.alignment import (
    chernoff,
    combine,
    floored,
    joint_moments,
    joint_permutation_test,
    monte_carlo_p,
    normal_scores,
    sign_flip_test,
    swap_contrasts,
)

PAIRS = 400


def generator(seed: int) -> np.random.Generator:
    """The seeded generator every draw comes from."""
    return np.random.Generator(np.random.PCG64(seed))


def heavy_gains(rng: np.random.Generator, curves: int = 6, width: int = 48) -> np.ndarray:
    """Gains of one checkpoint: lognormal, outlier channels shared by all curves, Cauchy tails, (curves, width)."""
    importance = np.exp(rng.standard_normal(width)) + 20.0 * (rng.random(width) < 0.06)
    return np.abs(importance * (1 + 0.3 * rng.standard_normal((curves, width)))) + np.abs(
        rng.standard_cauchy((curves, width))
    )


def at_most(share: float, pairs: int) -> int:
    """Count of rejections that a test of level `share` exceeds with probability below 1e-4."""
    return int(binom.isf(1e-4, pairs, share))


@pytest.mark.parametrize("scores", [True, False], ids=["normal scores", "raw heavy tails"])
def test_joint_permutation_holds_its_level(scores: bool) -> None:
    """Over unrelated heavy-tailed pairs the share of p ≤ α does not exceed α, at 0.05 and 0.2, nor falls far below."""
    rng, p_values = generator(1), []
    for pair in range(PAIRS):
        a, b = heavy_gains(rng), heavy_gains(rng)
        if scores:
            a, b = (np.array([normal_scores(row) for row in side]) for side in (a, b))
        p_values.append(joint_permutation_test(a, b, draws=999, rng=generator(pair)).p)
    for level in (0.05, 0.2):
        rejected = sum(p <= level for p in p_values)
        assert rejected <= at_most(level, PAIRS)
        assert rejected >= binom.ppf(1e-4, PAIRS, level)


def test_sign_flips_hold_their_level_under_structured_magnitudes() -> None:
    """Shared magnitudes (rotary frequencies) and Cauchy tails leave the share of p ≤ 0.05 at 0.05."""
    rng, p_values = generator(2), []
    envelope = np.geomspace(1.0, 200.0, 64)
    for pair in range(PAIRS):
        a, b = (envelope * rng.standard_cauchy(64) for _ in range(2))
        p_values.append(sign_flip_test(a * b, draws=199, rng=generator(pair)).p)
    rejected = sum(p <= 0.05 for p in p_values)
    assert binom.ppf(1e-4, PAIRS, 0.05) <= rejected <= at_most(0.05, PAIRS)


def test_swap_bound_is_valid_far_out_even_where_outlier_channels_may_coincide() -> None:
    """Over 8,000 unrelated pairs with a few extreme channels the bound falls below α at most as often as α."""
    rng, bounds = generator(3), []
    for _ in range(8_000):
        a, b = (rng.standard_normal((3, 16)) + 30.0 * (rng.random(16) < 0.1) for _ in range(2))
        bounds.append(chernoff(swap_contrasts(a, b)))
    for level in (0.1, 0.01, 0.001):
        assert np.mean(np.array(bounds) <= level) <= level + 4 * math.sqrt(level / 8_000)


def test_drawing_stops_once_enough_is_known() -> None:
    """An unremarkable pair costs a few hundred draws instead of all, and its p-value is the share among those."""
    rng = generator(19)
    a, b = rng.standard_normal((2, 4, 64))
    found = joint_permutation_test(a, b, draws=99_999, rng=generator(20))
    assert found.exceeding == 100
    assert found.draws < 10_000
    assert found.p == 100 / found.draws
    assert found.p == pytest.approx(norm.sf(found.z), rel=0.5)


def test_a_normal_tail_would_lie_on_raw_outliers_and_is_right_on_normal_scores() -> None:
    """Raw outliers make the normal tail claim 1e-6 a thousand times too often; after ranks it holds its level."""
    rng, pairs = generator(4), 2_000
    raw: list[float] = []
    ranked: list[float] = []
    for _ in range(pairs):
        a, b = (rng.standard_normal((1, 64)) + 100.0 * (rng.random(64) < 0.03) for _ in range(2))
        for into, (x, y) in (
            (raw, (a, b)),
            (ranked, (normal_scores(a[0])[None], normal_scores(b[0])[None])),
        ):
            mean, spread = joint_moments(x, y)
            into.append(norm.sf((float(np.sum(x * y)) - mean) / spread))
    assert np.mean(np.array(raw) <= 1e-6) >= 1e-3
    assert np.mean(np.array(ranked) <= 1e-3) <= 1e-3 + 4 * math.sqrt(1e-3 / pairs)


def test_chernoff_reaches_the_exact_tail_of_equal_contributions() -> None:
    """Thirty equal contributions all in favour have probability 2^-30, and the bound says just that."""
    assert chernoff(np.full(30, 0.7)) == pytest.approx(2.0**-30, rel=1e-3)


def test_chernoff_never_undercuts_the_exact_probability() -> None:
    """Against full enumeration of 2^12 sign vectors the bound is never smaller than the true tail."""
    rng = generator(5)
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 12)).reshape(12, -1).T
    for _ in range(100):
        c = rng.standard_cauchy(12)
        assert chernoff(c) >= np.mean(signs @ c >= c.sum() - 1e-12) - 1e-12


@pytest.mark.parametrize("contributions", [np.zeros(5), -np.ones(4), np.array([])])
def test_no_agreement_is_no_evidence(contributions: np.ndarray) -> None:
    """Nothing in favour gives a bound of one, not an error."""
    assert chernoff(contributions) == 1.0
    assert sign_flip_test(contributions, draws=99, rng=generator(6)).p > 0.5


def test_joint_moments_match_simulation() -> None:
    """Hoeffding's mean and standard deviation are those of 20,000 random permutations."""
    rng = generator(7)
    a, b = heavy_gains(rng, 3, 20), heavy_gains(rng, 3, 20)
    drawn = [float(np.sum(a * b[:, rng.permutation(20)])) for _ in range(20_000)]
    mean, spread = joint_moments(a, b)
    assert np.mean(drawn) == pytest.approx(mean, abs=4 * spread / math.sqrt(20_000))
    assert np.std(drawn) == pytest.approx(spread, rel=0.05)


def test_repeating_a_curve_is_not_more_evidence() -> None:
    """Ten copies of one pair of curves give the same standardised statistic as the pair alone."""
    rng = generator(8)
    a = rng.standard_normal((1, 64))
    b = 0.3 * a + rng.standard_normal((1, 64))
    once, often = (
        joint_permutation_test(np.repeat(a, k, 0), np.repeat(b, k, 0), draws=199, rng=generator(9))
        for k in (1, 10)
    )
    assert once.z == pytest.approx(often.z)
    assert once.exceeding == often.exceeding
    assert once.bound == pytest.approx(often.bound)


def test_a_noisy_descendant_is_far_beyond_monte_carlo() -> None:
    """At width 64 a descendant with noise a third of the spread of its gains gets p ≤ 1e-6, from the rigorous bound."""
    rng = generator(10)
    a = rng.standard_normal((9, 64))
    found = joint_permutation_test(a, a + 0.33 * rng.standard_normal(a.shape), draws=999, rng=generator(11))
    assert found.exceeding == 0
    assert found.p == floored(found.bound) <= 1e-6


def test_wide_streams_are_sampled_and_many_units_bundled() -> None:
    """Above the memory limits a sample of channels and bundles of units still find a descendant."""
    rng = generator(12)
    a = rng.standard_normal((2, 9001))
    assert joint_permutation_test(a, a, draws=9, rng=generator(13)).exceeding == 0
    c = rng.standard_normal(20_000) + 0.2
    found = sign_flip_test(c, draws=99, rng=generator(14))
    assert found.units <= 4096
    assert found.p <= 1e-6


def test_the_method_says_whether_the_bound_spoke() -> None:
    """The sentence in the record names the draws, and the bound only where Monte Carlo was exhausted."""
    alike = sign_flip_test(np.ones(40), draws=99, rng=generator(17)).method("flips", "sign changes")
    unlike = sign_flip_test(np.array([1.0, -1.0]), draws=99, rng=generator(18)).method(
        "flips", "sign changes"
    )
    assert alike.startswith("Monte Carlo, 99 flips; none reached")
    assert "40 independent sign changes" in alike
    assert "Chernoff" not in unlike


def test_same_seed_same_numbers() -> None:
    """A test repeated with the same seed gives the same outcome in every field."""
    rng = generator(15)
    a, b = rng.standard_normal((2, 3, 40))
    first, second = (joint_permutation_test(a, b, draws=99, rng=generator(16)) for _ in range(2))
    assert first == second


def test_ties_and_constants_in_ranks() -> None:
    """Ties share a score, order is kept, and a constant vector becomes zeros instead of a division by zero."""
    scores = normal_scores(np.array([5.0, 1.0, 1.0, 9.0]))
    assert scores[1] == scores[2] < scores[0] < scores[3]
    assert not normal_scores(np.ones(7)).any()


def test_monte_carlo_while_it_resolves_then_the_bound() -> None:
    """A single exceeding draw decides; without one the smaller of resolution and bound, never below the floor."""
    assert combine(1, 9999, 1e-30) == monte_carlo_p(1, 9999) == 2e-4
    assert combine(0, 9999, 0.5) == 1e-4
    assert combine(0, 9999, 1e-8) == 1e-8
    assert combine(0, 9999, 0.0) == 1e-12
