"""Differences in place: size, zeros, rank, and what relation and direction they are the mark of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from forensics.alignment.anatomy import Anatomy, Outline, anatomy
from forensics.alignment.blocks import ATTENTION, DENSE, MLP
from forensics.alignment.deltas import Delta, delta_of, met, one_direction
from forensics.alignment.lattice import cast

SIZE = 96
ROLES = (*ATTENTION, *MLP)
Blocks = dict[tuple[str, int, int], np.ndarray]
RNG = np.random.default_rng(0)


def parent(seed: int = 0) -> Blocks:
    """Two layers of normal weights in float32."""
    rng = np.random.default_rng(seed)
    return {
        (role, layer, DENSE): (0.02 * rng.standard_normal((SIZE, SIZE))).astype(np.float32)
        for layer in range(2)
        for role in ROLES
    }


def low_rank(block: np.ndarray, rank: int) -> np.ndarray:
    """The block with an adapter of that rank merged, stored as bfloat16."""
    update = RNG.standard_normal((SIZE, rank)) @ RNG.standard_normal((rank, SIZE)) / np.sqrt(rank)
    return cast((block + 0.003 * update).astype(np.float32), "bfloat16")


def trained(block: np.ndarray, size: float) -> np.ndarray:
    """The block with dense noise of that share of its spread."""
    return np.asarray(block + size * block.std() * RNG.standard_normal(block.shape), np.float32)


def rounded(block: np.ndarray) -> np.ndarray:
    """Eight bits, one step per row."""
    step = np.abs(block).max(axis=1, keepdims=True) / 127
    return np.asarray(np.rint(block / step) * step, np.float32)


def zeroed(block: np.ndarray) -> np.ndarray:
    """The smaller half set to zero."""
    return np.where(np.abs(block) > np.median(np.abs(block)), block, np.float32(0.0))


def deltas_of(first: Blocks, second: Blocks) -> list[Delta]:
    """All differences, layers by number."""
    return [delta_of(pair) for pair in met(first, second, [(0, 0), (1, 1)], ROLES)]


def told(first: Blocks, second: Blocks, *, blocks: int | None = None) -> Anatomy:
    """What is told of two models of one shape."""
    deltas = deltas_of(first, second)
    shape = Outline(depths=(2, 2), neurons=(SIZE, SIZE), copies=({}, {}), blocks=blocks or len(deltas))
    return anatomy(deltas, shape)


CHANGES: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str, str]] = {
    "nothing": (lambda b: b, "identical", "undetermined"),
    "cast": (lambda b: cast(b, "bfloat16"), "identical", "suspect-from-candidate"),
    "8-bit float": (lambda b: cast(b, "float8-e4m3"), "quantised", "suspect-from-candidate"),
    "quantised": (rounded, "quantised", "suspect-from-candidate"),
    "trained and quantised": (lambda b: rounded(trained(b, 0.2)), "quantised", "undetermined"),
    "pruned": (zeroed, "pruned", "suspect-from-candidate"),
    "pruned and healed": (
        lambda b: np.where(zeroed(b) != 0, trained(b, 0.1), 0),
        "pruned",
        "suspect-from-candidate",
    ),
    "adapter": (lambda b: low_rank(b, 8), "fine-tuned", "undetermined"),
    "fine-tuned": (lambda b: trained(b, 0.1), "fine-tuned", "undetermined"),
    "continued": (lambda b: trained(b, 0.6), "continued", "undetermined"),
    "far": (lambda b: trained(b, 1.2), "undetermined", "undetermined"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_relation_and_direction(name: str) -> None:
    """Each change is told, with a direction only where information was lost, and the reverse pair reads in reverse."""
    change, relation, direction = CHANGES[name]
    base = parent()
    child = {place: np.asarray(change(block), np.float32) for place, block in base.items()}
    forth, back = told(child, base), told(base, child)
    assert (forth.relation, forth.direction()) == (relation, direction)
    turned = {"suspect-from-candidate": "candidate-from-suspect"}.get(direction, direction)
    assert (back.relation, back.direction()) == (relation, turned)
    assert forth.grounds


def test_rank_is_that_of_the_adapter() -> None:
    """The rank of a merged adapter is read through rounding to bfloat16; a dense change has none."""
    base = {place: cast(block, "bfloat16") for place, block in parent().items()}
    for rank in (1, 4, 16):
        child = {place: low_rank(block, rank) for place, block in base.items()}
        assert {delta.rank for delta in deltas_of(child, base)} == {rank}
    dense = {place: cast(trained(block, 0.02), "bfloat16") for place, block in base.items()}
    assert {delta.rank for delta in deltas_of(dense, base)} == {None}


def test_a_tiny_dense_change_under_rounding_is_not_of_low_rank() -> None:
    """Training by less than a bfloat16 step is rounding or dense, never an adapter."""
    base = {place: cast(block, "bfloat16") for place, block in parent().items()}
    for size in (1e-4, 5e-4, 2e-3):
        child = {place: cast(trained(block, size), "bfloat16") for place, block in base.items()}
        assert {delta.rank for delta in deltas_of(child, base)} <= {None, 0}


def test_a_removed_direction_is_one_direction() -> None:
    """Projecting one direction out of all outputs is told apart from rank-one changes along unlike ones."""
    base = parent()

    def removed(block: np.ndarray, way: np.ndarray) -> np.ndarray:
        return np.asarray(block - np.outer(way, way @ block), np.float32)

    def unit() -> np.ndarray:
        way = RNG.standard_normal(SIZE)
        return np.asarray(way / np.linalg.norm(way))

    same = unit()
    outputs = {"o_proj", "down_proj"}
    one = {p: removed(b, same) if p[0] in outputs else b for p, b in base.items()}
    many = {p: removed(b, unit()) if p[0] in outputs else b for p, b in base.items()}
    assert one_direction(deltas_of(one, base))
    assert not one_direction(deltas_of(many, base))
    assert any("one direction" in ground for ground in told(one, base).grounds)


def test_zeros_filled_by_training_do_not_point_the_wrong_way() -> None:
    """Where the zeros' counterparts are no larger than what changed elsewhere, zeros give no direction."""
    pruned = {place: zeroed(block) for place, block in parent().items()}
    regrown = {place: trained(block, 0.1) for place, block in pruned.items()}
    found = told(pruned, regrown)
    assert found.relation == "pruned"
    assert found.direction() == "undetermined"


def test_contradicting_losses_are_undetermined() -> None:
    """Zeros on one side and a coarser grid on the other leave the direction open."""
    base = parent()
    found = told({p: zeroed(b) for p, b in base.items()}, {p: rounded(b) for p, b in base.items()})
    assert found.direction() == "undetermined"


def test_a_part_that_is_equal_is_not_identical() -> None:
    """Where only some matrices correspond nothing is called identical; fewer neurons read as pruned."""
    base = parent()
    assert told(base, base, blocks=20).relation == "undetermined"
    deltas = deltas_of(base, base)
    fewer = Outline(depths=(2, 2), neurons=(48, 96), copies=({}, {}), blocks=20)
    assert anatomy(deltas, fewer).relation == "pruned"


def test_copied_layers_and_experts_point_to_their_source() -> None:
    """A deeper model with copied layers was expanded; experts close to one MLP were upcycled."""
    base = parent()
    deltas = deltas_of(base, base)
    grown = anatomy(
        deltas, Outline(depths=(3, 2), neurons=(SIZE, SIZE), copies=({2: 1}, {}), blocks=len(deltas))
    )
    assert (grown.relation, grown.direction()) == ("expanded", "suspect-from-candidate")
    sparse = {p: b for p, b in base.items() if p[0] in ATTENTION}
    sparse |= {(r, n, e): trained(b, 0.05) for (r, n, _), b in base.items() if r in MLP for e in (0, 1)}
    assert (told(sparse, base).relation, told(sparse, base).direction()) == (
        "upcycled",
        "suspect-from-candidate",
    )
    assert told(base, sparse).direction() == "candidate-from-suspect"


def test_extreme_numbers_do_no_harm() -> None:
    """Blocks of 1e38 and of 1e-38 give finite figures without a warning."""
    for size in (1e38, 1e-38):
        base = {p: np.asarray(np.sign(b) * size, np.float32) for p, b in parent().items()}
        other = {
            p: np.asarray(b * np.where(RNG.random(b.shape) < 0.3, -1, 1), np.float32) for p, b in base.items()
        }
        for delta in deltas_of(base, other):
            assert np.isfinite([delta.cosine, delta.relative, delta.equal, *delta.filled]).all()
        assert told(base, other).grounds
