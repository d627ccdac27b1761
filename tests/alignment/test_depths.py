"""Layers: which are examined, how they are aligned, and which could be found again at all."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from forensics import alignment


def rng(seed: int) -> np.random.Generator:
    """A seeded generator."""
    return np.random.Generator(np.random.PCG64(seed))


@pytest.mark.parametrize(("count", "most"), [(1, 12), (12, 12), (32, 12), (61, 12), (5, 2), (80, 3)])
def test_examined_layers_are_distinct_ordered_and_reach_both_ends(count: int, most: int) -> None:
    """At most `most` layers are examined, each once, with the first and the last among them."""
    chosen = alignment.evenly_spaced(count, most)
    assert len(chosen) == min(count, most)
    assert sorted(set(chosen)) == list(chosen)
    assert (chosen[0], chosen[-1]) == (0, count - 1)


def test_no_layers_give_no_layers() -> None:
    """A model without layers has nothing to examine."""
    assert alignment.evenly_spaced(0, 12) == ()


def test_free_layer_matching_follows_reordering_and_monotone_matching_does_not() -> None:
    """Swapped layers are found by free matching; monotone matching keeps order and gives up one of them."""
    similarity = np.eye(4)[[0, 2, 1, 3]]
    assert alignment.match_layers(similarity).tolist() == [0, 2, 1, 3]
    kept = [j for j in alignment.match_layers(similarity, monotone=True).tolist() if j >= 0]
    assert kept == sorted(kept)
    assert len(kept) == 3


def test_monotone_matching_is_the_best_in_order() -> None:
    """No increasing partial matching has a larger sum than the one found by dynamic programming."""
    similarity = rng(2).standard_normal((4, 5))
    found = alignment.match_layers(similarity, monotone=True)
    total = sum(similarity[i, j] for i, j in enumerate(found.tolist()) if j >= 0)
    best = 0.0
    for k in range(1, 5):
        for rows in itertools.combinations(range(4), k):
            for columns in itertools.combinations(range(5), k):
                best = max(best, sum(similarity[i, j] for i, j in zip(rows, columns, strict=True)))
    assert total == pytest.approx(best)


def test_layers_repeated_as_a_block_are_both_found_though_order_is_kept() -> None:
    """Layers 0 to 3 followed by 2 to 5 again: in order where nothing is clear, and every copy at its original."""
    kept = [0, 1, 2, 3, 2, 3, 4, 5]
    similarity = np.eye(6)[kept] + 0.01 * rng(1).standard_normal((8, 6))
    assert alignment.match_repeated(similarity, 0.3, monotone=True).tolist() == kept


def test_layers_that_are_not_clear_stay_in_order() -> None:
    """Noise that prefers another order is not followed, whereas free assignment would follow it."""
    similarity = 0.05 * rng(2).random((12, 12))
    found = [j for j in alignment.match_repeated(similarity, 0.3, monotone=True).tolist() if j >= 0]
    assert found == sorted(found)
    assert sorted(alignment.match_repeated(similarity, 0.3).tolist()) == list(range(12))


def answers(found: dict[int, int], theirs: list[int], depth: int, rows: int = 12) -> list[int]:
    """Rows that count when these rows are found at these positions of `theirs`."""
    partner = [found.get(i, -1) for i in range(rows)]
    likeness = [1.0 if i in found else 0.0 for i in range(rows)]
    counts = alignment.answerable(likeness, partner, theirs, depth, 0.5)
    return np.flatnonzero(counts).tolist()


def test_a_layer_whose_counterpart_was_not_examined_tells_nothing() -> None:
    """Between layers 4 and 8 of the other model only 6 was examined, so a row there may be 5 or 7."""
    theirs = [0, 2, 4, 6, 8, 12, 19, 23, 25, 27, 29, 31]
    found = {0: 0, 1: 1, 2: 2, 4: 4, 11: 11}
    assert answers(found, theirs, 32) == sorted(found)


def test_a_layer_whose_counterpart_would_have_been_examined_counts_as_missing() -> None:
    """Where every layer of the gap was examined, or there is no gap, a row without partner is a new layer."""
    theirs = list(range(12))
    found = {i: i for i in range(12) if i not in {3, 4}}
    assert answers(found, theirs, 12) == list(range(12))
    assert answers({0: 0, 1: 1, 2: 2, 4: 3, 5: 4, 6: 5}, theirs, 24, 7) == list(range(7))


def test_few_found_layers_excuse_no_others() -> None:
    """Two layers of twelve are less than luck alone leaves of a descendant: the rest counts as missing."""
    theirs = [0, 2, 4, 6, 8, 12, 19, 23, 25, 27, 29, 31]
    assert answers({0: 0, 4: 4}, theirs, 32) == list(range(12))
    assert answers({}, theirs, 32) == list(range(12))


def test_absurd_depths_end_at_once() -> None:
    """A depth of a million million is not counted through."""
    assert answers({i: i for i in range(6)}, list(range(12)), 10**12) == list(range(6))
