"""Assignments and their nulls: optimal matchings, layer alignment, closed-form p-values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from forensics import alignment


def rng(seed: int) -> np.random.Generator:
    """A seeded generator."""
    return np.random.Generator(np.random.PCG64(seed))


def test_matching_is_the_best_of_all_matchings() -> None:
    """No other one-to-one matching of rows to columns has a larger sum."""
    similarity = rng(0).standard_normal((4, 6))
    found = alignment.match_rows(similarity)
    best = max(sum(similarity[i, j] for i, j in enumerate(p)) for p in itertools.permutations(range(6), 4))
    assert similarity[np.arange(4), found].sum() == pytest.approx(best)


def test_more_rows_than_columns_leave_rows_without_partner() -> None:
    """Rectangular matching marks the rows that got no column, and uses each column once."""
    found = alignment.match_rows(rng(1).standard_normal((5, 3)))
    assert sorted(found.tolist()) == [-1, -1, 0, 1, 2]


def test_numbers_that_are_not_finite_are_least_similar() -> None:
    """NaN and infinity never win a match and never crash; without any finite entry nobody is matched."""
    similarity = np.eye(3)
    similarity[0, 1], similarity[2, 0] = np.nan, np.inf
    assert alignment.match_rows(similarity).tolist() == [0, 1, 2]
    assert alignment.match_rows(np.full((2, 2), np.nan)).tolist() == [-1, -1]


def test_agreement_counts_rows_that_both_matchings_place() -> None:
    """Rows without a partner on either side do not count; nothing to count is no agreement."""
    first, second = np.array([0, 1, 2, -1, 4]), np.array([0, 2, 2, 3, -1])
    assert alignment.agreement(first, second) == pytest.approx(2 / 3)
    assert alignment.agreement(first, np.full(5, -1)) == 0.0


def test_stratified_z_agrees_with_permuting_within_strata() -> None:
    """The closed-form null equals a Monte Carlo permutation of one matching within strata of importance."""
    generator = rng(3)
    first, second = generator.permutation(32), generator.permutation(32)
    second[:6] = first[:6]
    importance = generator.standard_normal(32)
    z = alignment.stratified_z(first, second, importance, strata=4)
    stratum = stats.rankdata(importance, method="ordinal").astype(int) - 1
    counts = []
    for _ in range(4000):
        shuffled = second.copy()
        for s in range(4):
            inside = np.flatnonzero(stratum * 4 // 32 == s)
            shuffled[inside] = second[generator.permutation(inside)]
        counts.append(np.sum(shuffled == first))
    variance = max(np.var(counts), 1.0)
    assert z == pytest.approx((np.sum(first == second) - np.mean(counts)) / np.sqrt(variance), abs=0.15)


def test_stratified_z_sees_through_matching_by_importance() -> None:
    """Two matchings that only pair like importance with like importance are unremarkable within strata."""
    generator = rng(4)
    base, importance = np.arange(160), np.arange(160.0)
    zs = []
    for _ in range(60):
        shuffled = [
            np.concatenate([generator.permutation(base[i : i + 10]) for i in range(0, 160, 10)]) for _ in "ab"
        ]
        zs.append(alignment.stratified_z(shuffled[0], shuffled[1], importance))
    assert abs(np.mean(zs)) < 0.5  # without strata these agree ten times more often than chance
    assert alignment.stratified_z(base, base, importance) > 10


def test_spearman_equals_the_reference_and_is_one_sided() -> None:
    """ρ is Spearman's, p that of Student's t for large ρ only, and floors instead of underflowing."""
    generator = rng(5)
    a = generator.permutation(60)
    b = a + 20 * generator.standard_normal(60)
    rho, p = alignment.spearman(a, b)
    expected = stats.spearmanr(a, b, alternative="greater")
    assert rho == pytest.approx(expected.statistic, abs=1e-12)
    assert p == pytest.approx(expected.pvalue, rel=1e-9)
    assert alignment.spearman(a, -b)[1] > 0.99
    assert 0.0 < alignment.spearman(np.arange(5000), np.arange(5000))[1] <= 1e-299
    assert alignment.spearman(np.arange(3), np.arange(3)) == (0.0, 1.0)


def test_spearman_p_is_honest_for_the_smallest_samples_used() -> None:
    """For 16 neurons the closed form rejects a random order at level 0.05 and 0.001 about as often as it says."""
    generator = rng(6)
    ps = np.array([alignment.spearman(np.arange(16), generator.permutation(16))[1] for _ in range(4000)])
    assert abs(np.mean(ps <= 0.05) - 0.05) < 0.015
    assert np.mean(ps <= 0.001) < 0.003


def test_fisher_equals_the_reference_and_needs_evidence() -> None:
    """Fisher's combination is the reference's; of nothing it is 1, and of p-values of zero it stays a number."""
    ps = [0.2, 0.01, 0.7]
    assert alignment.fisher(ps) == pytest.approx(stats.combine_pvalues(ps).pvalue, rel=1e-9)
    assert alignment.fisher([]) == 1.0
    assert 0.0 <= alignment.fisher([0.0, 1.0]) < 1e-200
