"""qkv-bias: signs count, magnitudes do not, and only signs that are truly free are flipped."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from forensics import Abstain, Group, Measurement, Reason, alignment
from forensics.readings import Abstention
from plugins.qkv_bias import KINDS, SCATTERED, QkvBias
from tests.standin import Key, StandIn, architecture_of, run_sketch

HEADS, KV_HEADS, HEAD_DIM, LAYERS = 4, 2, 16, 4
Tensors = dict[Key, np.ndarray]


def model(seed: int, layers: int = LAYERS) -> Tensors:
    """Biases as Qwen2 has them: Q and K magnitudes follow the rotary frequency, pair by pair, with Cauchy tails."""
    rng = np.random.default_rng(seed)
    envelope = np.tile(np.geomspace(0.01, 30.0, HEAD_DIM // 2), 2)
    tensors: Tensors = {}
    for layer in range(layers):
        for kind in KINDS:
            heads = HEADS if kind == "q_bias" else KV_HEADS
            size = envelope if kind != "v_bias" else 0.1
            tensors[kind, layer, None] = (size * rng.standard_cauchy((heads, HEAD_DIM))).ravel()
    return tensors


def standin(tensors: Tensors, layers: int = LAYERS, **facts: Any) -> StandIn:
    """A Qwen2 checkpoint with these biases."""
    shape = {"heads": HEADS, "kv_heads": KV_HEADS, "head_dim": HEAD_DIM, "declared": "Qwen2ForCausalLM"}
    return StandIn(tensors, architecture_of(layers=layers, width=HEADS * HEAD_DIM, **{**shape, **facts}))


def measure(suspect: StandIn, candidate: StandIn, draws: int = 999) -> Measurement:
    """The probe's reading of two stand-ins."""
    probe = QkvBias(draws=draws)
    return probe.compare(run_sketch(probe, suspect), run_sketch(probe, candidate))


def p_of(found: Measurement) -> float:
    """The exact p-value."""
    assert found.exact is not None
    return found.exact.p


def test_unrelated_models_share_magnitudes_and_nothing_else() -> None:
    """Magnitudes agree because of the rotary frequencies; the signed value is near zero and not significant."""
    size = {"q_bias": 1.0, "k_bias": 1.0, "v_bias": 1.0}
    gauss = [
        {k: size[k[0]] * np.sign(w) * np.abs(w) ** 0.3 for k, w in model(seed).items()} for seed in (1, 2)
    ]
    found = measure(standin(gauss[0]), standin(gauss[1]))
    assert float(found.facts["magnitudes_only_no_evidence"] or 0) > 0.3
    assert abs(found.value) < 0.2
    assert p_of(found) > 1e-3


def test_a_descendant_is_found_beyond_the_resolution_of_monte_carlo() -> None:
    """A copy with 10 % noise has value above 0.9, p ≤ 1e-6 from the rigorous bound, and every layer speaking."""
    base, rng = model(3), np.random.default_rng(0)
    child = {k: w * (1 + 0.1 * rng.standard_normal(w.shape)) for k, w in base.items()}
    found = measure(standin(child), standin(base))
    assert found.value > 0.9
    assert p_of(found) <= 1e-6
    assert found.exact is not None
    assert "no normal approximation" in found.exact.method
    assert all(r is not None and r > 0.9 for r in found.layers)
    assert len(found.layers) == LAYERS
    assert found.group is Group.NORM_AND_BIAS
    assert found.facts["width"] == HEADS * HEAD_DIM


def test_the_level_holds_under_rotary_magnitudes_and_heavy_tails() -> None:
    """Among 300 unrelated pairs the count of p ≤ 0.05 lies within the central 99.98 % of a binomial of level 0.05."""
    probe = QkvBias(draws=199)
    sketches = [run_sketch(probe, standin(model(n, 2), 2)) for n in range(600)]
    p_values = [p_of(probe.compare(a, b)) for a, b in zip(sketches[::2], sketches[1::2], strict=True)]
    rejected = sum(p <= 0.05 for p in p_values)
    assert binom.ppf(1e-4, 300, 0.05) <= rejected <= binom.isf(1e-4, 300, 0.05)


def test_the_level_holds_where_q_and_k_depend_on_each_other() -> None:
    """Q and K of a group tied to each other and to their pair (as their shared gradient ties them) leave the level."""
    probe, p_values = QkvBias(draws=199), []
    for n in range(300):
        sides = []
        for seed in (2 * n, 2 * n + 1):
            rng = np.random.default_rng(seed)
            tensors: Tensors = {}
            for layer in range(2):
                # one sign per KV group and rotary pair decides both dimensions, in Q and in K
                signs = np.tile(rng.choice([-1.0, 1.0], (KV_HEADS, HEAD_DIM // 2)), 2)
                tensors["k_bias", layer, None] = signs.ravel()
                tensors["q_bias", layer, None] = np.repeat(signs, HEADS // KV_HEADS, axis=0).ravel()
            sides.append(run_sketch(probe, standin(tensors, 2)))
        p_values.append(p_of(probe.compare(*sides)))
    assert sum(p <= 0.05 for p in p_values) <= binom.isf(1e-4, 300, 0.05)


@pytest.mark.parametrize("rope", [True, False])
def test_symmetric_flips_leave_the_record_of_what_is_flipped(rope: bool) -> None:
    """With rotary embeddings a pair shares a sign in Q and K of its group; without, every dimension has its own."""
    found = measure(standin(model(4), rope=rope), standin(model(5), rope=rope))
    of_qk = HEAD_DIM // 2 if rope else HEAD_DIM
    assert found.facts["independent_signs"] == LAYERS * KV_HEADS * (of_qk + HEAD_DIM)


@pytest.mark.parametrize(
    ("declared", "config", "expected"),
    [
        ("Qwen2ForCausalLM", {}, 16),
        ("qwen2", {"rope_parameters": {"rope_type": "default"}}, 16),
        ("gpt_neox", {"rotary_pct": 0.25}, 4),
        ("GPTNeoXForCausalLM", {"rotary_pct": 0.25}, 4),
        ("GPTNeoXForCausalLM", {"rope_parameters": {"partial_rotary_factor": 0.5}}, 8),
        ("GPTNeoXForCausalLM", {}, None),
        ("GlmForCausalLM", {}, None),
        ("Phi3ForCausalLM", {"partial_rotary_factor": 1.7}, None),
        ("Phi3ForCausalLM", {"partial_rotary_factor": 1e300}, None),
        ("Phi3ForCausalLM", {"partial_rotary_factor": "half"}, None),
    ],
)
def test_rotary_pairs_are_taken_only_where_they_are_known(
    declared: str, config: dict[str, Any], expected: int | None
) -> None:
    """Half-split architectures rotate what the config says; others and absurd configs leave the pairs unknown."""
    assert alignment.rotary_dimensions(config, declared=declared, rope=True, head_dim=16) == expected
    assert alignment.rotary_dimensions(config, declared=declared, rope=False, head_dim=16) == 0


def test_sign_units_pair_the_halves_of_the_rotated_part() -> None:
    """Dimension i shares its sign with i + rotated / 2, the rest stand alone, and an unknown head moves as one."""
    assert list(alignment.sign_units(8, 8)) == [0, 1, 2, 3, 0, 1, 2, 3]
    assert list(alignment.sign_units(8, 4)) == [0, 1, 0, 1, 4, 5, 6, 7]
    assert list(alignment.sign_units(4, 0)) == [0, 1, 2, 3]
    assert list(alignment.sign_units(4, None)) == [0, 0, 0, 0]


def test_a_symmetric_copy_hides_and_leaves_no_false_alarm() -> None:
    """Flipping each value dimension and rotary pair at random, the same function, makes the copy read as unrelated."""
    base, rng = model(6), np.random.default_rng(1)
    hidden: Tensors = {}
    for layer in range(LAYERS):
        pairs = np.tile(rng.choice([-1.0, 1.0], (KV_HEADS, HEAD_DIM // 2)), 2)
        hidden["q_bias", layer, None] = base["q_bias", layer, None] * np.repeat(pairs, 2, axis=0).ravel()
        hidden["k_bias", layer, None] = base["k_bias", layer, None] * pairs.ravel()
        values = base["v_bias", layer, None]
        hidden["v_bias", layer, None] = values * rng.choice([-1.0, 1.0], values.size)
    assert p_of(measure(standin(hidden), standin(base))) > 1e-3


def reason_of(tensors: Tensors, **facts: Any) -> tuple[Reason, str]:
    """Why there is no sketch of these tensors."""
    answer = run_sketch(QkvBias(), standin(tensors, **facts)).absent
    assert isinstance(answer, Abstention)
    return answer.reason, answer.detail


def test_absence_is_explained_and_is_not_evidence() -> None:
    """Without biases the probe abstains and says that most architectures have none; zeros and NaN have own reasons."""
    reason, detail = reason_of({})
    assert reason is Reason.MISSING_TENSORS
    assert "most architectures have none" in detail
    assert "says nothing about descent" in detail
    assert reason_of({k: 0.0 * w for k, w in model(7).items()})[0] is Reason.NOT_INFORMATIVE
    assert reason_of({k: np.nan * w for k, w in model(7).items()})[0] is Reason.NOT_FINITE
    assert reason_of(model(7), kv_heads=0)[0] is Reason.UNSUPPORTED
    assert reason_of(model(7), kv_heads=3)[0] is Reason.UNSUPPORTED
    assert reason_of({k: w[:-1] for k, w in model(7).items()})[0] is Reason.MISSING_TENSORS


def test_one_spoilt_or_zero_vector_costs_itself_alone() -> None:
    """A bias that is NaN or zero is left out alone; the others are read, and the list of layers keeps its place."""
    base = model(8)
    spoilt = {k: w.copy() for k, w in base.items()}
    spoilt["q_bias", 1, None][0] = np.nan
    spoilt["v_bias", 2, None][:] = 0.0
    found = measure(standin(spoilt), standin(base))
    assert found.facts["bias_vectors"] == 3 * LAYERS - 2
    assert found.value == pytest.approx(1.0)
    assert len(found.layers) == LAYERS


def test_heads_or_depths_without_counterpart_abstain() -> None:
    """Another head count, no common kind of bias, or another depth with values alone cannot be paired."""
    base = model(9)
    values = standin({k: w for k, w in base.items() if k[0] == "v_bias"})
    keys = standin({k: w for k, w in base.items() if k[0] == "k_bias"})
    for a, b in (
        (standin({k: w for k, w in model(9, 3).items() if k[0] == "v_bias"}, 3), values),
        (standin(base, heads=4, kv_heads=2), standin(base, heads=8, head_dim=8, kv_heads=4)),
        (values, keys),
    ):
        with pytest.raises(Abstain) as answer:
            measure(a, b)
        assert answer.value.reason is Reason.NOT_COMPARABLE


def test_too_few_signs_abstain() -> None:
    """One layer of K biases in heads of unknown rotation has two signs to flip: nothing can be significant."""
    few = standin({("k_bias", 0, None): np.ones(KV_HEADS * HEAD_DIM)}, declared="GlmForCausalLM")
    with pytest.raises(Abstain) as answer:
        measure(few, few)
    assert answer.value.reason is Reason.TOO_SMALL


def test_a_descendant_with_a_layer_dropped_is_found() -> None:
    """Layers that one kind of bias pairs agree in the other: value above 0.9, p ≤ 1e-6, the dropped one left out."""
    base, rng = model(20), np.random.default_rng(0)
    child = {k: w * (1 + 0.1 * rng.standard_normal(w.shape)) for k, w in base.items()}
    pruned = {(r, int(n or 0) - (n == 3), e): w for (r, n, e), w in child.items() if n != 2}
    found = measure(standin(pruned, 3), standin(base))
    assert found.value > 0.9
    assert p_of(found) <= 1e-6
    assert found.exact is not None
    assert "depths differ" in found.exact.method
    assert len(found.layers) == 3


def test_searching_the_layers_does_not_spoil_the_level() -> None:
    """Among 200 unrelated pairs of different depth, no more p ≤ 0.05 than a binomial of that level has in 1 of 10⁴."""
    probe = QkvBias(draws=199)
    deep = [run_sketch(probe, standin(model(1000 + n))) for n in range(200)]
    flat = [run_sketch(probe, standin(model(2000 + n, 3), 3)) for n in range(200)]
    found = [probe.compare(a, b) for a, b in zip(flat, deep, strict=True)]
    assert sum(p_of(one) <= 0.05 for one in found) <= binom.isf(1e-4, 200, 0.05)
    assert abs(np.mean([one.value for one in found])) < 0.05


def test_points_of_both_sides_are_kept_for_a_scatter() -> None:
    """Per kind of bias at most 200 coordinates; a copy lies on the diagonal, a stranger's points do not."""
    copy, stranger = (measure(standin(model(1)), standin(model(seed))) for seed in (1, 2))
    for found, alike in ((copy, True), (stranger, False)):
        clouds = [line for line in found.series if line.mark == "points"]
        assert [cloud.panel.partition(": ")[2] for cloud in clouds] == ["q_bias", "k_bias", "v_bias"]
        assert all(0 < len(cloud.x) == len(cloud.y) <= SCATTERED for cloud in clouds)
        assert all((cloud.x == cloud.y) is alike for cloud in clouds)
    assert copy.facts["bias_coordinates"] == sum(bias.size for bias in model(1).values())
