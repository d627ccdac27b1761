"""Blocks: what is kept of a matrix, whatever the size of row blocks, and how exactly."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from forensics.alignment.blocks import (
    ATTENTION,
    DENSE,
    MLP,
    SIDE,
    BlockSampler,
    from_bf16,
    packed,
    picks,
    unpacked,
)
from forensics.probe import TensorSpec
from tests.standin import architecture_of

SHAPE = architecture_of(width=256, heads=8, kv_heads=2, head_dim=32)


def spec_of(role: str, rows: int, columns: int, *, expert: int | None = None) -> TensorSpec:
    """A matrix of layer 0."""
    return TensorSpec(
        role=role, layer=0, expert=expert, rows=rows, columns=columns, dtype="f32", source="model.weight"
    )


def sampler() -> BlockSampler:
    """Takes everything of layer 0 and two experts."""
    return BlockSampler(shape=SHAPE, roles=(*ATTENTION, *MLP), layers=(0,), experts=2)


@pytest.mark.parametrize("step", [1, 7, 300])
def test_blocks_do_not_depend_on_the_size_of_row_blocks(step: int) -> None:
    """A block holds the picked rows and columns, however the rows come, in an array that is overwritten."""
    spec = spec_of("q_proj", 256, 256)
    matrix = np.random.default_rng(0).standard_normal((256, 256)).astype(np.float32)
    taken = sampler()
    assert taken.wants(spec)
    for start in range(0, 256, step):
        lent = matrix[start : start + step].copy()
        taken.see(spec, lent, start)
        lent.fill(np.nan)
    rows, columns = picks(spec, SHAPE)
    assert np.array_equal(taken.whole()["q_proj", 0, DENSE], matrix[np.ix_(rows, columns)])


def test_heads_are_kept_whole_and_aligned() -> None:
    """Rows of Q and K, V and columns of O belong to the same KV groups, in order, one query head each."""
    q = picks(spec_of("q_proj", 256, 256), SHAPE)[0]
    k = picks(spec_of("k_proj", 64, 256), SHAPE)[0]
    o = picks(spec_of("o_proj", 256, 256), SHAPE)[1]
    assert k.tolist() == list(range(64))
    assert q.tolist() == o.tolist() == [*range(32), *range(128, 160)]
    large = replace(SHAPE, heads=2, kv_heads=2, head_dim=256, width=512)
    assert picks(spec_of("q_proj", 512, 512), large)[0].tolist() == list(range(256))


def test_other_matrices_keep_a_corner() -> None:
    """MLP matrices, and attention whose heads do not fit its rows, keep their first rows and columns."""
    for spec in (spec_of("up_proj", 1000, 256), spec_of("q_proj", 200, 256)):
        rows, columns = picks(spec, SHAPE)
        assert rows.tolist() == columns.tolist() == list(range(SIDE))


def test_what_is_not_wanted() -> None:
    """Vectors, other layers, other roles and later experts are left alone."""
    taken = sampler()
    assert not taken.wants(spec_of("up_proj", 8, 1))
    assert not taken.wants(spec_of("router", 8, 8))
    assert not taken.wants(replace(spec_of("up_proj", 8, 8), layer=1))
    assert taken.wants(spec_of("up_proj", 8, 8, expert=1))
    assert not taken.wants(spec_of("up_proj", 8, 8, expert=2))


def test_spoilt_blocks_are_left_out() -> None:
    """A block with NaN, of zeros only, or not seen whole is not kept."""
    taken = sampler()
    for role, value in (("gate_proj", np.nan), ("up_proj", 0.0), ("down_proj", 1.0)):
        taken.see(spec_of(role, 8, 8), np.full((4, 8), value, np.float32), 0)
        if role != "down_proj":
            taken.see(spec_of(role, 8, 8), np.full((4, 8), value, np.float32), 4)
    assert taken.whole() == {}


@pytest.mark.parametrize("kind", ["bfloat16", "float16", "float32"])
def test_blocks_survive_a_sketch_exactly(kind: str) -> None:
    """Packing takes two bytes where two hold every number, and gives back every bit."""
    values = np.random.default_rng(1).standard_normal((16, 24)).astype(np.float32)
    if kind == "bfloat16":
        values = from_bf16((values.view(np.uint32) >> 16).astype(np.uint16))
    elif kind == "float16":
        values = values.astype(np.float16).astype(np.float32)
    arrays = packed({("q_proj", 3, DENSE): values})
    assert next(iter(arrays.values())).dtype.itemsize == (4 if kind == "float32" else 2)
    back = unpacked(arrays)
    assert back is not None
    assert np.array_equal(back["q_proj", 3, DENSE], values)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("q_proj.0", np.ones((4, 4), np.float32)),
        ("q_proj.0.x", np.ones((4, 4), np.float32)),
        ("router.0.-1", np.ones((4, 4), np.float32)),
        ("q_proj.99999999999.-1", np.ones((4, 4), np.float32)),
        ("q_proj.0.-1", np.ones(4, np.float32)),
        ("q_proj.0.-1", np.ones((4, 4), np.float64)),
        ("q_proj.0.-1", np.ones((4, 4000), np.float32)),
        ("q_proj.0.-1", np.ones((0, 4), np.float32)),
        ("q_proj.0.-1", np.full((4, 4), np.inf, np.float32)),
        ("q_proj.0.-1", np.full((4, 4), 0x7F80, np.uint16)),
    ],
)
def test_foreign_arrays_are_refused(name: str, array: np.ndarray) -> None:
    """Arrays of other names, shapes or types, or not finite, are no blocks; nor are none at all."""
    assert unpacked({name: array}) is None
    assert unpacked({}) is None
