"""Near-initial rows: told apart on one model alone."""

from __future__ import annotations

import numpy as np

from forensics.alignment import distinct, near_initial


def rows_of(seed: int = 0) -> np.ndarray:
    """40 independent draws with a shared drift, then 40 trained rows of a few shared directions."""
    rng = np.random.Generator(np.random.PCG64(seed))
    drawn = rng.standard_normal((40, 128)) + 0.8 * rng.standard_normal(128)
    trained = rng.standard_normal((40, 5)) @ rng.standard_normal((5, 128)) + 0.5 * rng.standard_normal(
        (40, 128)
    )
    return np.concatenate([drawn, trained])


def test_draws_are_kept_and_trained_rows_are_not() -> None:
    """Most of the independent rows stay despite their shared drift, none of those with shared directions."""
    kept = near_initial(rows_of())
    assert kept[:40].mean() > 0.8
    assert not kept[40:].any()


def test_trained_rows_alone_leave_nothing() -> None:
    """Where no row is independent, nothing is kept."""
    assert not near_initial(rows_of()[40:]).any()


def test_the_choice_does_not_move_under_signed_permutations() -> None:
    """Negating and re-ordering channels changes nothing of which rows are kept."""
    rng, rows = np.random.Generator(np.random.PCG64(1)), rows_of()
    moved = rows[:, rng.permutation(128)] * rng.choice([-1.0, 1.0], 128)
    assert (near_initial(moved) == near_initial(rows)).all()


def test_zero_constant_duplicate_and_broken_rows_are_not_distinct() -> None:
    """New tokens set to the mean row, padding and NaN carry no draw."""
    rows = np.random.Generator(np.random.PCG64(2)).standard_normal((9, 16)).astype(np.float32)
    rows[1], rows[2], rows[4], rows[5] = 0.0, 0.3, rows[3], np.nan
    assert distinct(rows).tolist() == [True, False, False, False, False, False, True, True, True]


def test_few_rows_are_none() -> None:
    """Fewer than eight rows cannot show that they are independent of each other."""
    assert not near_initial(rows_of()[:7]).any()
