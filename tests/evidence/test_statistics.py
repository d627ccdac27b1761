"""The figures of merit against hand-computed and published examples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.evidence.statistics import (
    bootstrap_cllr,
    cllr,
    cllr_floor,
    cllr_min,
    elub,
    pav,
    resampled,
    turing,
)

LN10 = math.log(10.0)


def truth(derived: int, unrelated: int) -> np.ndarray:
    """So many derived rows, then so many unrelated ones."""
    return np.repeat([True, False], [derived, unrelated])


def separated(kind: np.ndarray) -> np.ndarray:
    """ln LRs without any error."""
    return np.where(kind, 50.0, -50.0)


def drawn_twice() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """60 derived N(2,1) and 300 unrelated N(0,1), seed 7: ln LR on the drawn rows and on a second draw."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(7)
    kind = truth(60, 300)
    first, second = (np.concatenate([rng.normal(2, 1, 60), rng.normal(0, 1, 300)])[:, None] for _ in range(2))
    line = LogisticRegression(class_weight="balanced").fit(first, kind)
    return line.decision_function(first), line.decision_function(second), kind


def test_cllr_of_saying_nothing_is_one() -> None:
    """A likelihood ratio of 1 everywhere costs exactly one bit."""
    assert cllr(np.zeros(7), truth(3, 4)) == pytest.approx(1.0)


def test_cllr_by_hand() -> None:
    """LR 3 for a derived and 1/7 for an unrelated row cost the mean of log2(4/3) and log2(8/7)."""
    expected = 0.5 * (math.log2(4 / 3) + math.log2(8 / 7))
    assert cllr(np.log([3.0, 1 / 7]), truth(1, 1)) == pytest.approx(expected)


def test_cllr_of_extremes() -> None:
    """Infinite LRs cost nothing where right and infinitely much where wrong, without overflow."""
    assert cllr(np.array([math.inf, -math.inf]), truth(1, 1)) == 0.0
    assert cllr(np.array([-math.inf, -math.inf]), truth(1, 1)) == math.inf
    assert cllr(np.array([1e6, 1e6]), truth(1, 1)) == pytest.approx(0.5e6 / math.log(2))


def test_published_example() -> None:
    """The worked example of the reference implementation: ELUB, bounded Cllr, its minimum and calibration loss."""
    fitted, judged, kind = drawn_twice()
    bounds = elub(fitted, kind)
    bounded = np.clip(judged, bounds[0] * LN10, bounds[1] * LN10)
    assert list(bounds) == pytest.approx([-1.07, 1.69], abs=0.01)
    assert cllr(bounded, kind) == pytest.approx(0.4943, abs=5e-4)
    assert cllr_min(judged, kind) == pytest.approx(0.4118, abs=5e-5)
    assert cllr(bounded, kind) - cllr_min(judged, kind) == pytest.approx(0.0825, abs=5e-4)


@pytest.mark.parametrize(
    ("derived", "unrelated", "lower", "upper"),
    [(10, 30, -1.02, 1.44), (30, 100, -1.48, 1.99), (60, 300, -1.78, 2.47), (300, 3000, -2.47, 3.47)],
)
def test_elub_under_perfect_separation(derived: int, unrelated: int, lower: float, upper: float) -> None:
    """Without a single error the number of rows alone bounds the likelihood ratio."""
    kind = truth(derived, unrelated)
    assert list(elub(separated(kind), kind)) == pytest.approx([lower, upper], abs=0.01)


def test_duplicates_lift_elub_unless_cells_count_once() -> None:
    """Repeating every pair five times lifts the bound by 0.7; with cell weights it does not move."""
    kind = truth(30, 100)
    once = elub(separated(kind), kind)[1]
    repeated = np.repeat(kind, 5)
    assert elub(separated(repeated), repeated)[1] - once == pytest.approx(0.7, abs=0.01)
    assert elub(separated(repeated), repeated, np.full(repeated.size, 0.2))[1] == pytest.approx(once)


def test_elub_of_nonsense_is_zero() -> None:
    """LRs that mislead on both sides may not be used at all."""
    kind = truth(20, 20)
    assert elub(-separated(kind), kind) == (0.0, 0.0)


def test_pav_of_separated_rows_is_pure() -> None:
    """Where the order is perfect, hindsight makes every LR infinite, so the least cost is 0."""
    kind = truth(3, 5)
    assert pav(np.arange(8.0)[::-1].copy(), kind).tolist() == [math.inf] * 3 + [-math.inf] * 5
    assert cllr_min(np.arange(8.0)[::-1].copy(), kind) == 0.0


def test_pav_by_hand() -> None:
    """Order u d u d pools the middle two: with two of each kind their LR is 1, the ends are pure."""
    llr, kind = np.array([0.0, 1.0, 2.0, 3.0]), np.array([False, True, False, True])
    assert pav(llr, kind).tolist() == [-math.inf, 0.0, 0.0, math.inf]
    assert cllr_min(llr, kind) == pytest.approx(0.5)


rows = st.lists(st.tuples(st.floats(-20, 20), st.booleans()), min_size=2, max_size=40).filter(
    lambda found: len({kind for _, kind in found}) == 2
)


@given(rows)
@settings(deadline=None, max_examples=60)
def test_cllr_min_is_least_and_sees_only_order(found: list[tuple[float, bool]]) -> None:
    """Recalibration never costs more, and a strictly increasing change of LRs leaves the minimum alone."""
    llr, kind = np.array([x for x, _ in found]), np.array([y for _, y in found])
    llr = np.round(llr, 3)
    least = cllr_min(llr, kind)
    assert least <= cllr(llr, kind) + 1e-9
    assert cllr_min(np.arctan(llr / 20) * 3 + 1, kind) == pytest.approx(least, abs=1e-9)


@given(rows, st.integers(2, 5))
@settings(deadline=None, max_examples=40)
def test_weights_are_counts(found: list[tuple[float, bool]], times: int) -> None:
    """A row of weight k is k rows, for the cost and for the empirical bounds."""
    llr, kind = np.array([x for x, _ in found]), np.array([y for _, y in found])
    weights = np.where(np.arange(llr.size) % 2 == 0, float(times), 1.0)
    spread = np.repeat(np.arange(llr.size), weights.astype(int))
    assert cllr(llr, kind, weights) == pytest.approx(cllr(llr[spread], kind[spread]))
    assert elub(llr, kind, weights) == pytest.approx(elub(llr[spread], kind[spread]))


def test_turing() -> None:
    """The share of unrelated rows above LR x is compared with 1/x, and likewise mirrored."""
    llr = np.log([20.0, 20.0, 0.05, 20.0, 0.05, 0.05, 0.05, 0.05])
    kind = truth(3, 5)
    at_three, at_ten = turing(llr, kind)
    assert [at_three.unrelated_above, at_three.derived_below] == pytest.approx([0.2, 1 / 3])
    assert at_three.kept
    assert not at_ten.kept


@pytest.mark.parametrize(("families", "floor"), [(12, 0.115), (40, 0.036)])
def test_floor_of_capped_cllr(families: int, floor: float) -> None:
    """LRs held within the cap cannot cost less than the decision's floor."""
    assert cllr_floor(math.log10(families)) == pytest.approx(floor, abs=5e-4)
    kind = truth(5, 5)
    assert cllr(np.where(kind, 1, -1) * math.log(families), kind) == pytest.approx(
        cllr_floor(math.log10(families))
    )


def test_bootstrap_resamples_families_not_pairs() -> None:
    """A pair between families counts as often as both were drawn together, and the interval holds the estimate."""
    families = np.array([[0, 0], [0, 1], [1, 1], [1, 2], [2, 2], [0, 2]], dtype=np.intp)
    kind = families[:, 0] == families[:, 1]
    drawn = resampled(families, 3, 200, seed=1)
    assert (drawn[:, 1] == drawn[:, 0] * drawn[:, 2]).all()
    assert (drawn[:, kind].sum(axis=1) == 3).all()
    llr = np.where(kind, [2.0, 0, 1.0, 0, 0.2, 0], [0, -2.0, 0, -1.0, 0, -0.2])
    low, high = bootstrap_cllr(llr, kind, np.ones(6), drawn)
    assert low < cllr(llr, kind) < high


def test_nan_is_refused() -> None:
    """An LR that is not a number is an error, never a cost."""
    with pytest.raises(ValueError, match="NaN"):
        cllr(np.array([math.nan, 0.0]), truth(1, 1))


def test_one_class_is_refused() -> None:
    """Without unrelated rows there is nothing to compare with."""
    with pytest.raises(ValueError, match="both"):
        elub(np.zeros(3), truth(3, 0))
