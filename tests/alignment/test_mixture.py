"""Merges: shares that sum to one, gain over the nearest parent, and silence where one parent is enough."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.alignment.blocks import DENSE
from forensics.alignment.mixture import mixture

Blocks = dict[tuple[str, int, int], np.ndarray]
PLACES = [(role, layer, DENSE) for role in ("q_proj", "up_proj") for layer in range(3)]


def blocks(seed: int, like: Blocks | None = None, size: float = 1.0) -> Blocks:
    """Random blocks, or `like` with noise of that size."""
    rng = np.random.default_rng(seed)
    return {
        place: ((0 if like is None else like[place]) + size * rng.standard_normal((24, 24))).astype(
            np.float32
        )
        for place in PLACES
    }


BASE = blocks(0)
PARENTS = [blocks(seed, BASE, 0.1) for seed in (1, 2, 3)]


def blend(shares: tuple[float, ...], noise: float = 0.01) -> Blocks:
    """A mean of the parents with a little noise."""
    mean = {p: sum(s * parent[p] for s, parent in zip(shares, PARENTS, strict=True)) for p in PLACES}
    return blocks(9, mean, noise)


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.0), (0.2, 0.3, 0.5), (0.8, 0.2, 0.0)])
def test_shares_are_found_over_all_and_by_layer(shares: tuple[float, ...]) -> None:
    """A linear merge gives back its shares, also of a parent that took no part."""
    found = mixture(blend(shares), PARENTS)
    assert found is not None
    assert found.shares == pytest.approx(shares, abs=0.03)
    assert sum(found.shares) == pytest.approx(1.0)
    assert found.is_merge
    assert all(of_layer == pytest.approx(shares, abs=0.08) for of_layer in found.by_layer.values())


def test_layers_taken_whole_show_by_layer() -> None:
    """A model stacked of one parent's first layer and another's rest has shares of one and nought by layer."""
    stacked = {p: (PARENTS[0] if p[1] == 0 else PARENTS[1])[p] for p in PLACES}
    found = mixture(stacked, PARENTS[:2])
    assert found is not None
    assert found.by_layer[0] == pytest.approx((1.0, 0.0), abs=1e-6)
    assert found.by_layer[2] == pytest.approx((0.0, 1.0), abs=1e-6)


def test_a_fine_tune_of_one_parent_is_no_merge() -> None:
    """One parent with dense noise, and a copy of it, need no second parent."""
    for child in (blocks(5, PARENTS[0], 0.1), PARENTS[0]):
        found = mixture(child, PARENTS)
        assert found is not None
        assert found.nearest == 0
        assert not found.is_merge


def test_an_unrelated_model_is_no_merge() -> None:
    """A stranger lies off the line through its would-be parents."""
    found = mixture(blocks(77), PARENTS)
    assert found is not None
    assert not found.is_merge


def test_silence_without_two_parents() -> None:
    """One parent, equal parents, or no common block give nothing."""
    child = blend((0.5, 0.5, 0.0))
    assert mixture(child, PARENTS[:1]) is None
    assert mixture(child, [PARENTS[0], dict(PARENTS[0])]) is None
    assert mixture({("q_proj", 9, DENSE): np.ones((4, 4), np.float32)}, PARENTS) is None
