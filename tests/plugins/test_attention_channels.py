"""Attention channels: what the test in place sees, what it must not see, and when it keeps silent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from forensics.probe import Abstain, Sketch
from forensics.readings import Group, Measurement, Reason
from forensics.testing import check_probe
from plugins.attention_channels import UNCLEAR, AttentionChannels
from tests.standin import Key, StandIn, architecture_of, run_sketch

WIDTH, ROWS, LAYERS = 64, 48, 4
PROBE = AttentionChannels(draws=199)
Tensors = dict[Key, Any]


def random_model(seed: int, *, layers: int = LAYERS, width: int = WIDTH) -> Tensors:
    """Attention matrices whose channels differ in size, in part alike in all layers, and gains."""
    rng = np.random.Generator(np.random.PCG64(seed))
    common = rng.standard_normal(width)
    tensors: Tensors = {}
    for layer in range(layers):
        sizes = np.exp(0.3 * (common + rng.standard_normal(width)))
        for role in ("q_proj", "k_proj", "v_proj"):
            tensors[role, layer, None] = rng.standard_normal((ROWS, width)) * sizes
        tensors["input_norm", layer, None] = rng.uniform(0.5, 1.5, width)
    return tensors


def sketched(tensors: Tensors) -> Sketch:
    """The probe's sketch, read in small blocks."""
    width = next(a.shape[-1] for a in tensors.values())
    layers = 1 + max(layer for _, layer, _ in tensors if layer is not None)
    return run_sketch(PROBE, StandIn(tensors, architecture_of(layers=layers, width=width)), 7)


def compared(suspect: Tensors, candidate: Tensors) -> Measurement:
    """The probe's measurement of two sets of tensors."""
    return PROBE.compare(sketched(suspect), sketched(candidate))


def test_a_copy_reads_one_with_a_tiny_p() -> None:
    """A model against itself reads 1 in every layer and is rejected far below what draws resolve."""
    found = compared(random_model(0), random_model(0))
    assert found.layers == pytest.approx([1.0] * LAYERS)
    assert found.group is Group.ATTENTION
    assert found.exact is not None
    assert found.exact.p < 1e-6


def test_scaled_and_permuted_head_dimensions_are_not_noticed() -> None:
    """Scaling head dimensions a hundredfold and reordering them leaves the reading at 1."""
    rng = np.random.Generator(np.random.PCG64(1))
    tensors = random_model(1)
    twin = {
        key: array[rng.permutation(ROWS)] * np.exp(rng.uniform(-5, 5, (ROWS, 1)))
        if array.ndim == 2
        else array
        for key, array in tensors.items()
    }
    assert compared(twin, tensors).value == pytest.approx(1.0, abs=1e-3)


def test_dropped_layers_leave_an_exact_test() -> None:
    """A depth-pruned suspect's layers are found, and mean curves are tested."""
    tensors = random_model(2, layers=6)
    kept = [0, 1, 4, 5]
    pruned = {(role, kept.index(layer), e): a for (role, layer, e), a in tensors.items() if layer in kept}  # type: ignore[arg-type]
    found = compared(pruned, tensors)
    assert found.value == pytest.approx(1.0)
    assert found.exact is not None
    assert found.exact.p < UNCLEAR
    assert "means over layers" in found.exact.method


def test_the_null_is_uniform_or_conservative() -> None:
    """Of unrelated pairs no more than the stated share falls below 0.05, 0.2 and 0.5."""
    sketches = [sketched(random_model(seed, layers=2)) for seed in range(100, 180)]
    p = [
        found.exact.p
        for a, b in zip(sketches[::2], sketches[1::2], strict=True)
        if (found := PROBE.compare(a, b)).exact is not None
    ]
    assert len(p) == 40
    for level in (0.05, 0.2, 0.5):
        assert np.mean(np.array(p) <= level) <= level + 2.6 * np.sqrt(level * (1 - level) / len(p))


def test_weak_agreement_gives_no_small_p() -> None:
    """Agreement that pasted embeddings reach is told with no p below 1e-3, however many channels there are."""
    rng = np.random.Generator(np.random.PCG64(3))
    common = np.exp(0.25 * rng.standard_normal(1024))
    pair = [
        {key: a * common if a.ndim == 2 else a for key, a in random_model(seed, layers=2, width=1024).items()}
        for seed in (4, 5)
    ]
    found = compared(*pair)
    assert 0.05 < found.value < 0.4
    assert found.facts["z"] > 5  # type: ignore[operator]
    assert found.exact is not None
    assert found.exact.p == UNCLEAR


def test_sorted_channels_give_no_exact_p() -> None:
    """Two unrelated models whose channels both stand sorted by size are not rejected."""
    pair = []
    for seed in (6, 7):
        tensors = random_model(seed, width=256)
        order = np.argsort(sum(np.log((a**2).sum(0)) for a in tensors.values() if a.ndim == 2))
        pair.append({key: a[..., order] for key, a in tensors.items()})
    assert compared(*pair).exact is None


def test_dead_channels_in_one_place_are_no_agreement() -> None:
    """Unrelated models with the same channels empty are not told apart from unrelated ones without."""
    pair = [random_model(8), random_model(9)]
    for tensors in pair:
        for key in tensors:
            tensors[key][..., 5:20] = 0.0
    found = compared(*pair)
    assert abs(found.value) < 0.4
    assert found.exact is not None
    assert found.exact.p > 0.01


def test_silence_where_nothing_can_be_paired() -> None:
    """Other widths, narrow models and matrices of NaN or zeros abstain; a broken sketch is refused."""
    whole = sketched(random_model(10))
    with pytest.raises(Abstain) as answer:
        PROBE.compare(whole, sketched(random_model(10, width=96)))
    assert answer.value.reason is Reason.NOT_COMPARABLE
    for spoilt in (np.nan, 0.0):
        assert sketched({key: a * spoilt for key, a in random_model(11).items()}).absent is not None
    assert sketched(random_model(12, width=16)).absent is not None
    arrays = dict(whole.arrays)
    for broken in (
        {},
        {**arrays, "layers": arrays["layers"][:-1]},
        {**arrays, "curves": arrays["curves"] * np.nan},
    ):
        with pytest.raises(Abstain) as answer:
            PROBE.compare(whole, PROBE.sketch(broken))
        assert answer.value.reason is Reason.INCOMPATIBLE_SKETCHES


def test_the_contract() -> None:
    """The probe keeps the contract of probes."""
    check_probe(PROBE)
