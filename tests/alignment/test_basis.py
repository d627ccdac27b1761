"""Basis of the residual stream: polar factor, trace test, search and Haar bound."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom

from forensics.alignment import explained, haar_bound, polar_factor, signed_permutation, trace_test

Array = np.ndarray


def generator(seed: int = 0) -> np.random.Generator:
    """A generator of its own for every use."""
    return np.random.Generator(np.random.PCG64(seed))


def semantic(seed: int, rows: int = 200, width: int = 48) -> Array:
    """Rows that share one token geometry over seeds, in a random basis of which three channels stand out."""
    rng = generator(seed)
    shared = generator(99).standard_normal((rows, 24)) @ rng.standard_normal((24, width))
    outliers = np.where(rng.permutation(width) < 3, 12.0, 1.0)
    return (shared + 2.0 * rng.standard_normal((rows, width))) * outliers


def signed(seed: int, width: int) -> Array:
    """A random signed permutation matrix."""
    rng = generator(seed)
    return np.eye(width)[rng.permutation(width)] * rng.choice([-1.0, 1.0], width)


@pytest.mark.parametrize("rows", [30, 200])
def test_the_polar_factor_is_a_partial_isometry_that_moves_with_either_side(rows: int) -> None:
    """Ũ has orthonormal factors of rank min(n − 1, d), and acting on a side's channels acts on its factor alone."""
    a, b, move = semantic(1, rows), semantic(2, rows), signed(3, 48)
    plain, moved = polar_factor(a, b), polar_factor(a @ move, b)
    assert plain is not None
    assert moved is not None
    assert plain.rank == min(rows - 1, 48)
    np.testing.assert_allclose(plain.left.T @ plain.left, np.eye(plain.rank), atol=1e-9)
    np.testing.assert_allclose(move.T @ plain.left @ plain.right.T, moved.left @ moved.right.T, atol=1e-7)


def test_a_copy_gives_a_projection_in_place() -> None:
    """For equal rows tr Ũ equals the rank, and added constants change nothing."""
    rows = semantic(1, 30)
    polar = polar_factor(rows, rows + 5.0)
    assert polar is not None
    assert polar.diagonal().sum() == pytest.approx(polar.rank)


@pytest.mark.parametrize(
    "bad", [np.zeros((40, 8)), np.full((40, 8), np.nan), np.ones((40, 8)), np.ones((0, 8))]
)
def test_rows_without_direction_have_no_polar_factor(bad: Array) -> None:
    """Zero, NaN, constant and missing rows give None, not an error."""
    good = generator().standard_normal((40, 8))
    assert polar_factor(bad, good) is None
    assert polar_factor(good, bad) is None


@pytest.mark.parametrize("flips", [True, False])
@pytest.mark.parametrize("narrow", [48, 32])
def test_the_level_holds_with_shared_semantics_and_outlier_channels(flips: bool, narrow: int) -> None:
    """Of 150 unrelated pairs with one token geometry no more reject at 0.05 and 0.3 than a binomial allows."""
    p_values = []
    for n in range(150):
        polar = polar_factor(semantic(2 * n, 60), semantic(2 * n + 1, 60, narrow))
        assert polar is not None
        p_values.append(trace_test(polar, flips=flips, draws=199, rng=generator(n)).p)
    for level in (0.05, 0.3):
        assert np.count_nonzero(np.array(p_values) <= level) <= binom.ppf(0.9999, 150, level)


@pytest.mark.parametrize("flips", [True, False])
def test_a_copy_in_place_is_beyond_monte_carlo_and_a_moved_one_is_not(flips: bool) -> None:
    """Noise as large as a tenth leaves p ≤ 1e-6 in place; after a signed permutation p says nothing."""
    base = semantic(5)
    child = base + 0.1 * base.std() * generator(6).standard_normal(base.shape)
    for move, found in ((np.eye(48), True), (signed(7, 48), False)):
        polar = polar_factor(child @ move, base)
        assert polar is not None
        p = trace_test(polar, flips=flips, draws=499, rng=generator(8)).p
        assert p <= 1e-6 if found else p > 1e-3


def test_the_search_finds_a_signed_permutation_exactly() -> None:
    """Of a moved copy every clear partner and sign is the true one, and the excess is near 1."""
    base, move = semantic(9), signed(10, 48)
    polar = polar_factor(base + 0.05 * semantic(11), base @ move)
    assert polar is not None
    match = signed_permutation(polar, rng=generator(), most=40)
    assert match is not None
    assert match.excess > 0.9
    assert match.moved > 0.9
    truth = move[match.channels]
    assert (match.partners == np.abs(truth).argmax(axis=1)).all()
    assert (match.signs == truth.sum(axis=1)).all()


def test_the_search_finds_channels_that_width_pruning_kept() -> None:
    """With half of the channels dropped the rest are matched to their places among all."""
    base = generator(1).standard_normal((300, 64))
    kept = np.sort(generator(2).choice(64, 32, replace=False))
    polar = polar_factor(base[:, kept], base)
    assert polar is not None
    match = signed_permutation(polar, rng=generator())
    assert match is not None
    assert (match.partners == kept[match.channels]).all()
    assert match.excess > 0.5


@pytest.mark.parametrize(("rows", "width"), [(400, 64), (60, 128), (150, 256)])
def test_the_floor_lies_above_what_unrelated_rows_reach(rows: int, width: int) -> None:
    """Over 12 unrelated Gaussian pairs, also of fewer rows than channels, the excess stays below 0, not far below."""
    for n in range(12):
        rng = generator(n)
        polar = polar_factor(rng.standard_normal((rows, width)), rng.standard_normal((rows, width)))
        assert polar is not None
        match = signed_permutation(polar, rng=rng)
        if match is not None:
            assert -0.35 < match.excess < 0.0
            assert match.ln_bound == 0.0


def test_the_haar_bound_of_a_full_matrix_is_the_published_one() -> None:
    """For k = d and energy d it reads ln d! + d ln 2 − d²α²/2, and never exceeds 0."""
    d, alpha = 256, 0.25
    expected = math.lgamma(d + 1) + d * math.log(2.0) - d * d * alpha * alpha / 2.0
    assert haar_bound(d * alpha, d, d, d) == pytest.approx(expected)
    assert haar_bound(0.1 * d, d, d, d) == 0.0


def test_a_dense_rotation_explains_held_out_rows_but_is_not_matched() -> None:
    """A rotated copy has no signed matching above chance although its rotation explains the other rows."""
    base = generator(1).standard_normal((300, 64))
    turned = base @ np.linalg.qr(generator(2).standard_normal((64, 64)))[0]
    polar = polar_factor(base, turned)
    assert polar is not None
    match = signed_permutation(polar, rng=generator())
    assert match is not None
    assert match.excess < 0.0
    assert (explained(base, turned) or 0.0) > 0.99
