"""Attention circuits: what they must not notice, what they must, and when they must keep silent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from forensics.checkpoint.facts import Anchors
from forensics.probe import Abstain, Sketch
from forensics.readings import Group, Measurement, Reason
from forensics.testing import check_probe
from plugins.attention_circuits import AttentionCircuits
from tests.standin import Key, StandIn, architecture_of, run_sketch

LAYERS, WIDTH, HEADS, HEAD_DIM, TOKENS = 4, 24, 3, 8, 160
PROBE = AttentionCircuits(anchors=TOKENS)
EXACT = 2e-3
"""What float16 costs a correlation."""

Tensors = dict[Key, Any]


def random_orthogonal(rng: np.random.Generator, n: int) -> Any:
    """A random orthogonal matrix (n, n)."""
    return np.linalg.qr(rng.standard_normal((n, n)))[0]


def random_model(seed: int, layers: int = LAYERS, width: int = WIDTH) -> tuple[Tensors, Any]:
    """Random attention tensors and embeddings (TOKENS, width)."""
    rng = np.random.Generator(np.random.PCG64(seed))
    tensors: Tensors = {}
    for layer in range(layers):
        for role in ("q_proj", "k_proj", "v_proj"):
            tensors[role, layer, None] = rng.standard_normal((HEADS * HEAD_DIM, width))
        tensors["o_proj", layer, None] = rng.standard_normal((width, HEADS * HEAD_DIM))
        tensors["input_norm", layer, None] = rng.uniform(0.5, 1.5, width)
    return tensors, rng.standard_normal((TOKENS, width))


def standin(tensors: Tensors, embeddings: Any, *, first_token: int = 0, **shape: Any) -> StandIn:
    """A stand-in whose anchors are tokens numbered from `first_token`."""
    hashes = np.arange(first_token, first_token + len(embeddings), dtype=np.uint64)
    layers = 1 + max((layer for _, layer, _ in tensors if layer is not None), default=0)
    architecture = architecture_of(
        layers=layers, width=embeddings.shape[1], heads=HEADS, head_dim=HEAD_DIM, **shape
    )
    return StandIn(
        tensors, architecture, anchors=Anchors(hashes=hashes, rows=np.asarray(embeddings, np.float32))
    )


def compared(suspect: StandIn, candidate: StandIn, block_rows: int = 7) -> Measurement:
    """The probe's measurement of two stand-ins."""
    return PROBE.compare(run_sketch(PROBE, suspect, block_rows), run_sketch(PROBE, candidate))


def per_layer(tensors: Tensors, change: Any) -> Tensors:
    """Tensors with `change(role, array)` applied to each."""
    return {key: change(key[0], array) for key, array in tensors.items()}


def test_a_copy_reads_one_in_every_layer_and_speaks_for_attention() -> None:
    """A model compared with itself gives 1 in every layer, whatever the size of the blocks it was read in."""
    tensors, embeddings = random_model(0)
    model = standin(tensors, embeddings)
    for block_rows in (5, 64):
        found = compared(model, model, block_rows)
        assert found.layers == pytest.approx([1.0] * LAYERS, abs=EXACT)
        assert (found.group, found.facts["width"]) == (Group.ATTENTION, WIDTH)


def test_unrelated_weights_read_near_zero_even_over_the_same_embeddings() -> None:
    """Independent attention matrices give a value near 0 although the embeddings are shared."""
    tensors, embeddings = random_model(1)
    others, _ = random_model(2)
    assert abs(compared(standin(tensors, embeddings), standin(others, embeddings)).value) < 0.12


def test_a_permuted_residual_stream_is_not_noticed() -> None:
    """Permuting the residual channels of all tensors leaves the reading at 1."""
    tensors, embeddings = random_model(3)
    order = np.random.Generator(np.random.PCG64(3)).permutation(WIDTH)

    def permute(role: str, array: Any) -> Any:
        return array[order] if role in ("o_proj", "input_norm") else array[:, order]

    twin = standin(per_layer(tensors, permute), embeddings[:, order])
    assert compared(twin, standin(tensors, embeddings)).value == pytest.approx(1.0, abs=EXACT)


def test_a_rotated_residual_stream_with_folded_gains_is_not_noticed() -> None:
    """Folding the gains into the matrices and rotating the residual stream leaves the reading at 1."""
    tensors, embeddings = random_model(4)
    rotation = random_orthogonal(np.random.Generator(np.random.PCG64(4)), WIDTH)
    turned: Tensors = {}
    for (role, layer, expert), array in tensors.items():
        if role == "input_norm":
            turned[role, layer, expert] = np.ones(WIDTH)
        elif role == "o_proj":
            turned[role, layer, expert] = rotation.T @ array
        else:
            turned[role, layer, expert] = (array * tensors["input_norm", layer, None]) @ rotation
    twin = standin(turned, embeddings @ rotation)
    assert compared(twin, standin(tensors, embeddings)).value == pytest.approx(1.0, abs=EXACT)


def test_permuted_and_rotated_heads_are_not_noticed() -> None:
    """Permuting heads and turning the basis inside each head leaves the reading at 1."""
    tensors, embeddings = random_model(5)
    rng = np.random.Generator(np.random.PCG64(5))

    def turn(role: str, array: Any) -> Any:
        if role == "input_norm":
            return array
        rows = array.T if role == "o_proj" else array
        heads = rows.reshape(HEADS, HEAD_DIM, -1)[rng.permutation(HEADS)]
        rows = np.concatenate([random_orthogonal(rng, HEAD_DIM) @ head for head in heads])
        return rows.T if role == "o_proj" else rows

    twin = standin(per_layer(tensors, turn), embeddings)
    assert compared(twin, standin(tensors, embeddings)).value == pytest.approx(1.0, abs=EXACT)


def test_maps_inside_heads_are_not_noticed() -> None:
    """Any invertible map inside each head, scaled by up to 20 per dimension, leaves the reading at 1."""
    tensors, embeddings = random_model(17)
    rng = np.random.Generator(np.random.PCG64(17))

    def mixed(role: str, array: Any) -> Any:
        if role == "input_norm":
            return array
        rows = array.T if role == "o_proj" else array
        heads = rows.reshape(HEADS, HEAD_DIM, -1)[rng.permutation(HEADS)]
        scales = np.exp(rng.uniform(-3, 3, (HEADS, HEAD_DIM, 1)))
        maps = rng.standard_normal((HEADS, HEAD_DIM, HEAD_DIM))
        rows = (maps @ (scales * heads)).reshape(HEADS * HEAD_DIM, -1)
        return rows.T if role == "o_proj" else rows

    twin = standin(per_layer(tensors, mixed), embeddings)
    assert compared(twin, standin(tensors, embeddings)).value == pytest.approx(1.0, abs=EXACT)


def test_a_repeated_layer_is_found_twice() -> None:
    """A suspect that repeats a layer of the candidate's has that layer for the partner of both."""
    tensors, embeddings = random_model(18)
    taken = [0, 1, 2, 2, 3]
    longer: Tensors = {
        (role, new, None): tensors[role, old, None]
        for new, old in enumerate(taken)
        for role in ("q_proj", "k_proj", "v_proj", "o_proj", "input_norm")
    }
    found = compared(standin(longer, embeddings), standin(tensors, embeddings))
    assert [row[1] for row in found.tables[0].rows] == taken


def test_the_contract() -> None:
    """The probe keeps the contract of probes."""
    check_probe(PROBE)


def test_layer_norm_ignores_what_mean_subtraction_removes() -> None:
    """With layer norm, a constant added to every embedding channel or written by o_proj leaves the reading at 1."""
    tensors, embeddings = random_model(6)

    def shift(role: str, array: Any) -> Any:
        return array + 3.0 * np.linspace(-1, 1, array.shape[1]) if role == "o_proj" else array

    twin = standin(per_layer(tensors, shift), embeddings + np.linspace(-2, 2, TOKENS)[:, None], norm="layer")
    original = standin(tensors, embeddings, norm="layer")
    assert compared(twin, original).value == pytest.approx(1.0, abs=EXACT)


def test_reordered_layers_are_found_again() -> None:
    """A suspect whose layers stand in reverse order reads 1, and the record says that the order differs."""
    tensors, embeddings = random_model(7)
    reverse: Tensors = {(role, LAYERS - 1 - layer, e): array for (role, layer, e), array in tensors.items()}  # type: ignore[operator]
    found = compared(standin(reverse, embeddings), standin(tensors, embeddings))
    assert found.value == pytest.approx(1.0, abs=EXACT)
    assert found.facts["matched_in_order"] is False
    assert [row[1] for row in found.tables[0].rows] == [3, 2, 1, 0]


def test_dropped_layers_leave_the_others_found() -> None:
    """A depth-pruned suspect's layers are each found among the candidate's."""
    tensors, embeddings = random_model(8)
    kept = {0: 0, 1: 2, 2: 3}
    pruned: Tensors = {
        (role, new, None): tensors[role, old, None] for role, _, _ in tensors for new, old in kept.items()
    }
    found = compared(standin(pruned, embeddings), standin(tensors, embeddings))
    assert len(found.layers) == 3
    assert [row[1] for row in found.tables[0].rows] == [0, 2, 3]
    assert found.value > 0.8  # the layers' common part is not the same for three layers as for four


def test_a_vocabulary_shared_in_part_is_enough() -> None:
    """Copies of which each knows tokens that the other lacks are compared over the tokens both know."""
    tensors, embeddings = random_model(9)
    first = standin(tensors, embeddings[:130])
    second = standin(tensors, embeddings[30:], first_token=30)
    found = compared(first, second)
    assert found.facts["shared_anchors"] == 100
    assert found.value > 0.9  # each side is whitened by all the tokens it knows


def test_models_of_different_widths_are_compared() -> None:
    """Unrelated models of different widths and depths get a reading near 0, not an error."""
    narrow, wide = random_model(10), random_model(11, layers=6, width=40)
    found = compared(standin(*narrow), standin(*wide))
    assert abs(found.value) < 0.15
    assert found.facts["width"] == WIDTH


def test_matrices_without_finite_numbers_drop_out() -> None:
    """Layers of NaN, infinity or zeros are dropped with a count; the others still read 1."""
    tensors, embeddings = random_model(12, layers=6)
    spoilt = {key: array.copy() for key, array in tensors.items()}
    for role in ("q_proj", "k_proj", "v_proj", "o_proj"):
        spoilt[role, 0, None][3, 4] = np.nan
        spoilt[role, 1, None][:] = 0.0
        spoilt[role, 2, None][:] = np.inf
    spoilt["q_proj", 3, None][0, 0] = np.inf
    found = compared(standin(spoilt, embeddings), standin(spoilt, embeddings))
    assert found.facts["layers_dropped"] == 6
    assert found.layers == pytest.approx([1.0, 1.0, 1.0], abs=EXACT)
    assert found.tables[0].rows[0][2] is None  # q of layer 3


def test_layers_that_are_all_alike_say_nothing() -> None:
    """A model that repeats one layer has nothing of its own per layer: the probe abstains instead of reading 0."""
    tensors, embeddings = random_model(13)
    alike = {(role, layer, e): tensors[role, 0, None] for role, layer, e in tensors}
    with pytest.raises(Abstain) as answer:
        compared(standin(alike, embeddings), standin(tensors, embeddings))
    assert answer.value.reason is Reason.NOT_INFORMATIVE


def absence(model: StandIn) -> Reason:
    """Why there is no sketch of this model."""
    sketch = run_sketch(PROBE, model)
    assert sketch.absent is not None
    return Reason(sketch.absent.reason)  # type: ignore[union-attr]


def test_silence_where_there_is_nothing_to_see() -> None:
    """Without embeddings, with few or equal or zero anchors, or with one layer only, there is no sketch."""
    tensors, embeddings = random_model(14)
    bare = StandIn(tensors, architecture_of(layers=LAYERS, width=WIDTH))
    assert absence(bare) is Reason.MISSING_TENSORS
    assert absence(standin(tensors, embeddings[:95])) is Reason.TOO_SMALL
    assert absence(standin(tensors, embeddings * 0.0)) is Reason.TOO_SMALL
    assert absence(standin(tensors, np.ones_like(embeddings))) is Reason.TOO_SMALL
    single, one_embedding = random_model(14, layers=1)
    assert absence(standin(single, one_embedding)) is Reason.TOO_SMALL


def test_disjoint_vocabularies_abstain() -> None:
    """Without enough shared anchors the pair gets no reading."""
    tensors, embeddings = random_model(15)
    with pytest.raises(Abstain) as answer:
        compared(standin(tensors, embeddings), standin(tensors, embeddings, first_token=90))
    assert answer.value.reason is Reason.NO_SHARED_TOKENS


@pytest.mark.parametrize("name", ["hashes", "embedding", "kernels", "layers"])
def test_a_sketch_that_does_not_fit_itself_is_refused(name: str) -> None:
    """A sketch with an array missing, of the wrong shape or not finite abstains instead of crashing."""
    sketch = run_sketch(PROBE, standin(*random_model(16)))
    whole = dict(sketch.arrays)
    broken = [{k: v for k, v in whole.items() if k != name}, whole | {name: whole[name][:-1]}]
    if name in ("embedding", "kernels"):
        broken.append(whole | {name: np.full_like(whole[name], np.nan)})
    for arrays in broken:
        bad = Sketch(probe=sketch.probe, version=sketch.version, parameters=sketch.parameters, arrays=arrays)
        with pytest.raises(Abstain) as answer:
            PROBE.compare(sketch, bad)
        assert answer.value.reason is Reason.INCOMPATIBLE_SKETCHES
