"""What several candidates show together: who stands between whom, and no more than that."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.alignment.blocks import DENSE
from forensics.alignment.in_place import place
from forensics.alignment.mixture import distances, mixture
from forensics.alignment.ties import CANDIDATES_MOST, covering, laid_over, middles, ties

Blocks = dict[tuple[str, int, int], np.ndarray]
ROLES = ("q_proj", "up_proj")
NAMES = ["base", "other"]


def noisy(seed: int, like: Blocks | None = None, size: float = 1.0, layers: int = 3) -> Blocks:
    """Random blocks, or `like` with noise of that size."""
    rng = np.random.default_rng(seed)
    places = list(like) if like is not None else [(r, n, DENSE) for r in ROLES for n in range(layers)]
    return {
        p: ((0 if like is None else like[p]) + size * rng.standard_normal((24, 24))).astype(np.float32)
        for p in places
    }


BASE = noisy(0)
CHILD, SIBLING = noisy(1, BASE, 0.1), noisy(2, BASE, 0.1)
GRANDCHILD = noisy(3, CHILD, 0.1)


@pytest.mark.parametrize(
    ("suspect", "other"),
    [
        pytest.param(SIBLING, CHILD, id="siblings"),
        pytest.param(noisy(4, BASE, 0.1), noisy(5, BASE, 0.3), id="far"),
    ],
)
def test_the_base_of_two_siblings_stands_between_them(suspect: Blocks, other: Blocks) -> None:
    """What siblings share is their base's; which came from which is not told."""
    found = distances(suspect, [BASE, other])
    assert found is not None
    assert {k: y for k, (y, _) in middles(found).items()} == {1: 0}
    (tie,) = ties(found, mixture(found), NAMES, lambda *_: False)
    assert (tie.candidate, tie.relation, tie.direction) == ("other", "undetermined", "undetermined")
    assert "one may come from the other, or both from it" in tie.grounds[0]


def test_siblings_are_told_only_where_both_are_surely_children() -> None:
    """A chain looks the same from the middle; with information lost on both ways it can be no chain."""
    for suspect, middle, other in ((SIBLING, BASE, CHILD), (GRANDCHILD, CHILD, BASE)):
        found = distances(suspect, [middle, other])
        assert found is not None
        assert set(middles(found)) == {1}
        for sure in ({1}, {None}):
            (tie,) = ties(found, mixture(found), NAMES, lambda child, _, sure=sure: child in sure)
            assert tie.relation == "undetermined"
    found = distances(SIBLING, [BASE, CHILD])
    assert found is not None
    (tie,) = ties(found, mixture(found), NAMES, lambda *_: True)
    assert tie.relation == "sibling-or-common-ancestor"


def test_nobody_stands_between_those_who_share_more() -> None:
    """Two that share a common part of their own, and a merge with its parents, are not explained by a third."""
    shared = noisy(7, BASE, 0.1)
    first, second = noisy(8, shared, 0.1), noisy(9, shared, 0.1)
    merge = {p: (CHILD[p] + SIBLING[p]) / 2 for p in CHILD}
    for suspect, others in ((first, [BASE, second]), (merge, [CHILD, SIBLING]), (CHILD, [merge, SIBLING])):
        found = distances(suspect, others)
        assert found is not None
        assert middles(found) == {}


def test_a_merge_names_its_parents_and_its_direction() -> None:
    """Each parent is told the shares; the merge is the child, also where it stands among the candidates."""
    merge = noisy(11, {p: 0.3 * CHILD[p] + 0.7 * SIBLING[p] for p in CHILD}, 0.001)
    found = distances(merge, [CHILD, BASE, SIBLING])
    assert found is not None
    told = ties(found, mixture(found), ["one", "base", "two"], lambda *_: False)
    assert [(t.candidate, t.relation, t.direction) for t in told] == [
        ("one", "merged", "suspect-from-candidate"),
        ("two", "merged", "suspect-from-candidate"),
    ]
    assert "30% of one and 70% of two" in told[0].grounds[0]
    found = distances(CHILD, [merge, SIBLING])
    assert found is not None
    (turned,) = ties(found, mixture(found), ["merge", "two"], lambda *_: False)
    assert (turned.candidate, turned.relation, turned.direction) == (
        "merge",
        "merged",
        "candidate-from-suspect",
    )


def test_layers_are_laid_where_they_belong() -> None:
    """A candidate with a layer more lies over the suspect's layers by likeness, not by number."""
    deeper = {(r, n + (n > 0), e): block for (r, n, e), block in BASE.items()} | {
        (role, 1, DENSE): noisy(30)[role, 0, DENSE] for role in ROLES
    }
    laid = laid_over(CHILD, deeper, place(CHILD, deeper, ROLES), in_place=False)
    assert set(laid) == set(CHILD)
    assert all((laid[p] == BASE[p]).all() for p in laid)


def test_only_the_nearest_candidates_are_looked_at() -> None:
    """Of very many candidates the nearest are kept, and none that covers too little."""
    others = {f"c{k:02}": noisy(k, BASE, 0.01 * (40 - k)) for k in range(40)}
    others["little"] = dict([next(iter(BASE.items()))])
    assert covering(BASE, others) == [f"c{k:02}" for k in range(40 - CANDIDATES_MOST, 40)]
