"""Token kernels: what U-centring, whitening, packing and projecting out leave alone, and what they remove."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics import alignment


def gram(seed: int, tokens: int = 40, features: int = 6) -> np.ndarray:
    """A random kernel (tokens, tokens)."""
    z = np.random.Generator(np.random.PCG64(seed)).standard_normal((tokens, features))
    return z @ z.T


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000))
def test_centring_removes_exactly_what_biases_add(seed: int) -> None:
    """U-centred rows sum to zero, and adding aᵢ + aⱼ off the diagonal and anything on it changes nothing."""
    rng = np.random.Generator(np.random.PCG64(seed))
    kernel, shift = gram(seed), 10 * rng.standard_normal(40)
    moved = kernel + shift[:, None] + shift[None, :] + np.diag(rng.standard_normal(40))
    centred = alignment.centre(kernel)
    np.testing.assert_allclose(centred.sum(axis=1), 0.0, atol=1e-9)
    np.testing.assert_allclose(alignment.centre(moved), centred, atol=1e-9)


def test_centring_needs_four_tokens() -> None:
    """Three tokens have no U-centred kernel, and the error says so."""
    with pytest.raises(ValueError, match="at least 4 tokens"):
        alignment.centre(np.eye(3))


def test_cka_is_the_published_estimate() -> None:
    """Unbiased CKA equals the ratio of unbiased HSIC estimates written out by its published formula."""

    def hsic(first: np.ndarray, second: np.ndarray) -> float:
        n, one = len(first), np.ones(len(first))
        k, l = first - np.diag(np.diag(first)), second - np.diag(np.diag(second))
        middle = (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ l @ one)
        return float((np.trace(k @ l) + middle) / (n * (n - 3)))

    a, b = gram(1), gram(2) + gram(1)
    expected = hsic(a, b) / np.sqrt(hsic(a, a) * hsic(b, b))
    assert alignment.unbiased_cka(a, b) == pytest.approx(expected, abs=1e-12)


def test_cka_of_independent_kernels_averages_to_zero_where_the_plain_one_does_not() -> None:
    """Over many independent pairs with more features than tokens the unbiased estimate has mean 0."""
    values = [alignment.unbiased_cka(gram(i, 20, 60), gram(1000 + i, 20, 60)) for i in range(200)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(200)


def test_inputs_have_unit_scale_and_rows_without_direction_are_marked() -> None:
    """Normed rows have root mean square 1; zero, constant (layer norm) and non-finite rows become NaN."""
    rows = np.array([[3.0, -4.0, 0.0], [0.0, 0.0, 0.0], [2.0, 2.0, 2.0], [1.0, np.inf, 0.0]], np.float32)
    hashes = np.arange(4, dtype=np.uint64)
    kept, plain = alignment.usable_anchors(hashes, rows, subtract_mean=False)
    assert kept.tolist() == [0, 2]
    np.testing.assert_allclose(plain[0] - plain[1], rows[0] / np.sqrt(25 / 3) - 1.0, rtol=1e-6)
    assert alignment.usable_anchors(hashes, rows, subtract_mean=True)[0].tolist() == [0]
    assert len(alignment.usable_anchors(hashes[1:2], rows[1:2], subtract_mean=False)[0]) == 0


def test_shared_tokens_are_found_by_hash_whatever_their_positions() -> None:
    """Positions returned for both sides point at equal hashes, once per token."""
    a, b = np.array([2, 5, 7, 9], np.uint64), np.array([1, 5, 9, 11, 2], np.uint64)
    left, right = alignment.shared_positions(a, b)
    assert a[left].tolist() == b[right].tolist() == [2, 5, 9]


def test_packing_keeps_a_kernel_of_fewer_tokens_to_half_precision() -> None:
    """A packed kernel restricted to some tokens equals the kernel of those tokens to three digits."""
    kernel = gram(3) + 100.0  # a large common part must not eat the digits
    keep = np.array([0, 3, 4, 11, 20, 21, 30, 39])
    unpacked = alignment.unpack(alignment.pack(kernel)[None], 40, keep)[0]
    direct = alignment.flatten(alignment.centre(kernel[np.ix_(keep, keep)]))
    assert float(unpacked @ direct) == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_allclose(unpacked, direct, atol=2e-3)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_kernel_that_is_not_finite_packs_to_nan_and_an_empty_one_to_zeros(bad: float) -> None:
    """Packing never warns and never invents numbers."""
    kernel = gram(4)
    kernel[2, 5] = bad
    assert np.isnan(alignment.pack(kernel)).all()
    assert not alignment.pack(np.zeros((10, 10))).any()
    assert not alignment.pack(np.full((10, 10), 7.0)).any()


def test_projection_leaves_nothing_along_the_nuisances() -> None:
    """What is left has unit length and is orthogonal to every nuisance, repeated and zero nuisances included."""
    rng = np.random.Generator(np.random.PCG64(5))
    vectors, axes = rng.standard_normal((3, 50)), rng.standard_normal((2, 50))
    left = alignment.project_out(vectors, [axes[0], axes[1], axes[0] + 1e-9, np.zeros(50)])
    np.testing.assert_allclose(left @ axes.T, 0.0, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(left, axis=1), 1.0, rtol=1e-5)


def test_what_lies_within_the_nuisances_becomes_zero() -> None:
    """A vector made of nuisances is not blown up to unit length from rounding errors."""
    rng = np.random.Generator(np.random.PCG64(6))
    axes = rng.standard_normal((2, 50))
    assert not alignment.project_out((axes[0] - 2 * axes[1])[None], list(axes)).any()


def test_whitening_evens_out_the_directions_it_is_made_from() -> None:
    """Whitening a Gram matrix by itself without ridge gives a projection; a ridge only shrinks weak directions."""
    kernel = gram(7, 30, 5)
    for ridge, least in ((0.0, 1 - 1e-6), (0.3, 0.5)):
        white = alignment.whitener(kernel, ridge)
        values = np.linalg.eigvalsh(white @ kernel @ white)
        assert values[-1] <= 1 + 1e-6
        assert least <= values[-5]
        assert abs(values[-6]) < 1e-6
    assert not alignment.whitener(np.zeros((5, 5)), 0.3).any()
