"""The regression: its optimum, its signs, its families."""

from __future__ import annotations

import numpy as np
import pytest

from forensics.evidence.assessment import assess
from forensics.evidence.fitting import Rows, balanced, fit, out_of_fold
from forensics.evidence.statistics import cllr


def population(families: int = 40, probes: int = 4, seed: int = 11, shared: float = 0.9) -> Rows:
    """Per family 3 derived and 6 unrelated pairs, read by probes that mostly repeat each other."""
    rng = np.random.Generator(np.random.PCG64(seed))
    features, pairs = [], []
    for a in range(families):
        for other in [a] * 3 + [(a + 1 + k) % families for k in range(6)]:
            latent = rng.normal(1.8 if a == other else 0.0, 1.0)
            features.append(shared * latent + np.sqrt(1 - shared**2) * rng.normal(size=probes))
            pairs.append(sorted((a, other)))
    both = np.array(pairs, dtype=np.intp)
    cells = np.unique(both, axis=0, return_inverse=True)[1].reshape(-1).astype(np.intp)
    return Rows(
        features=np.array(features),
        derived=both[:, 0] == both[:, 1],
        families=both,
        cells=cells,
        family_count=families,
    )


def test_same_optimum_as_scikit_learn() -> None:
    """Where no slope wants to be negative, the bounded optimum is scikit-learn's."""
    from sklearn.linear_model import LogisticRegression

    rows = population()
    weights = rows.weights()
    ours = fit(rows.features, rows.derived, weights)
    assert (ours.slopes > 0).all()
    scaled = (rows.features - ours.centre) / ours.spread
    theirs = LogisticRegression(C=1.0, tol=1e-10, max_iter=5000)
    theirs.fit(scaled, rows.derived, sample_weight=balanced(rows.derived, weights))
    assert ours.slopes == pytest.approx(theirs.coef_[0], abs=1e-4)
    assert ours.intercept == pytest.approx(theirs.intercept_[0], abs=1e-4)


def test_no_slope_is_negative() -> None:
    """A probe that runs the wrong way is silenced, and the others are fitted as if it were not there."""
    rows = population()
    wrong = np.column_stack([rows.features, -rows.features[:, 0] - rows.features[:, 1]])
    with_it = fit(wrong, rows.derived, rows.weights())
    without = fit(rows.features, rows.derived, rows.weights())
    assert with_it.slopes[-1] == 0.0
    assert with_it.slopes[:-1] == pytest.approx(without.slopes, abs=1e-4)


def test_prior_of_the_reference_set_is_gone() -> None:
    """Ten times as many unrelated rows of the same kind leave the log LR where it was."""
    rows = population()
    often = np.repeat(np.arange(rows.derived.size), np.where(rows.derived, 1, 10))
    # Weights are scaled so that the evidence, not the count, is the same for the penalty.
    weights = np.ones(rows.derived.size)
    once = fit(rows.features, rows.derived, weights)
    many = fit(rows.features[often], rows.derived[often], np.full(often.size, weights.sum() / often.size))
    assert many.llr(rows.features) == pytest.approx(once.llr(rows.features), abs=1e-4)


def test_a_cell_counts_once() -> None:
    """Repeating the pairs of a family cell changes nothing."""
    rows = population(families=8)
    often = np.repeat(np.arange(rows.derived.size), np.where(rows.cells == rows.cells[0], 7, 1))
    repeated = Rows(
        features=rows.features[often],
        derived=rows.derived[often],
        families=rows.families[often],
        cells=rows.cells[often],
        family_count=8,
    )
    one, seven = (fit(r.features, r.derived, r.weights()) for r in (rows, repeated))
    assert seven.llr(rows.features) == pytest.approx(one.llr(rows.features), abs=1e-4)


def test_out_of_fold_never_sees_the_families_it_judges() -> None:
    """Falsifying one pair of a family moves no other pair's log LR of that family, but does move strangers'."""
    rows = population(families=10)
    honest = out_of_fold(rows)
    features = rows.features.copy()
    features[0] = -50.0
    falsified = out_of_fold(
        Rows(
            features=features,
            derived=rows.derived,
            families=rows.families,
            cells=rows.cells,
            family_count=10,
        )
    )
    kin = (rows.families == rows.families[0, 0]).any(axis=1)
    kin[0] = False
    assert (falsified[kin] == honest[kin]).all()
    assert (falsified[~kin] != honest[~kin])[1:].any()


def test_one_family_gives_nothing() -> None:
    """Without a second family there is no one to learn from, and the assessment says so."""
    rows = population(families=2)
    lone = rows.families[:, 0] == rows.families[:, 1]
    single = Rows(
        features=rows.features[lone],
        derived=rows.derived[lone],
        families=rows.families[lone],
        cells=rows.cells[lone],
        family_count=2,
    )
    assert np.isnan(out_of_fold(single)).all()
    assert assess(single, seed=1, draws=60) is None


def test_fusion_beats_adding_weights_up() -> None:
    """On probes that repeat each other, the sum of single log LRs costs more than the fused one."""
    rows = population(shared=0.95)
    weights = rows.weights()
    singles = [
        out_of_fold(
            Rows(
                features=rows.features[:, [k]],
                derived=rows.derived,
                families=rows.families,
                cells=rows.cells,
                family_count=rows.family_count,
            )
        )
        for k in range(4)
    ]
    fused = cllr(out_of_fold(rows), rows.derived, weights)
    added = cllr(np.sum(singles, axis=0), rows.derived, weights)
    assert fused < min(cllr(llr, rows.derived, weights) for llr in singles) + 0.02
    assert added > fused + 0.1


def test_assessment_is_deterministic_and_bounded_by_families() -> None:
    """The same rows and seed give the same numbers, and neither bound passes log10 of the families."""
    rows = population(families=12)
    first, second = (assess(rows, seed=4, draws=60) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.replicas[7].slopes.tolist() == second.replicas[7].slopes.tolist()
    assert first.bounds == second.bounds
    assert first.bounds.cap <= np.log10(12)
    assert first.cllr_interval[0] < first.cllr < first.cllr_interval[1]
    assert first.cllr_min <= first.cllr


def test_replicas_are_written_on_one_scale() -> None:
    """A fit rewritten with another centre and spread is the same function."""
    rows = population(families=12)
    fitted = fit(rows.features, rows.derived, rows.weights())
    moved = fitted.on(fitted.centre + 1.5, fitted.spread * 3.0)
    assert moved.llr(rows.features) == pytest.approx(fitted.llr(rows.features))
