"""Gauges as arithmetic: what each touches, what it refuses. That they keep the function is tests/test_testing.py's."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.alignment import gauge_draws, gauges
from forensics.errors import ForensicsError
from forensics.subjects import Architecture

ARCH = Architecture(
    declared="llama",
    layout="llama",
    layers=1,
    width=6,
    vocabulary=5,
    heads=2,
    kv_heads=1,
    head_dim=2,
    norm="rms",
)
SHAPES: dict[gauges.Place, tuple[int, ...]] = {
    ("embed_tokens", None, None): (5, 6), ("lm_head", None, None): (5, 6), ("final_norm", None, None): (6,),
    ("input_norm", 0, None): (6,), ("mlp_norm", 0, None): (6,), ("q_proj", 0, None): (4, 6),
    ("k_proj", 0, None): (2, 6),
    ("v_proj", 0, None): (2, 6), ("o_proj", 0, None): (6, 4), ("gate_proj", 0, None): (8, 6),
    ("up_proj", 0, None): (8, 6), ("down_proj", 0, None): (6, 8),
}  # fmt: skip


@pytest.fixture
def weights() -> dict[gauges.Place, gauges.Floats]:
    """One layer of random weights with gains about one."""
    rng = np.random.Generator(np.random.PCG64(0))
    return {p: (rng.standard_normal(s) + (len(s) == 1)).astype(np.float32) for p, s in SHAPES.items()}


def test_folding_leaves_products_and_gains_of_one(weights: dict[gauges.Place, gauges.Floats]) -> None:
    """After folding, W diag(γ) of every matrix behind a norm is as before, and every gain is one."""
    folded = gauges.fold_gains(weights)
    for norm, role in (("input_norm", "q_proj"), ("mlp_norm", "gate_proj")):
        product = weights[role, 0, None] * weights[norm, 0, None]
        assert folded[role, 0, None] == pytest.approx(product)
        assert (folded[norm, 0, None] == 1).all()
    assert folded["o_proj", 0, None] == pytest.approx(weights["o_proj", 0, None])


def test_rotation_needs_folded_gains(weights: dict[gauges.Place, gauges.Floats]) -> None:
    """A change of the residual basis across gains that differ is refused, for it would change the function."""
    turn = gauge_draws.random_orthogonal(6, np.random.Generator(np.random.PCG64(1)))
    with pytest.raises(ForensicsError, match="not folded"):
        gauges.mix(weights, {("residual", None, None): turn})


def test_layer_norms_rotation_keeps_the_mean() -> None:
    """The orthogonal map for LayerNorm leaves the constant vector where it is, the other one does not."""
    ones = np.ones(7)
    rng = np.random.Generator(np.random.PCG64(2))
    kept = gauge_draws.random_orthogonal(7, rng, fix_mean=True)
    assert kept @ ones == pytest.approx(ones)
    assert kept @ kept.T == pytest.approx(np.eye(7), abs=1e-12)
    assert np.abs(gauge_draws.random_orthogonal(7, rng) @ ones - ones).max() > 0.1


def test_reordering_twice_there_and_back_is_nothing(weights: dict[gauges.Place, gauges.Floats]) -> None:
    """An order and its inverse give the very same weights."""
    rng = np.random.Generator(np.random.PCG64(3))
    orders = gauge_draws.random_orders(weights, ("neuron", "residual"), rng)
    orders |= gauge_draws.head_orders(weights, 2, 1, rng)
    back = {space: np.argsort(order) for space, order in orders.items()}
    again = gauges.reorder(gauges.reorder(weights, orders), back)
    assert all(np.array_equal(again[place], weights[place]) for place in weights)


def test_experts_are_renumbered_with_their_router() -> None:
    """The router's row of an expert and the expert itself get the same new number."""
    held: dict[gauges.Place, gauges.Floats] = {("router", 0, None): np.arange(3, dtype=np.float32)[:, None]}
    held |= {("up_proj", 0, e): np.full((1, 1), e, np.float32) for e in range(3)}
    moved = gauges.reorder(held, {("expert", 0, None): np.array([2, 0, 1])})
    for number, row in enumerate(moved["router", 0, None][:, 0]):
        assert moved["up_proj", 0, number][0, 0] == row


def test_what_has_no_row_in_the_table_is_refused() -> None:
    """A role whose axes are not known stops a gauge instead of being left behind."""
    with pytest.raises(ForensicsError, match="ssm_conv"):
        gauges.sizes({("ssm_conv", 0, None): np.zeros((2, 2), np.float32)})


def test_disagreeing_sizes_are_refused(weights: dict[gauges.Place, gauges.Floats]) -> None:
    """Two tensors that claim different widths for one space do not belong to one model."""
    weights["down_proj", 0, None] = np.zeros((6, 9), np.float32)
    with pytest.raises(ForensicsError, match="does not fit"):
        gauges.sizes(weights)
