"""Curves, misleading evidence and intervals against numbers computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from forensics.evidence.coverage import halves_coverage, interval_coverage
from forensics.evidence.fitting import Fit, Rows, fit
from forensics.evidence.statistics import cllr, resampled
from forensics.evidence.validation import (
    cost,
    costs,
    empirical_cross_entropy,
    intervals,
    judge,
    misleading,
    part,
    tippett,
    transfer,
)

TRUTH = np.array([True, True, True, False, False])
LLR = np.log([20.0, 2.0, 0.5, 4.0, 0.1])
WEIGHTS = np.array([1.0, 1.0, 2.0, 1.0, 3.0])


def population(families: int = 24, apart: float = 3.0, seed: int = 5, groups: int = 1) -> Rows:
    """Per family 2 derived pairs and one unrelated pair with each of two others; readings shifted by group."""
    rng = np.random.Generator(np.random.PCG64(seed))
    features, pairs = [], []
    for a in range(families):
        for other in (a, a, (a + groups) % families, (a + 2 * groups) % families):
            features.append([rng.normal(apart if a == other else 0.0, 1.0)])
            pairs.append(sorted((a, other)))
    both = np.array(pairs, dtype=np.intp)
    return Rows(
        features=np.array(features),
        derived=both[:, 0] == both[:, 1],
        families=both,
        cells=np.unique(both, axis=0, return_inverse=True)[1].reshape(-1).astype(np.intp),
        family_count=families,
    )


def test_misleading_by_hand() -> None:
    """Of derived mass 4 the row with LR 0.5 holds 2, of unrelated mass 4 the row with LR 4 holds 1."""
    assert misleading(LLR, TRUTH, WEIGHTS) == (0.5, 0.25)


def test_an_lr_of_one_misleads_nobody() -> None:
    """LR 1 is support for neither side; a kind without rows has no rate."""
    assert misleading(np.zeros(5), TRUTH, WEIGHTS) == (0.0, 0.0)
    first, second = misleading(LLR[:3], TRUTH[:3], WEIGHTS[:3])
    assert first == 0.5
    assert math.isnan(second)


def test_tippett_by_hand() -> None:
    """Shares at or above LR 0.01, 1, 4 and 100, equality included."""
    derived, unrelated = tippett(LLR, TRUTH, WEIGHTS, np.log10([0.01, 1.0, 4.0, 100.0]))
    assert derived.tolist() == [1.0, 0.5, 0.25, 0.0]
    assert unrelated.tolist() == [1.0, 0.25, 0.25, 0.0]


def test_cross_entropy_by_hand() -> None:
    """At odds 3 a derived row of LR 2 leaves log2(1 + 1/6) bits, an unrelated one of LR 1/2 log2(1 + 3/2)."""
    found = empirical_cross_entropy(
        np.log([2.0, 0.5]), np.array([True, False]), np.ones(2), np.array([math.log10(3.0)])
    )
    assert found[0] == pytest.approx(0.75 * math.log2(7 / 6) + 0.25 * math.log2(2.5))


def test_cross_entropy_at_even_odds_is_cllr() -> None:
    """At prior odds 1 the two are one; LR 1 leaves the entropy of the prior."""
    at = np.array([0.0, 1.0])
    assert empirical_cross_entropy(LLR, TRUTH, WEIGHTS, at)[0] == pytest.approx(cllr(LLR, TRUTH, WEIGHTS))
    prior = 10 / 11
    entropy = -prior * math.log2(prior) - (1 - prior) * math.log2(1 - prior)
    assert empirical_cross_entropy(np.zeros(5), TRUTH, WEIGHTS, at)[1] == pytest.approx(entropy)


def test_cross_entropy_survives_infinite_lrs() -> None:
    """Infinite LRs that are right leave nothing."""
    sure = np.where(TRUTH, math.inf, -math.inf)
    assert empirical_cross_entropy(sure, TRUTH, WEIGHTS, np.array([-2.0, 0.0, 2.0])).tolist() == [
        0.0,
        0.0,
        0.0,
    ]


def test_cost_is_its_parts_and_lies_in_its_interval() -> None:
    """Cllr is Cllr_min and Cllr_cal; intervals over families hold the value, and no row left out makes one infinite."""
    judged = judge(population(apart=1.5))
    assert judged is not None
    whole, least, loss = costs(judged)
    assert whole == cost(judged) == pytest.approx(least + loss)
    assert least <= whole
    ends = intervals(judged, costs, draws=60, seed=1)
    assert np.isfinite(ends).all()
    for (low, high), value in zip(ends[:2], (whole, least), strict=True):
        assert low < high
        assert low - 0.1 < value < high + 0.1


def test_leaving_out_one_group_of_all_judges_nothing() -> None:
    """If every family is of one architecture, no fit is left to judge by."""
    rows = population()
    assert judge(rows, np.zeros(24, dtype=np.intp)) is None


def test_a_group_is_judged_without_its_families() -> None:
    """Moving a group's own readings changes what the others are judged by, not the fit that judges the group."""
    rows = population(groups=2)
    group_of = np.arange(24, dtype=np.intp) % 2
    own = (group_of[rows.families] == 0).all(axis=1)
    before = judge(rows, group_of)
    moved = Rows(
        features=np.where((own & rows.derived)[:, None], rows.features + 4.0, rows.features),
        derived=rows.derived,
        families=rows.families,
        cells=rows.cells,
        family_count=24,
    )
    after = judge(moved, group_of)
    assert before is not None
    assert after is not None
    same = own & ~rows.derived
    assert after.raw[same] == pytest.approx(before.raw[same])
    assert after.raw[~own] != pytest.approx(before.raw[~own])


def test_transfer_judges_by_the_seen_rows_alone() -> None:
    """LRs and bounds come from the rows seen; without one kind of pair among either there is nothing to say."""
    rows = population()
    seen, rest = (rows.families < 12).all(axis=1), (rows.families >= 12).all(axis=1)
    found = transfer(rows, seen, rest)
    known = part(rows, seen)
    within = judge(known)
    assert found is not None
    assert within is not None
    assert found.bounds == within.bounds
    expected = fit(known.features, known.derived, known.weights()).llr(rows.features[rest])
    assert found.raw == pytest.approx(expected)
    assert transfer(rows, seen, rest & rows.derived) is None
    assert transfer(rows, np.zeros_like(seen), rest) is None


def test_part_keeps_cells_and_families_apart() -> None:
    """A part holds the same rows with families and cells numbered from 0."""
    rows = population()
    some = part(rows, (rows.families >= 20).all(axis=1))
    assert some.family_count == 4
    assert set(np.unique(some.families)) == {0, 1, 2, 3}
    assert some.weights().sum() == pytest.approx(np.unique(some.cells).size)


def _line(level: float) -> Fit:
    """A fit that says `level` of everything."""
    return Fit(intercept=level, slopes=np.zeros(1), centre=np.zeros(1), spread=np.ones(1))


def test_interval_coverage_by_hand() -> None:
    """Replicas without family 0 say −1 to 1 and hold 0; those without any other say 1 to 3 and do not."""
    rows = population(families=6)
    samples = np.ones((80, rows.derived.size))
    levels = np.empty(80)
    for draw in range(80):
        family = 0 if draw < 40 else 1 + draw % 2
        samples[draw, (rows.families == family).any(axis=1)] = 0.0
        levels[draw] = (-1.0 if draw % 4 < 2 else 1.0) + (0.0 if draw < 40 else 2.0)
    covered = interval_coverage(rows, _line(0.0), [_line(level) for level in levels], samples)
    assert covered == pytest.approx((1 / 3, 1 / 3))


def test_intervals_that_hold_between_halves() -> None:
    """On families drawn from one population, a half's interval holds most of what the other half says."""
    covered = halves_coverage(population(families=60, apart=2.0), splits=4, draws=60, seed=3)
    assert all(0.6 < share <= 1.0 for share in covered)


def test_intervals_too_narrow_are_told() -> None:
    """Where the two kinds of families contradict each other, replicas of one draw cannot hold the other half."""
    rows = population(families=60, apart=2.0)
    once = resampled(rows.families, 60, 60, 1)
    same = fit(rows.features, rows.derived, rows.weights())
    off = Fit(intercept=same.intercept + 3.0, slopes=same.slopes, centre=same.centre, spread=same.spread)
    assert interval_coverage(rows, off, [same] * 60, once) == (0.0, 0.0)


def test_no_interval_where_no_sample_holds_both_kinds() -> None:
    """With one kind of pair there is no interval, and no error."""
    judged = judge(population())
    assert judged is not None
    alone = judged.only(judged.derived)
    assert np.isnan(intervals(alone, lambda found: (cost(found),) if found.complete else (0.0,), 20, 1)).all()
