"""Next tokens laid side by side: agreement, divergence as a lower bound, tests against other candidates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.stats import binomtest

from forensics.alignment import NextTokens, beyond_chance, nearer, stepped_down


def tokens(probs: NDArray[np.float64], kept: int, vocabulary: Any = range(100)) -> NextTokens:
    """What is kept of whole distributions (n, tokens): the likeliest, hashed as their own ids."""
    order = np.argsort(-probs, axis=1)[:, :kept]
    return NextTokens(
        hashes=order.astype(np.uint64),
        probs=np.take_along_axis(probs, order, axis=1),
        likeliest=tuple(b"t%d" % token for token in order[:, 0]),
        vocabulary=np.array(list(vocabulary), np.uint64),
    )


def drawn(seed: int, n: int = 30, size: int = 60) -> NDArray[np.float64]:
    """Distributions as peaked as those of models."""
    return np.random.default_rng(seed).dirichlet(np.full(size, 0.1), n)


def test_divergence_is_exact_where_all_is_kept_and_lower_elsewhere() -> None:
    """Over the whole vocabulary it is scipy's in bits; over fewer tokens never larger, and still most of it."""
    p, q = drawn(0), 0.5 * drawn(0) + 0.5 * drawn(1)
    exact = jensenshannon(p, q, axis=1, base=2) ** 2
    np.testing.assert_allclose(tokens(p, 60).divergences(tokens(q, 60)), exact, atol=1e-9)
    lower = tokens(p, 20).divergences(tokens(q, 20))
    assert (lower <= exact + 1e-12).all()
    assert lower.mean() > 0.6 * exact.mean()
    np.testing.assert_allclose(tokens(p, 12).divergences(tokens(p, 12)), 0.0, atol=1e-12)


def test_agreement_is_equality_in_one_vocabulary_and_a_common_beginning_in_two() -> None:
    """Equal hashes agree in one vocabulary, a common beginning in two; an empty token agrees with nothing."""
    one = NextTokens(
        hashes=np.array([[1], [2], [3]], np.uint64),
        probs=np.ones((3, 1)),
        likeliest=(b" the", b"", b"x"),
        vocabulary=np.arange(50, dtype=np.uint64),
    )
    other = NextTokens(
        hashes=np.array([[1], [9], [2]], np.uint64),
        probs=np.ones((3, 1)),
        likeliest=(b" t", b"", b"y"),
        vocabulary=np.arange(100, 150, dtype=np.uint64),
    )
    assert one.agreements(other).tolist() == [[True, False, False], [False] * 3, [False] * 3]
    alike = NextTokens(
        hashes=other.hashes, probs=other.probs, likeliest=other.likeliest, vocabulary=one.vocabulary
    )
    assert one.agreements(alike).tolist() == [[True, False, False], [False, False, True], [False] * 3]


def test_a_few_added_tokens_leave_one_vocabulary() -> None:
    """Nine in ten smallest hashes in common are one vocabulary, half of them are two."""
    mine = tokens(drawn(0), 4)
    assert mine.shares_vocabulary(tokens(drawn(0), 4, range(5, 105)))
    assert not mine.shares_vocabulary(tokens(drawn(0), 4, range(50, 150)))


def test_chance_is_what_other_places_agree_to() -> None:
    """Two models with the same habit and no place in common agree by chance alone."""
    ours = np.array([0, 0, 0, 1])
    theirs = np.array([0, 0, 1, 0])
    same, chance = beyond_chance(ours[:, None] == theirs[None, :])
    assert same == pytest.approx(2 / 4)
    assert chance == pytest.approx((10 - 2) / 12)


def test_texts_are_the_units_of_the_test() -> None:
    """A text counts once however many of its places speak, and one that is even counts for neither."""
    texts = np.repeat(np.arange(12), 5)
    ours, theirs = np.ones(60, np.bool_), np.zeros(60, np.bool_)
    theirs[texts == 0] = True
    ours[texts == 1], theirs[texts == 1] = False, True
    won, lost, p = nearer(texts.tolist(), ours, theirs)
    assert (won, lost) == (10, 1)
    assert p == pytest.approx(binomtest(10, 11, alternative="greater").pvalue)
    assert nearer(texts.tolist(), theirs, theirs) == (0, 0, 1.0)


def test_correction_is_holm_times_the_choice() -> None:
    """Smallest first, never falling, times the number that the nearest was chosen from, at most 1."""
    assert stepped_down([0.03, 0.001, 0.02], 4) == pytest.approx([0.16, 0.012, 0.16])
    assert stepped_down([0.5], 2) == [1.0]
    assert stepped_down([], 2) == []
