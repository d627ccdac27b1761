"""Head subspaces: what no map inside a head can change, and when there is nothing to compare."""

from __future__ import annotations

import numpy as np
import pytest

from forensics import alignment

TOKENS, HEADS, DIM = 60, 4, 6


def responses(seed: int) -> np.ndarray:
    """Random responses (TOKENS, HEADS · DIM)."""
    return np.random.default_rng(seed).standard_normal((TOKENS, HEADS * DIM)).astype(np.float32)


def found(seen: np.ndarray, dim: int = DIM) -> np.ndarray:
    """The kernel, which must be there."""
    kernel = alignment.head_subspaces(seen, dim, TOKENS)
    assert kernel is not None
    return kernel


def test_any_map_inside_heads_and_any_order_of_heads_leaves_the_kernel() -> None:
    """Mixing a head's dimensions, scaling them a thousandfold and permuting heads change nothing."""
    rng = np.random.default_rng(1)
    heads = responses(0).reshape(TOKENS, HEADS, DIM)
    maps = rng.standard_normal((HEADS, DIM, DIM)) * np.exp(rng.uniform(-7, 7, (HEADS, 1, DIM)))
    mixed = np.einsum("thd,hde->the", heads, maps)[:, rng.permutation(HEADS)]
    kernel = found(mixed.reshape(TOKENS, -1).astype(np.float32))
    assert kernel == pytest.approx(found(responses(0)), abs=1e-3)


def test_the_kernel_is_a_sum_of_projections() -> None:
    """One head's kernel is symmetric, its own square, and of the head's rank; silent columns add nothing."""
    seen = responses(2)[:, :DIM]
    kernel = found(seen)
    assert kernel @ kernel == pytest.approx(kernel, abs=1e-4)
    assert np.trace(kernel) == pytest.approx(DIM, abs=1e-3)
    padded = np.concatenate([seen, seen[:, :2], np.zeros((TOKENS, 1), np.float32)], axis=1)
    assert found(padded, DIM + 3) == pytest.approx(kernel, abs=1e-3)


@pytest.mark.parametrize("dim", [0, -1, 5, 10**9])
def test_heads_that_cannot_be_told_apart_give_nothing(dim: int) -> None:
    """A head size that does not fit gives no kernel; nor do tokens that span nothing."""
    assert alignment.head_subspaces(responses(3), dim, 30) is None
    assert alignment.head_subspaces(responses(3), DIM, 1) is None


def test_a_head_as_wide_as_the_tokens_is_known_by_its_strongest_responses() -> None:
    """It gives a projection of lower rank, blind to rotations inside, that still tells two such heads apart."""
    seen = np.random.default_rng(7).standard_normal((TOKENS, 100)).astype(np.float32)
    turn = np.linalg.qr(np.random.default_rng(8).standard_normal((100, 100)))[0]
    kernel = found(seen, 100)
    assert kernel @ kernel == pytest.approx(kernel, abs=1e-4)
    assert np.trace(kernel) == pytest.approx(TOKENS // 4, abs=1e-3)
    assert found((seen @ turn).astype(np.float32), 100) == pytest.approx(kernel, abs=1e-3)
    other = found(np.random.default_rng(9).standard_normal((TOKENS, 100)).astype(np.float32), 100)
    assert abs(alignment.unbiased_cka(kernel, other)) < 0.15
    for scale in (1e37, 1e-30):
        assert found(seen * np.float32(scale), 100) == pytest.approx(kernel, abs=1e-3)
    assert not found(seen * np.float32(0.0), 100).any()


def test_a_wide_head_without_rank_adds_no_rounding() -> None:
    """A wide head that responds in three directions only gives the projection onto these three."""
    three = np.random.default_rng(10).standard_normal((TOKENS, 3))
    mixed = (three @ np.random.default_rng(11).standard_normal((3, 100))).astype(np.float32)
    kernel = found(mixed, 100)
    assert kernel == pytest.approx(found(three.astype(np.float32), 3), abs=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_responses_that_are_not_finite_give_nothing(value: float) -> None:
    """One number that is not finite is enough for no kernel."""
    seen = responses(4)
    seen[3, 4] = value
    assert alignment.head_subspaces(seen, DIM, TOKENS) is None


def test_extreme_scales_neither_overflow_nor_vanish() -> None:
    """Responses near the ends of float32 give the kernel of ordinary ones."""
    seen = responses(5)
    for scale in (1e37, 1e-30):
        assert found(seen * np.float32(scale)) == pytest.approx(found(seen), abs=1e-3)


def test_other_depths_choose_the_same_distances_from_the_ends() -> None:
    """Most layers examined of 28 or 24 layers lie at distances from an end that are examined of 32 as well."""
    far = {
        count: {min(i, count - 1 - i) for i in alignment.nested_layers(count, 12)} for count in (24, 28, 32)
    }
    assert far[28] == far[32]
    assert len(far[24] & far[32]) >= 5
    for count in range(130):
        chosen = alignment.nested_layers(count, 12)
        assert len(chosen) == min(count, 12) if count < 14 else 8 <= len(chosen) <= 12
        assert list(chosen) == sorted(set(chosen))
    assert alignment.nested_layers(40, 2) == (0, 39)


def test_a_repeated_layer_has_its_original_for_partner() -> None:
    """A second row like one column gets that column too, where the gain is clear and not otherwise."""
    similarity = np.array([[0.9, 0.1], [0.1, 0.8], [0.0, 0.7], [0.1, np.nan]])
    assert alignment.match_repeated(similarity, 0.3).tolist() == [0, 1, 1, -1]
    assert alignment.match_repeated(np.full((2, 2), np.nan), 0.3).tolist() == [-1, -1]
