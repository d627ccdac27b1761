"""Merges: shares that sum to one, gain over the nearest parent, and silence where one parent is enough."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.alignment.blocks import DENSE
from forensics.alignment.mixture import Mixture, distances, mixture

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


def blend(shares: tuple[float, ...], noise: float = 0.002) -> Blocks:
    """A mean of the parents with a little noise."""
    mean = {p: sum(s * parent[p] for s, parent in zip(shares, PARENTS, strict=True)) for p in PLACES}
    return blocks(9, mean, noise)


def mixed(child: Blocks, parents: list[Blocks]) -> Mixture | None:
    """The mixture, if the blocks can be compared at all."""
    found = distances(child, parents)
    return None if found is None else mixture(found)


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.0), (0.2, 0.3, 0.5), (0.8, 0.2, 0.0)])
def test_shares_are_found_over_all_and_by_layer(shares: tuple[float, ...]) -> None:
    """A linear merge gives back its shares and only the parents that took part, and lies straight between them."""
    found = mixed(blend(shares), PARENTS)
    assert found is not None
    assert [k for k, share in enumerate(shares) if share] == list(found.parents)
    wanted = [share for share in shares if share]
    assert found.shares == pytest.approx(wanted, abs=0.03)
    assert sum(found.shares) == pytest.approx(1.0)
    assert all(of_layer == pytest.approx(wanted, abs=0.08) for of_layer in found.by_layer.values())
    assert (found.kind, found.is_merge, found.is_straight) == ("merge", True, True)


def test_shares_may_differ_from_layer_to_layer() -> None:
    """A merge along a curve over the layers is found although no one share fits all of them."""
    curve = {0: 0.1, 1: 0.5, 2: 0.9}
    child = {p: curve[p[1]] * PARENTS[0][p] + (1 - curve[p[1]]) * PARENTS[1][p] for p in PLACES}
    found = mixed(blocks(9, child, 0.002), PARENTS)
    assert found is not None
    assert found.kind == "merge"
    assert [found.by_layer[n][0] for n in curve] == pytest.approx(list(curve.values()), abs=0.02)


def test_layers_taken_whole_are_no_proof_of_direction() -> None:
    """A model stacked of one parent's first layer and another's rest is told, but not which of the three came last."""
    stacked = {p: (PARENTS[0] if p[1] == 0 else PARENTS[1])[p] for p in PLACES}
    found = mixed(stacked, PARENTS[:2])
    assert found is not None
    assert found.by_layer[0] == pytest.approx((1.0, 0.0), abs=1e-6)
    assert found.by_layer[2] == pytest.approx((0.0, 1.0), abs=1e-6)
    assert (found.kind, found.is_straight) == ("stack", False)


def test_a_parent_of_a_merge_is_no_merge() -> None:
    """Seen from a parent, the merge lies in between: that is told of the merge, never of the parent."""
    found = mixed(PARENTS[0], [blend((0.5, 0.5, 0.0)), PARENTS[1]])
    assert found is not None
    assert (found.kind, found.is_merge) == ("reverse", False)
    assert found.shares == pytest.approx((2.0, -1.0), abs=0.05)


def test_added_differences_need_the_base() -> None:
    """Two fine-tunes' differences added to their base are found as a sum once the base is among the candidates."""
    child = {p: PARENTS[0][p] + PARENTS[1][p] - BASE[p] for p in PLACES}
    found = mixed(blocks(9, child, 0.002), [*PARENTS, BASE])
    assert found is not None
    assert (found.parents, found.kind) == ((0, 1, 3), "arithmetic")
    assert found.shares == pytest.approx((1.0, 1.0, -1.0), abs=0.05)
    without = mixed(child, PARENTS)
    assert without is not None
    assert not without.is_merge


def test_a_fine_tune_of_one_parent_is_no_merge() -> None:
    """One parent with dense noise, and a copy of it, need no second parent."""
    for child in (blocks(5, PARENTS[0], 0.1), PARENTS[0]):
        found = mixed(child, PARENTS)
        assert found is not None
        assert found.nearest == 0
        assert found.kind == "none"


def test_a_stage_on_the_way_is_not_called_a_merge() -> None:
    """A model between its parent and its child, or a merge beside one parent and the base, lies between them."""
    onwards = blocks(6, PARENTS[0], 0.1)
    for child, others in (
        (PARENTS[0], [BASE, onwards]),
        (blend((0.5, 0.5, 0.0)), [PARENTS[0], BASE]),
    ):
        found = mixed(child, others)
        assert found is not None
        assert found.gain > 0.25
        assert not found.is_merge


def test_siblings_are_not_mixtures_of_each_other() -> None:
    """A fine-tune beside twelve siblings is no merge, although their mean comes nearer to it than any of them."""
    found = mixed(blocks(40, BASE, 0.1), [blocks(seed, BASE, 0.1) for seed in range(20, 32)])
    assert found is not None
    assert not found.is_merge


def test_an_unrelated_model_is_no_merge() -> None:
    """A stranger lies off the line through its would-be parents."""
    found = mixed(blocks(77), PARENTS)
    assert found is not None
    assert found.kind == "none"


def test_silence_without_two_parents() -> None:
    """One parent, equal parents, or no common block give nothing."""
    child = blend((0.5, 0.5, 0.0))
    assert mixed(child, PARENTS[:1]) is None
    assert mixed(child, [PARENTS[0], dict(PARENTS[0])]) is None
    assert mixed({("q_proj", 9, DENSE): np.ones((4, 4), np.float32)}, PARENTS) is None
