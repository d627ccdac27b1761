"""Attention graph: what no change of basis or order hides, what it must not see, and when it keeps silent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from forensics.probe import Abstain, Sketch
from forensics.readings import Group, Measurement, Reason
from forensics.testing import check_probe
from plugins.attention_graph import AttentionGraph
from tests.standin import Key, StandIn, architecture_of, run_sketch

WIDTH, DIMENSIONS, LAYERS = 64, 8, 4
PROBE = AttentionGraph(starts=2)
Tensors = dict[Key, Any]


def random_model(seed: int, *, layers: int = LAYERS, heads: int = 6, kv_heads: int = 6) -> Tensors:
    """Attention matrices of heads that differ in what directions they use, and gains."""
    rng = np.random.Generator(np.random.PCG64(seed))
    tensors: Tensors = {}
    for layer in range(layers):
        for role in ("q_proj", "k_proj", "v_proj", "o_proj"):
            rows = (heads if role in ("q_proj", "o_proj") else kv_heads) * DIMENSIONS
            matrix = rng.standard_normal((rows, WIDTH)) * np.exp(0.7 * rng.standard_normal((rows, 1)))
            tensors[role, layer, None] = matrix.T if role == "o_proj" else matrix
        tensors["input_norm", layer, None] = rng.uniform(0.5, 1.5, WIDTH)
    return tensors


def sketched(tensors: Tensors, *, heads: int = 6, kv_heads: int = 6, norm: str = "rms") -> Sketch:
    """The probe's sketch, read in small blocks."""
    layers = 1 + max(layer for _, layer, _ in tensors if layer is not None)
    shape = architecture_of(
        layers=layers, width=WIDTH, heads=heads, kv_heads=kv_heads, head_dim=DIMENSIONS, norm=norm
    )
    return run_sketch(PROBE, StandIn(tensors, shape), 7)


def compared(suspect: Tensors, candidate: Tensors, **shape: Any) -> Measurement:
    """The probe's measurement of two sets of tensors."""
    return PROBE.compare(sketched(suspect, **shape), sketched(candidate, **shape))


def turned(tensors: Tensors, seed: int, *, kv_heads: int = 6, heads: int = 6) -> Tensors:
    """The same function in another basis: gains folded, stream turned, heads mixed inside and permuted."""
    rng = np.random.Generator(np.random.PCG64(seed))
    turn = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0]
    found: Tensors = {}
    for layer in sorted({layer for _, layer, _ in tensors}, key=str):
        q, k, v = (
            (tensors[role, layer, None] * tensors["input_norm", layer, None] @ turn).reshape(
                -1, DIMENSIONS, WIDTH
            )
            for role in ("q_proj", "k_proj", "v_proj")
        )
        o = (turn.T @ tensors["o_proj", layer, None]).T.reshape(heads, DIMENSIONS, WIDTH)
        order, each = rng.permutation(kv_heads), heads // kv_heads
        queries = np.concatenate([g * each + rng.permutation(each) for g in order])
        inner = rng.standard_normal((kv_heads, DIMENSIONS, DIMENSIONS)) + 4.0 * np.eye(DIMENSIONS)
        outer, spread = np.linalg.inv(inner).transpose(0, 2, 1), np.repeat(np.arange(kv_heads), each)
        k, v = inner @ k, inner @ v
        q, o = outer[spread] @ q, outer[spread] @ o
        for role, part in (("q_proj", q[queries]), ("k_proj", k[order]), ("v_proj", v[order])):
            found[role, layer, None] = part.reshape(-1, WIDTH)
        found["o_proj", layer, None] = o[queries].reshape(-1, WIDTH).T
        found["input_norm", layer, None] = np.ones(WIDTH)
    return found


@pytest.mark.parametrize("kv_heads", [6, 3, 2])
def test_no_change_of_basis_or_order_is_noticed(kv_heads: int) -> None:
    """Folded gains, a turned stream, maps inside heads and permuted heads leave the reading at 1."""
    tensors = random_model(0, kv_heads=kv_heads)
    found = compared(turned(tensors, 1, kv_heads=kv_heads), tensors, kv_heads=kv_heads)
    assert found.value > 0.99
    assert found.group is Group.ATTENTION
    assert found.exact is None
    assert len(found.layers) == LAYERS


def test_dropped_layers_are_found() -> None:
    """A turned, depth-pruned suspect reads near 1 over the layers that are left."""
    tensors = random_model(2, layers=6)
    kept = [0, 1, 4, 5]
    pruned = {(role, kept.index(layer), e): a for (role, layer, e), a in tensors.items() if layer in kept}  # type: ignore[arg-type]
    assert compared(turned(pruned, 3), tensors).value > 0.95


def test_unrelated_models_scatter_around_zero() -> None:
    """Over pairs of unrelated models the mean is within chance of 0, and no pair comes near a weak descendant."""
    sketches = [sketched(random_model(seed)) for seed in range(100, 108)]
    values = [PROBE.compare(a, b).value for a, b in zip(sketches[::2], sketches[1::2], strict=True)]
    assert abs(np.mean(values)) < 0.08
    assert np.max(values) < 0.2


def test_layers_repeated_in_both_are_no_agreement() -> None:
    """Two unrelated models that both repeat the same layers, heads in place, read like any unrelated pair."""
    pair = []
    for seed in (4, 5):
        tensors = random_model(seed, layers=3)
        copies = {(role, layer + 3, e): array for (role, layer, e), array in tensors.items()}  # type: ignore[operator]
        pair.append({**tensors, **copies})
    assert abs(compared(*pair).value) < 0.2


def test_dead_heads_in_one_place_are_no_agreement() -> None:
    """Heads without output in both of two unrelated models do not make these alike, and leave a copy at 1."""
    pair = [random_model(6), random_model(7)]
    for tensors in pair:
        for layer in range(LAYERS):
            tensors["o_proj", layer, None][:, :DIMENSIONS] = 0.0
    assert abs(compared(*pair).value) < 0.2
    assert compared(pair[0], pair[0]).value > 0.99
    assert compared(pair[0], pair[0]).facts["heads_matched"] == 5 * LAYERS


def test_layer_norm_hides_what_is_constant_over_channels() -> None:
    """With LayerNorm a constant added to what reads the stream changes nothing; with RMSNorm it does."""
    tensors = random_model(8)
    shifted = {
        key: a + 3.0 / tensors["input_norm", key[1], None] if key[0] in ("q_proj", "k_proj", "v_proj") else a
        for key, a in tensors.items()
    }
    assert compared(shifted, tensors, norm="layer").value > 0.99
    assert compared(shifted, tensors, norm="rms").value < 0.9


def test_silence_where_there_is_too_little() -> None:
    """One layer, one head, matrices of NaN or zeros abstain; a broken sketch is refused."""
    whole = sketched(random_model(9))
    for spoilt in (np.nan, 0.0):
        broken = sketched({key: a * spoilt for key, a in random_model(9).items()})
        with pytest.raises(Abstain):
            PROBE.compare(whole, broken)
    assert (
        sketched(random_model(9, layers=1)).absent is not None
        or "overlap" not in sketched(random_model(9, layers=1)).arrays
    )
    few = sketched(random_model(9, heads=1, kv_heads=1), heads=1, kv_heads=1)
    with pytest.raises(Abstain) as answer:
        PROBE.compare(few, whole)
    assert answer.value.reason is Reason.TOO_SMALL
    arrays = dict(whole.arrays)
    for wrong in (
        {},
        {**arrays, "layer": arrays["layer"][:-1]},
        {**arrays, "overlap": arrays["overlap"] * np.nan},
    ):
        with pytest.raises(Abstain) as answer:
            PROBE.compare(whole, PROBE.sketch(wrong))
        assert answer.value.reason is Reason.INCOMPATIBLE_SKETCHES


def test_the_contract() -> None:
    """The probe keeps the contract of probes."""
    check_probe(PROBE)


def test_layers_too_large_to_be_held_are_refused_before_they_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What a layer's attention may take of memory is bounded, by its shapes alone."""
    model = random_model(0)
    numbers = sum(
        matrix.size for (role, layer, _), matrix in model.items() if layer == 0 and role != "input_norm"
    )
    monkeypatch.setattr("plugins.attention_graph.LAYER_MOST", numbers)
    assert sketched(model).absent is None
    monkeypatch.setattr("plugins.attention_graph.LAYER_MOST", numbers - 1)
    refused = sketched(model).absent
    assert refused is not None
    assert str(numbers) in refused.detail
