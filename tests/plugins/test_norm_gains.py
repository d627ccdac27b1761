"""norm-gains: the right statistic on the very tensors whose raw cosine accuses everybody."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from forensics import Abstain, Group, Measurement, Reason, SignKind
from forensics.readings import Abstention
from plugins.norm_gains import NormGains
from tests.standin import Key, StandIn, architecture_of, run_sketch

WIDTH, LAYERS = 128, 4
Tensors = dict[Key, np.ndarray]


def model(seed: int, layers: int = LAYERS, width: int = WIDTH) -> Tensors:
    """Gains near one with outlier channels common to all layers, and a query matrix that looks trained."""
    rng = np.random.default_rng(seed)
    importance = np.exp(0.15 * rng.standard_normal(width)) + 3.0 * (rng.random(width) < 0.03)
    tensors: Tensors = {("final_norm", None, None): importance * rng.uniform(0.9, 1.1, width)}
    for layer in range(layers):
        for kind in ("input_norm", "mlp_norm"):
            wiggle = np.exp(0.05 * rng.standard_normal(width)) + 0.02 * np.abs(rng.standard_cauchy(width))
            tensors[kind, layer, None] = importance * wiggle
        heads = np.repeat(rng.uniform(0.5, 2.0, 4), width // 4)
        tensors["q_proj", layer, None] = heads[:, None] * rng.standard_normal((width, width))
    return tensors


def standin(tensors: Tensors, layers: int = LAYERS, width: int = WIDTH) -> StandIn:
    """A checkpoint of these tensors."""
    return StandIn(tensors, architecture_of(layers=layers, width=width))


def measure(suspect: StandIn, candidate: StandIn, draws: int = 999) -> Measurement:
    """The probe's reading of two stand-ins."""
    probe = NormGains(draws=draws)
    return probe.compare(run_sketch(probe, suspect), run_sketch(probe, candidate))


def is_gain(key: Key) -> bool:
    """Whether a tensor is a norm gain."""
    return key[0].endswith("_norm")


def test_unrelated_models_have_raw_cosine_near_one_and_value_near_zero() -> None:
    """What accuses everybody is shown and marked; what is measured stays within a few null deviations of zero."""
    found = measure(standin(model(1)), standin(model(2)))
    assert float(found.facts["raw_cosine_meaningless"] or 0) > 0.6
    assert abs(found.value) < 0.35
    assert abs(float(found.facts["z"] or 0)) < 4
    assert found.exact is not None
    assert found.exact.p > 1e-3
    assert any("meaningless" in column for column in found.tables[0].columns)


def test_a_descendant_is_found_beyond_the_resolution_of_monte_carlo() -> None:
    """A copy with 3 % noise on every gain has value near one and p ≤ 1e-6; every layer speaks, for its tensor group."""
    base, rng = model(3), np.random.default_rng(0)
    child = {k: w * (1 + 0.03 * rng.standard_normal(w.shape)) for k, w in base.items()}
    found = measure(standin(child), standin(base))
    assert found.value > 0.8
    assert found.exact is not None
    assert found.exact.p <= 1e-6
    assert "no normal approximation" in found.exact.method
    assert len(found.layers) == LAYERS
    assert all(r is not None and r > 0.8 for r in found.layers)
    assert found.group is Group.NORM_AND_BIAS
    assert found.facts["width"] == WIDTH


def test_the_level_holds_over_unrelated_heavy_tailed_pairs() -> None:
    """Among 300 unrelated pairs the count of p ≤ 0.05 lies within the central 99.98 % of a binomial of level 0.05."""
    probe, width = NormGains(draws=199), 32
    sketches = [run_sketch(probe, standin(model(n, 2, width), 2, width)) for n in range(600)]
    p_values = [
        found.exact.p
        for a, b in zip(sketches[::2], sketches[1::2], strict=True)
        if (found := probe.compare(a, b)).exact
    ]
    rejected = sum(p <= 0.05 for p in p_values)
    assert len(p_values) == 300
    assert binom.ppf(1e-4, 300, 0.05) <= rejected <= binom.isf(1e-4, 300, 0.05)


def test_permuting_the_residual_stream_hides_and_leaves_no_false_alarm() -> None:
    """A descendant with permuted channels reads as unrelated: the identity basis is what this probe is about."""
    base = model(4)
    order = np.random.default_rng(1).permutation(WIDTH)
    hidden = {k: w[order] if is_gain(k) else w for k, w in base.items()}
    found = measure(standin(hidden), standin(base))
    assert found.exact is not None
    assert found.exact.p > 1e-3


def test_other_depths_are_compared_by_layer_means_and_say_so() -> None:
    """A descendant with a layer dropped is found through the mean gain per kind; no layer values are claimed."""
    base = model(5)
    pruned = {(r, n - (n > 1) if n is not None else None, e): w for (r, n, e), w in base.items() if n != 1}
    found = measure(standin(pruned, LAYERS - 1), standin(base))
    assert found.value > 0.8
    assert "averaged over layers" in str(found.facts["paired_by"])
    assert found.layers == ()


def test_flipped_gains_are_matched_by_magnitude_and_reported() -> None:
    """Negating a fifth of the gains (and what they feed) neither hides the descent nor goes unnoticed."""
    base, rng = model(6), np.random.default_rng(2)
    tricked = {k: w * np.where(rng.random(WIDTH) < 0.2, -1, 1) if is_gain(k) else w for k, w in base.items()}
    found = measure(standin(tricked), standin(base))
    assert found.value == pytest.approx(1.0)
    assert [sign.sign for sign in found.signs] == [SignKind.TAMPERING]


def test_mostly_constant_gains_are_a_sign_of_folding() -> None:
    """Where most norms of the suspect alone are constant, the rest is read and a sign of tampering given."""
    base = model(7)
    folded = {k: np.ones_like(w) if is_gain(k) and k[1] is not None else w for k, w in base.items()}
    found = measure(standin(folded), standin(base))
    assert found.facts["norms"] == 1
    assert [sign.sign for sign in found.signs] == [SignKind.TAMPERING]
    assert measure(standin(base), standin(folded)).signs == ()


def test_constant_gains_abstain_and_say_whether_that_is_suspicious() -> None:
    """All-ones gains abstain; only beside attention weights that look trained does the reason speak of folding."""
    base, rng = model(8), np.random.default_rng(3)
    folded = {k: np.ones_like(w) if is_gain(k) else w for k, w in base.items()}
    fresh = {k: np.ones_like(w) if is_gain(k) else rng.standard_normal(w.shape) for k, w in base.items()}
    for suspect, suspicious in ((folded, True), (fresh, False)):
        with pytest.raises(Abstain) as answer:
            measure(standin(suspect), standin(base))
        assert answer.value.reason is Reason.NOT_INFORMATIVE
        assert ("tampering" in answer.value.detail) is suspicious


def test_other_widths_abstain() -> None:
    """Streams of different width have no channels in common to compare."""
    with pytest.raises(Abstain) as answer:
        measure(standin(model(9)), standin(model(9, width=64), width=64))
    assert answer.value.reason is Reason.NOT_COMPARABLE


def test_missing_and_hostile_gains_abstain_or_are_left_out() -> None:
    """No gains and only NaN gains abstain; a vector with NaN costs itself alone, and its layer reads None."""
    base = model(10)
    bare = run_sketch(NormGains(), standin({k: w for k, w in base.items() if not is_gain(k)})).absent
    spoilt = run_sketch(
        NormGains(), standin({k: w * np.nan if is_gain(k) else w for k, w in base.items()})
    ).absent
    assert isinstance(bare, Abstention)
    assert bare.reason is Reason.MISSING_TENSORS
    assert isinstance(spoilt, Abstention)
    assert spoilt.reason is Reason.NOT_FINITE
    one = {k: w.copy() for k, w in base.items()}
    one["input_norm", LAYERS - 1, None][5] = np.inf
    one["mlp_norm", LAYERS - 1, None][5] = np.nan
    found = measure(standin(one), standin(base))
    assert found.facts["norms"] == 2 * LAYERS - 1
    assert found.layers == (*(pytest.approx(1.0),) * (LAYERS - 1), None)
    assert found.value == pytest.approx(1.0)


def test_the_seed_decides_and_the_draws_are_a_parameter() -> None:
    """Same sketches, same numbers; draws and seed are in the parameters of the finding."""
    a, b = standin(model(11)), standin(model(12))
    assert measure(a, b) == measure(a, b)
    assert NormGains().parameters() == {"draws": 9999, "seed": 0}


def test_channels_sorted_by_a_tool_give_no_exact_p() -> None:
    """Unrelated models whose channels both stand sorted by gain are measured, without a p that would accuse them."""
    sides = []
    for seed in (1, 2):
        tensors = model(seed)
        order = np.argsort(np.mean([tensors[key] for key in tensors if is_gain(key)], axis=0))
        sides.append(
            standin({key: value[order] if is_gain(key) else value for key, value in tensors.items()})
        )
    found = measure(*sides)
    assert found.value > 0.5
    assert found.exact is None
    assert found.group is None
    assert "probability" not in found.summary
    assert "sorted" in str(found.facts["exact_withheld"])
    assert measure(sides[0], standin(model(2))).exact is not None
