"""Neuron match: which copies it recognises, how honest its exact p is, when it keeps silent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from forensics.checkpoint.facts import Anchors
from forensics.probe import Abstain, Sketch
from forensics.readings import Group, Measurement, Reason, SignKind
from plugins.neuron_match import NeuronMatch
from tests.standin import Key, StandIn, architecture_of, run_sketch

LAYERS, WIDTH, NEURONS, TOKENS = 4, 24, 48, 150
PROBE = NeuronMatch(anchors=TOKENS)
ORDERS = NeuronMatch(anchors=TOKENS, graph=0, down_layers=0)
"""Spends no time on other routes than tokens; the order in place is the same."""

Tensors = dict[Key, Any]


def generator(seed: int) -> np.random.Generator:
    """A seeded generator."""
    return np.random.Generator(np.random.PCG64(seed))


def random_model(seed: int, *, layers: int = LAYERS, neurons: int = NEURONS, glu: bool = True) -> Tensors:
    """Random MLP tensors; rows differ in norm, as trained ones do."""
    rng = generator(seed)
    tensors: Tensors = {}
    for layer in range(layers):
        for role in ("gate_proj", "up_proj") if glu else ("up_proj",):
            scale = np.exp(0.2 * rng.standard_normal((neurons, 1)))
            tensors[role, layer, None] = scale * rng.standard_normal((neurons, WIDTH))
        tensors["down_proj", layer, None] = rng.standard_normal((WIDTH, neurons))
        tensors["mlp_norm", layer, None] = rng.uniform(0.5, 1.5, WIDTH)
    return tensors


def embeddings(seed: int = 99) -> Any:
    """Embeddings (TOKENS, WIDTH) of the anchors."""
    return generator(seed).standard_normal((TOKENS, WIDTH))


def standin(tensors: Tensors, rows: Any = None, *, first_token: int = 0, **shape: Any) -> StandIn:
    """A stand-in over these tensors and anchors."""
    rows = embeddings() if rows is None else rows
    hashes = np.arange(first_token, first_token + len(rows), dtype=np.uint64)
    layers = 1 + max((layer for _, layer, _ in tensors if layer is not None), default=0)
    glu = any(role.endswith("gate_proj") for role, _, _ in tensors)
    architecture = architecture_of(layers=layers, width=WIDTH, glu=glu, **shape)
    return StandIn(tensors, architecture, anchors=Anchors(hashes=hashes, rows=np.asarray(rows, np.float32)))


def compared(suspect: StandIn, candidate: StandIn, probe: NeuronMatch = PROBE) -> Measurement:
    """The probe's measurement of two stand-ins."""
    return probe.compare(run_sketch(probe, suspect), run_sketch(probe, candidate, block_rows=64))


def reordered(tensors: Tensors, seed: int) -> Tensors:
    """The same function with the neurons of each layer permuted."""
    rng, made = generator(seed), dict(tensors)
    for layer in {layer for _, layer, _ in tensors}:
        order = rng.permutation(tensors["up_proj", layer, None].shape[0])
        for role in ("gate_proj", "up_proj", "down_proj"):
            if (role, layer, None) in tensors:
                array = tensors[role, layer, None]
                made[role, layer, None] = array[:, order] if role == "down_proj" else array[order]
    return made


@pytest.mark.parametrize("glu", [True, False])
def test_a_copy_is_found_whole_and_in_place(*, glu: bool) -> None:
    """A model compared with itself agrees in every neuron, and the exact p is at its floor."""
    model = standin(random_model(0, glu=glu))
    found = compared(model, model)
    assert found.layers == pytest.approx([1.0] * LAYERS)
    assert found.exact is not None
    assert found.exact.p == 1e-12
    assert (found.group, found.facts["width"], found.signs) == (Group.MLP, WIDTH, ())


@pytest.mark.parametrize("glu", [True, False])
def test_permuted_neurons_are_found_but_not_in_place(*, glu: bool) -> None:
    """Permuting neurons leaves the agreement at 1 while the exact test of their order finds nothing."""
    tensors = random_model(1, glu=glu)
    found = compared(standin(reordered(tensors, 1)), standin(tensors))
    assert found.value == pytest.approx(1.0)
    assert found.exact is not None
    assert found.exact.p > 1e-3


@pytest.mark.parametrize("glu", [True, False])
def test_a_rotated_residual_stream_with_folded_gains_is_not_noticed(*, glu: bool) -> None:
    """Folding gains and rotating the residual stream leaves the agreement at 1."""
    tensors = random_model(2, glu=glu)
    rotation = np.linalg.qr(generator(2).standard_normal((WIDTH, WIDTH)))[0]
    turned: Tensors = {}
    for (role, layer, expert), array in tensors.items():
        gain = tensors["mlp_norm", layer, None]
        if role == "mlp_norm":
            turned[role, layer, expert] = np.ones(WIDTH)
        else:
            turned[role, layer, expert] = (
                rotation.T @ array if role == "down_proj" else (array * gain) @ rotation
            )
    found = compared(standin(turned, embeddings() @ rotation), standin(tensors))
    assert found.value > 0.98


def test_noise_as_large_as_half_the_weights_leaves_most_neurons_found() -> None:
    """Agreement degrades with noise instead of breaking down."""
    tensors = random_model(3, neurons=200)
    rng = generator(3)
    noisy = {
        key: array + 0.5 * rng.standard_normal(array.shape) * (key[0] != "mlp_norm")
        for key, array in tensors.items()
    }
    probe = NeuronMatch(anchors=TOKENS, neurons=200)
    assert compared(standin(noisy), standin(tensors), probe).value > 0.8


def test_unrelated_models_agree_by_chance_only() -> None:
    """Independent weights over shared embeddings agree within chance, and the exact p is unremarkable."""
    found = compared(standin(random_model(4)), standin(random_model(5)))
    assert abs(found.value) < 0.06
    assert found.exact is not None
    assert found.exact.p > 1e-3
    assert abs(float(found.facts["median_z_within_strata"] or 0)) < 4


def test_the_exact_p_of_unrelated_models_is_uniform() -> None:
    """Over 240 unrelated layers the per-layer p is at most 0.05 about one time in twenty."""
    ps: list[float] = []
    for seed in range(20):
        first, second = (standin(random_model(100 + 2 * seed + side, layers=12)) for side in (0, 1))
        ps += [float(row[-1] or 0.0) for row in compared(first, second, ORDERS).tables[0].rows]
    assert len(ps) == 240
    assert 0.015 <= np.mean(np.array(ps) <= 0.05) <= 0.10
    assert 0.40 <= np.mean(ps) <= 0.60


def test_upcycled_strangers_are_not_accused_by_their_copies() -> None:
    """Experts copied from one MLP share its order: their p-values are one, not eight, and the level holds."""
    smallest = []
    for seed in range(40):
        sides = [
            standin(experts_of(random_model(s), 4, copies=True), experts=4) for s in (900 + seed, 1900 + seed)
        ]
        found = compared(*sides, ORDERS)
        assert found.exact is not None
        smallest.append(found.exact.p)
    assert sum(p <= 0.05 for p in smallest) <= 6  # binomial(40, 0.05) exceeds 6 with probability 0.3 %
    assert min(smallest) > 1e-5


def test_a_sample_moves_with_the_neurons() -> None:
    """A probe that samples a third of the neurons samples the same ones of a permuted copy."""
    tensors = random_model(6)
    found = compared(
        standin(reordered(tensors, 6)), standin(tensors), NeuronMatch(anchors=TOKENS, neurons=16)
    )
    assert found.value == pytest.approx(1.0)


def test_second_legs_that_come_first_are_read_again() -> None:
    """Up and down legs of a model without gate are matched although down_proj stands first in the file."""
    tensors = random_model(7, glu=False)
    model = standin(tensors)
    assert [spec.role for spec in model.specs if spec.layer == 0][:1] == ["down_proj"]
    sketch = run_sketch(PROBE, model)
    assert np.abs(sketch.arrays["codes"][1]).max() == 127
    assert len(sketch.arrays["index"]) == LAYERS * NEURONS


def test_dropped_and_reordered_layers_are_found() -> None:
    """A suspect made of three of the candidate's layers in another order is matched; no exact p is offered."""
    tensors = random_model(8)
    kept = {0: 3, 1: 0, 2: 2}
    pruned: Tensors = {
        (role, new, None): tensors[role, old, None] for role, _, _ in tensors for new, old in kept.items()
    }
    found = compared(standin(pruned), standin(tensors))
    assert [row[:2] for row in found.tables[0].rows] == [(0, 3), (1, 0), (2, 2)]
    assert found.value == pytest.approx(1.0)
    assert found.exact is None


def experts_of(dense: Tensors, parts: int, *, copies: bool) -> Tensors:
    """A mixture made of a dense model: whole copies of its MLP, or its neurons dealt out."""
    made: Tensors = {key: array for key, array in dense.items() if key[0] == "mlp_norm"}
    for (role, layer, _), array in dense.items():
        if role == "mlp_norm":
            continue
        axis = 1 if role == "down_proj" else 0
        for expert in range(parts):
            piece = array if copies else np.split(array, parts, axis=axis)[expert]
            made[role, layer, expert] = piece
    return made


def test_an_upcycled_mixture_is_traced_to_the_dense_model_by_every_expert() -> None:
    """Experts copied from one dense MLP are all recognised, and each neuron is found by all four."""
    dense = random_model(9)
    found = compared(standin(experts_of(dense, 4, copies=True), experts=4), standin(dense))
    assert found.value == pytest.approx(1.0)
    assert (found.facts["units_recognised"], found.facts["units_compared"]) == (16, 16)
    assert found.facts["finders_per_neuron"] == pytest.approx(4.0)


def test_a_dense_mlp_dealt_out_to_experts_is_covered_once() -> None:
    """Experts that are parts of a dense MLP cover its neurons, each found by one expert."""
    dense = random_model(10, neurons=64)
    probe = NeuronMatch(anchors=TOKENS, neurons=64)
    found = compared(standin(experts_of(dense, 4, copies=False), experts=4), standin(dense), probe)
    assert found.value == pytest.approx(1.0)
    assert found.facts["candidate_neurons_found"] == pytest.approx(1.0)
    assert found.facts["finders_per_neuron"] == pytest.approx(1.0)


def test_a_map_tells_which_experts_hold_the_neurons_of_an_mlp_both_ways() -> None:
    """Of an MLP dealt out to four experts each is listed with its quarter, whichever side is the mixture."""
    dense = random_model(24, neurons=64)
    mixture = standin(experts_of(dense, 4, copies=False), experts=4)
    probe = NeuronMatch(anchors=TOKENS, neurons=64)
    by_experts = compared(mixture, standin(dense), probe).tables[1]
    by_mlp = compared(standin(dense), mixture, probe).tables[1]
    assert [row[:4] for row in by_experts.rows] == [(n, e, n, -1) for n in range(LAYERS) for e in range(4)]
    assert [row[:4] for row in by_mlp.rows] == [(n, -1, n, e) for n in range(LAYERS) for e in range(4)]
    assert {row[5] for row in by_experts.rows} == {0.25} == {row[6] for row in by_mlp.rows}
    assert (len(by_mlp.columns), by_mlp.omitted) == (7, 0)


def test_a_shared_expert_counts_as_one_more() -> None:
    """The shared expert takes part, and of more experts than asked for those that answer most are kept."""
    mixture = experts_of(random_model(11), 4, copies=True)
    for role in ("gate_proj", "up_proj", "down_proj"):
        for layer in range(LAYERS):
            mixture["shared_" + role, layer, None] = random_model(12)[role, layer, None]
            mixture[role, layer, 2] = 5.0 * mixture[role, layer, 2]
    sketch = run_sketch(NeuronMatch(anchors=TOKENS, experts=1), standin(mixture, experts=4))
    assert [tuple(unit) for unit in sketch.arrays["units"][:2, :2].tolist()] == [(0, -2), (0, 2)]


def test_spoilt_neurons_and_layers_drop_out() -> None:
    """Neurons with NaN or zeros are left out, spoilt layers are counted, the rest still agrees fully."""
    tensors = {key: array.copy() for key, array in random_model(13, layers=6).items()}
    tensors["gate_proj", 0, None][:3] = np.nan
    tensors["up_proj", 0, None][5:8] = 0.0
    tensors["up_proj", 1, None][:] = np.inf
    tensors["gate_proj", 2, None][:] = 0.0
    tensors["mlp_norm", 3, None][:] = np.nan
    sketch = run_sketch(PROBE, standin(tensors))
    found = PROBE.compare(sketch, sketch)
    assert sketch.facts["layers_dropped"] == 3
    assert found.value == pytest.approx(1.0)
    assert [row[0] for row in found.tables[0].rows] == [0, 4, 5]


def test_neurons_that_are_all_alike_do_not_agree_by_file_order() -> None:
    """Two models of identical neurons leave too few distinct ones: no sketch instead of a false agreement."""
    tensors = random_model(14)
    for role in ("gate_proj", "up_proj"):
        for layer in range(LAYERS):
            tensors[role, layer, None] = np.ones((NEURONS, WIDTH))
    assert absence(standin(tensors)) is Reason.TOO_SMALL


def test_neurons_sorted_by_norm_on_both_sides_give_no_exact_p() -> None:
    """Where a tool sorted the neurons of both models by norm, their common order is no evidence."""

    def sorted_by_norm(tensors: Tensors) -> Tensors:
        made = dict(tensors)
        for layer in range(LAYERS):
            gain = tensors["mlp_norm", layer, None]
            order = np.argsort(-np.linalg.norm(tensors["gate_proj", layer, None] * gain, axis=1))
            for role in ("gate_proj", "up_proj"):
                made[role, layer, None] = tensors[role, layer, None][order]
        return made

    found = compared(standin(sorted_by_norm(random_model(15))), standin(sorted_by_norm(random_model(16))))
    assert found.exact is None


def test_same_order_without_same_answers_is_signed_as_shared_initialisation() -> None:
    """Up rows kept in place while the other leg is new: exact p small, agreement at chance, one sign."""
    tensors, others = random_model(17), random_model(18)
    mixed = others | {key: array for key, array in tensors.items() if key[0] == "up_proj"}
    found = compared(standin(mixed), standin(tensors), NeuronMatch(anchors=TOKENS, neurons=NEURONS))
    assert found.exact is not None
    assert found.exact.p < 1e-6
    assert [sign.sign for sign in found.signs] == [SignKind.SHARED_INITIALISATION]


def test_half_the_layers_replaced_is_signed_as_partial_reuse() -> None:
    """Layers that agree fully beside layers that do not at all are reported as partial reuse."""
    tensors, others = random_model(19), random_model(20)
    half = {key: (array if key[1] in (0, 1) else others[key]) for key, array in tensors.items()}
    found = compared(standin(half), standin(tensors))
    assert [sign.sign for sign in found.signs] == [SignKind.PARTIAL_REUSE]
    assert found.layers[0] == pytest.approx(1.0)
    assert abs(found.layers[3] or 0.0) < 0.2


@pytest.mark.parametrize(("leg", "route"), [("gate_proj", "up_and_down"), ("up_proj", "gate_and_down")])
def test_one_leg_trained_anew_does_not_hide_the_other_two(leg: str, route: str) -> None:
    """With gate or up replaced in every layer the remaining two legs find the neurons; a stranger's legs do not."""
    tensors, others = random_model(25), random_model(26)
    changed = {key: others[key] if key[0] == leg else array for key, array in reordered(tensors, 3).items()}
    found = compared(standin(changed), standin(tensors), NeuronMatch(anchors=TOKENS, neurons=NEURONS))
    if leg == "up_proj":  # neurons are chosen by their gate, so that the same ones are sampled
        assert (found.facts["route"], found.value > 0.9) == (route.replace("_", " "), True)
    assert float(found.facts[f"agreement_by_{route}"] or 0.0) > 0.9
    assert float(found.facts["agreement_by_tokens"] or 0.0) < 0.1
    stranger = compared(standin(others), standin(tensors))
    assert float(stranger.facts[f"agreement_by_{route}"] or 0.0) < 0.1


def test_each_pair_of_legs_is_told() -> None:
    """Down replaced leaves gate and up agreeing at 1, which is the value, and both pairs with down at chance."""
    tensors, others = random_model(27), random_model(28)
    changed = {key: others[key] if key[0] == "down_proj" else array for key, array in tensors.items()}
    found = compared(standin(changed), standin(tensors))
    pairs = [
        float(found.facts[f"agreement_{name}"] or 0.0)
        for name in ("gate_and_up", "gate_and_down", "up_and_down", "two_of_three")
    ]
    assert (found.value, pairs[0], pairs[3]) == pytest.approx((1.0, 1.0, 1.0))
    assert max(pairs[1:3]) < 0.15


def test_a_third_leg_that_does_not_fit_is_left_out() -> None:
    """Where down has another shape, holds NaN or is missing, gate and up are read as ever."""
    tensors = random_model(29)
    whole = standin(tensors)
    for change in ("missing", "crooked", "nan"):
        made = dict(tensors)
        for layer in range(LAYERS):
            key = ("down_proj", layer, None)
            made[key] = tensors[key][:-1] if change == "crooked" else np.full_like(tensors[key], np.nan)
            if change == "missing":
                del made[key]
        found = compared(standin(made), whole)
        assert (found.value, found.facts["route"]) == (pytest.approx(1.0), "tokens")
        assert "agreement_gate_and_down" not in found.facts


def test_noise_hides_the_small_neurons_first() -> None:
    """Of neurons of very different size, noise of one size leaves the larger half better recognised."""
    rng = generator(30)
    tensors = random_model(30, neurons=200)
    for (role, layer, _), array in list(tensors.items()):
        if role in {"gate_proj", "up_proj"}:
            scale = np.exp(generator(layer).standard_normal((200, 1)))
            tensors[role, layer, None] = array / np.linalg.norm(array, axis=1, keepdims=True) * 4.0 * scale
    noisy = {
        key: array + 1.2 * rng.standard_normal(array.shape) * (key[0] in {"gate_proj", "up_proj"})
        for key, array in tensors.items()
    }
    facts = compared(standin(noisy), standin(tensors), NeuronMatch(anchors=TOKENS, neurons=200)).facts
    larger, smaller = (float(facts[f"agreement_of_{n}_neurons"] or 0.0) for n in ("larger", "smaller"))
    assert larger > smaller + 0.2


def dropped(tensors: Tensors, kept: list[int]) -> Tensors:
    """The model with only these layers."""
    return {
        (role, new, None): tensors[role, old, None]
        for role in {role for role, _, _ in tensors}
        for new, old in enumerate(kept)
    }


@pytest.mark.parametrize(
    "kept",
    [
        [i for i in range(32) if i % 4 != 3],
        [*range(14), *range(22, 32)],
        [*range(24), *range(8, 32)],
    ],
    ids=["every fourth dropped", "middle dropped", "two copies overlapping"],
)
def test_a_deep_model_of_another_depth_is_found_whole(kept: list[int]) -> None:
    """Of 32 layers 12 are examined on either side: those that both examined agree, the others say nothing."""
    tensors = random_model(31, layers=32)
    for sides in ((dropped(tensors, kept), tensors), (tensors, dropped(tensors, kept))):
        found = compared(*map(standin, sides))
        assert found.value > 0.99
        assert not found.signs
        assert int(found.facts["layers_matched"] or 0) >= 4


def test_a_few_layers_of_a_deep_model_do_not_pass_for_the_whole() -> None:
    """Of 24 layers two are the candidate's: the others count as missing although depths differ."""
    tensors, others = random_model(32, layers=32), random_model(33, layers=24)
    mixed = {key: tensors[key] if key[1] in (0, 2) else array for key, array in others.items()}
    assert compared(standin(mixed), standin(tensors)).value < 0.3


def absence(model: StandIn) -> Reason:
    """Why there is no sketch of this model."""
    sketch = run_sketch(PROBE, model)
    assert sketch.absent is not None
    return Reason(sketch.absent.reason)  # type: ignore[union-attr]


def test_silence_where_there_is_nothing_to_match() -> None:
    """With few neurons, one layer or legs that do not fit there is no sketch."""
    assert absence(standin(random_model(21, neurons=15))) is Reason.TOO_SMALL
    assert absence(standin(random_model(21, layers=1))) is Reason.TOO_SMALL
    tensors = random_model(21)
    crooked = {key: array[:-1] if key[0] == "up_proj" else array for key, array in tensors.items()}
    assert absence(standin(crooked)) is Reason.TOO_SMALL


def test_strangers_without_any_likeness_read_zero_instead_of_nothing() -> None:
    """Where no layer agrees above chance there is a reading of 0 or less than that, and no abstention."""
    for seed in range(12):
        sides = [standin(random_model(s, layers=2, neurons=20)) for s in (400 + seed, 500 + seed)]
        assert compared(*sides, ORDERS).value < 0.25


def test_gated_against_ungated_is_not_compared() -> None:
    """Gated against ungated MLPs get no reading."""
    with pytest.raises(Abstain) as answer:
        compared(standin(random_model(22)), standin(random_model(22, glu=False)))
    assert answer.value.reason is Reason.NOT_COMPARABLE


@pytest.mark.parametrize("glu", [True, False])
@pytest.mark.parametrize("anchors", ["none", "few", "disjoint"])
def test_a_rotated_permuted_copy_is_found_without_vocabulary(anchors: str, *, glu: bool) -> None:
    """Without shared tokens a copy is found by angles, though rotated, permuted and rescaled; a stranger is not."""
    tensors = random_model(22, glu=glu)
    rotation = np.linalg.qr(generator(2).standard_normal((WIDTH, WIDTH)))[0]
    turned: Tensors = {}
    for (role, layer, expert), array in reordered(tensors, 5).items():
        gain = tensors["mlp_norm", layer, None]
        if role == "mlp_norm":
            turned[role, layer, expert] = np.ones(WIDTH)
        else:
            turned[role, layer, expert] = (
                rotation.T @ array if role == "down_proj" else (array * gain) @ rotation
            )
            if role == "up_proj" and glu:
                turned[role, layer, expert] *= -3.0
    rows = {"none": None, "few": embeddings()[:63], "disjoint": embeddings()}[anchors]
    model = standin(turned, rows, first_token=1000)
    if rows is None:
        model = StandIn(turned, model.architecture)
    found = compared(model, standin(tensors))
    assert (found.facts["route"], found.value > 0.9) == ("angles", True)
    assert compared(model, standin(random_model(77, glu=glu))).value < 0.1


def test_a_repeated_layer_is_found_for_both_copies() -> None:
    """A suspect that holds one of the candidate's layers twice has both matched to it."""
    tensors = random_model(8)
    kept = {0: 0, 1: 1, 2: 2, 3: 2, 4: 3}
    grown: Tensors = {
        (role, new, None): tensors[role, old, None]
        for role in {role for role, _, _ in tensors}
        for new, old in kept.items()
    }
    found = compared(standin(grown), standin(tensors))
    assert [row[:2] for row in found.tables[0].rows] == list(kept.items())
    assert (found.value > 0.99, found.facts["layers_repeated"]) == (True, 1)


@pytest.mark.parametrize(
    "name",
    ["hashes", "units", "codes", "rows", "index", "energy", "grams", "traits", "graphs", "third", "thirds"],
)
def test_a_sketch_that_does_not_fit_itself_is_refused(name: str) -> None:
    """A sketch with an array missing or too short abstains instead of crashing."""
    sketch = run_sketch(PROBE, standin(random_model(23)))
    whole = dict(sketch.arrays)
    for arrays in ({k: v for k, v in whole.items() if k != name}, whole | {name: whole[name][:-1]}):
        bad = Sketch(
            probe=sketch.probe,
            version=sketch.version,
            parameters=sketch.parameters,
            arrays=arrays,
            facts=sketch.facts,
        )
        with pytest.raises(Abstain) as answer:
            PROBE.compare(sketch, bad)
        assert answer.value.reason is Reason.INCOMPATIBLE_SKETCHES
