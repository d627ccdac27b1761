"""Heads as a graph: what their legs are, what their overlaps do not notice, and whom a matching finds."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from forensics.alignment import OV, QK, graph_of_heads, head_legs, holds_heads, match_heads, overlaps

WIDTH, HEADS, DIMENSIONS, RANK = 48, 4, 6, 4
Matrices = dict[str, NDArray[np.float32]]
NAMES = ("q_proj", "k_proj", "v_proj", "o_proj")


def layer_of(seed: int) -> Matrices:
    """Four matrices, all (heads · dimensions, width)."""
    rng = np.random.Generator(np.random.PCG64(seed))
    return {n: rng.standard_normal((HEADS * DIMENSIONS, WIDTH), dtype=np.float32) for n in NAMES}


def arrays_of(layers: list[Matrices]) -> dict[str, NDArray[np.generic]]:
    """The arrays of a sketch."""
    legs = [head_legs(one, heads=HEADS, kv_heads=HEADS, rank=RANK) for one in layers]
    assert all(one is not None for one in legs)
    found = [one for one in legs if one is not None]
    return {
        "overlap": overlaps(found),
        "spectra": np.concatenate([one.spectra for one in found], axis=1),
        "layer": np.repeat(np.arange(len(layers)), HEADS),
        "group": np.tile(np.arange(HEADS), len(layers)),
    }


def test_directions_are_the_singular_vectors_of_the_circuit() -> None:
    """A head's first q and k directions are the leading singular pair of W_Qᵀ W_K, and w its spectrum."""
    layer = layer_of(0)
    found = head_legs(layer, heads=HEADS, kv_heads=HEADS, rank=RANK)
    assert found is not None
    for head in range(HEADS):
        own = slice(head * DIMENSIONS, (head + 1) * DIMENSIONS)
        left, sigma, right = np.linalg.svd(layer["q_proj"][own].T @ layer["k_proj"][own])
        for leg, vector in ((0, left[:, 0]), (1, right[0])):
            direction = found.directions[leg, head, 0]
            assert abs(direction @ vector) / np.linalg.norm(direction) == pytest.approx(1.0, abs=1e-3)
        kept = sigma[:RANK] / np.linalg.norm(sigma[:RANK])
        assert found.spectra[0, head] == pytest.approx(kept, abs=1e-3)


def test_heads_of_low_rank_are_taken_apart() -> None:
    """Dimensions that repeat each other, or are zero, neither break a head nor change its circuit."""
    layer = layer_of(1)
    for name in ("q_proj", "k_proj"):
        layer[name][1:3] = layer[name][0]
        layer[name][4] = 0.0
    found = head_legs(layer, heads=HEADS, kv_heads=HEADS, rank=RANK)
    assert found is not None
    assert np.isfinite(found.spectra).all()
    sigma = np.linalg.svd(layer["q_proj"][:DIMENSIONS].T @ layer["k_proj"][:DIMENSIONS])[1][:RANK]
    assert found.spectra[0, 0] == pytest.approx(sigma / np.linalg.norm(sigma), abs=5e-3)


def test_what_cannot_be_taken_apart_is_refused() -> None:
    """NaN, shapes that do not fit and heads of absurd size give None, not an error."""
    assert (
        head_legs(
            {**layer_of(2), "k_proj": np.full((24, WIDTH), np.nan, np.float32)}, heads=4, kv_heads=4, rank=4
        )
        is None
    )
    assert (
        head_legs({**layer_of(2), "k_proj": layer_of(2)["k_proj"][:12]}, heads=4, kv_heads=4, rank=4) is None
    )
    assert head_legs(layer_of(2), heads=5, kv_heads=5, rank=4) is None
    large = {name: np.ones((1200, 32), np.float32) for name in NAMES}
    assert head_legs(large, heads=1, kv_heads=1, rank=4) is None


def test_overlap_of_a_leg_with_itself_is_one() -> None:
    """A layer and its copy overlap fully head by head, and that block is left out of the graph."""
    arrays = arrays_of([layer_of(3), layer_of(3), layer_of(4)])
    for leg in range(4):
        own = [arrays["overlap"][leg, head, leg, HEADS + head] for head in range(HEADS)]
        assert own == pytest.approx([1.0] * HEADS, abs=1e-3)
    graph = graph_of_heads(arrays)
    assert graph is not None
    assert not graph.edges[:, :, :HEADS, HEADS : 2 * HEADS].any()
    assert graph.edges[:, :, :HEADS, 2 * HEADS :].any()


def test_a_shared_direction_makes_no_copies() -> None:
    """Layers whose heads all read one strong direction are not taken for copies of each other."""
    rng = np.random.Generator(np.random.PCG64(5))
    shared = 20.0 * rng.standard_normal(WIDTH).astype(np.float32)
    graph = graph_of_heads(arrays_of([{n: a + shared for n, a in layer_of(s).items()} for s in (6, 7, 8)]))
    assert graph is not None
    assert graph.edges[:, :, :HEADS, HEADS:].any(axis=(0, 1, 3)).all()


def test_permuted_heads_are_found_by_either_circuit() -> None:
    """Both matchings find the order in which heads were put, and the edges not looked at agree."""
    layers = [layer_of(seed) for seed in range(10, 14)]
    orders = [np.random.Generator(np.random.PCG64(seed)).permutation(HEADS) for seed in range(4)]
    moved = [
        {n: a.reshape(HEADS, DIMENSIONS, WIDTH)[order].reshape(-1, WIDTH) for n, a in layer.items()}
        for layer, order in zip(layers, orders, strict=True)
    ]
    first, second = graph_of_heads(arrays_of(moved)), graph_of_heads(arrays_of(layers))
    assert first is not None
    assert second is not None
    wanted = np.concatenate([HEADS * number + order for number, order in enumerate(orders)])
    for circuit in (QK, OV):
        match = match_heads(first, second, circuit, 4)
        assert match is not None
        assert np.array_equal(match.partner, wanted)
        assert min(match.other, match.across) > 0.99


def test_arrays_that_do_not_fit_are_told() -> None:
    """Missing arrays, other shapes, numbers that are not finite and too many layers are no graph."""
    arrays = arrays_of([layer_of(20), layer_of(21)])
    assert holds_heads(arrays)
    assert not holds_heads({})
    assert not holds_heads({**arrays, "group": arrays["group"][1:]})
    assert not holds_heads({**arrays, "spectra": arrays["spectra"] * np.float32(np.inf)})
    many = 40
    assert not holds_heads(
        {
            "overlap": np.zeros((4, many, 4, many), np.float32),
            "spectra": np.ones((2, many, 1), np.float32),
            "layer": np.arange(many),
            "group": np.zeros(many, np.int32),
        }
    )
