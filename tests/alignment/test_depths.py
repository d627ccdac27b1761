"""Layers paired in order across depths."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np

from forensics import alignment


def best_by_trying(scores: np.ndarray) -> float:
    """Largest sum over all increasing pairings, the slow way."""
    rows, columns = scores.shape
    sums = [0.0]
    for size in range(1, min(rows, columns) + 1):
        for i in combinations(range(rows), size):
            sums += [float(scores[list(i), list(j)].sum()) for j in combinations(range(columns), size)]
    return max(sums)


def test_pairs_are_the_best_of_all_increasing_ones() -> None:
    """On small tables the pairs increase on both sides and reach the largest sum there is."""
    for seed in range(20):
        scores = np.random.default_rng(seed).standard_normal((3, 5))
        pairs = alignment.monotone_partners(scores)
        assert all(a < c and b < d for (a, b), (c, d) in pairwise(pairs))
        assert np.isclose(sum(scores[i, j] for i, j in pairs), best_by_trying(scores))


def test_dropped_layers_stay_alone() -> None:
    """A suspect that lacks two layers is paired with the others in order; NaN never pairs."""
    scores = np.full((3, 5), -0.1)
    for i, j in enumerate((0, 2, 4)):
        scores[i, j] = 1.0
    assert alignment.monotone_partners(scores) == [(0, 0), (1, 2), (2, 4)]
    assert alignment.monotone_partners(np.full((2, 3), np.nan)) == []


def test_one_kind_chooses_what_the_other_is_tested_on() -> None:
    """V's layers are those where Q and K agree, whatever V says, and the other way round."""
    rng = np.random.default_rng(0)
    q, v = rng.standard_normal((3, 40)), rng.standard_normal((3, 40))
    suspect = {"q_bias": dict(enumerate(q)), "v_bias": dict(enumerate(v))}
    candidate = {"q_bias": dict(enumerate(q[[0, 2]])), "v_bias": dict(enumerate(v[[1, 2]]))}
    values, queries = alignment.cross_depth_pairs(suspect, candidate)
    assert {("v_bias", 0, 0), ("v_bias", 2, 1)} <= set(values)
    assert {("q_bias", 1, 0), ("q_bias", 2, 1)} <= set(queries)
    assert alignment.cross_depth_pairs({"q_bias": dict(enumerate(q))}, candidate)[1] == []
