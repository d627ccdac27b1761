"""Towers in place: names of real towers, what must be seen, what must not, and when to keep silent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forensics.checkpoint import open_checkpoint
from forensics.probe import Abstain, Sketch
from forensics.reading import read
from forensics.readings import Measurement, Reason, SignKind
from forensics.testing import check_probe, read_safetensors, tiny_checkpoint, write_safetensors
from plugins.tower_identity import TowerIdentity

PROBE = TowerIdentity()
SPELLINGS = {
    "clip": ("vision_tower.vision_model.encoder.layers.{}.mlp.", ("fc1", "fc2")),
    "qwen2-vl": ("visual.blocks.{}.mlp.", ("fc1", "fc2")),
    "qwen2.5-vl": ("visual.blocks.{}.mlp.", ("gate_proj", "up_proj", "down_proj")),
    "pixtral": ("vision_encoder.transformer.layers.{}.feed_forward.", ("w1", "w3", "w2")),
    "whisper": ("audio_tower.layers.{}.", ("fc1", "fc2")),
    "wrapped": ("model.vision_tower.encoder.blocks.{}.mlp.", ("linear_fc1", "linear_fc2")),
}
LAYERS, WIDTH, NEURONS = 3, 24, 64
Tower = dict[str, np.ndarray]


def tower(seed: int, spelling: str = "clip", layers: int = LAYERS, neurons: int = NEURONS) -> Tower:
    """Random MLP matrices of a tower, by their stored names."""
    rng = np.random.default_rng(seed)
    at, names = SPELLINGS[spelling]
    made: Tower = {}
    for layer in range(layers):
        for name in names:
            inner = (WIDTH, neurons) if name == names[-1] else (neurons, WIDTH)
            made[f"{at.format(layer)}{name}.weight"] = rng.standard_normal(inner).astype(np.float32)
    return made


def sketched(folder: Path, added: Tower, seed: int = 0, **shape: Any) -> Sketch:
    """The probe's sketch of a tiny language model with a tower beside it."""
    path = tiny_checkpoint(folder, seed=seed, layers=2, **shape) / "model.safetensors"
    write_safetensors(path, {**read_safetensors(path), **{n: ("f32", w) for n, w in added.items()}})
    checkpoint = open_checkpoint(folder)
    sketch = read(checkpoint, [PROBE]).sketches[PROBE.id]
    checkpoint.close()
    return sketch


def compared(tmp_path: Path, suspect: Tower, candidate: Tower) -> Measurement:
    """The probe's measurement of two towers beside independent language models of different width."""
    sides = sketched(tmp_path / "a", suspect, 1), sketched(tmp_path / "b", candidate, 2, width=64)
    return PROBE.compare(*sides)


def absence(sketch: Sketch) -> Reason:
    """Why there is no sketch."""
    assert sketch.absent is not None
    return Reason(sketch.absent.reason)  # type: ignore[union-attr]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_tower_is_found_by_name_and_seen_to_be_the_same(tmp_path: Path, spelling: str) -> None:
    """Under every maker's names one tower in two models reads 1 in each layer, and is told by kind as partial reuse."""
    found = compared(tmp_path, tower(1, spelling), tower(1, spelling))
    assert found.layers == pytest.approx([1.0] * LAYERS)
    assert found.group is None
    assert found.exact is not None
    assert found.exact.p <= 1e-6
    (sign,) = found.signs
    assert sign.sign is SignKind.PARTIAL_REUSE
    assert ("speech tower" if spelling == "whisper" else "vision tower") in sign.detail


def test_unrelated_towers_give_no_small_p(tmp_path: Path) -> None:
    """Over seeds p is conservative and the value near 0, whatever the language models; no sign is entered."""
    sides = [sketched(tmp_path / str(seed), tower(seed)) for seed in range(16)]
    found = [PROBE.compare(a, b) for k, a in enumerate(sides) for b in sides[:k]]
    ps = np.array([one.exact.p for one in found if one.exact is not None])
    assert len(ps) == len(found) == 120
    assert max(abs(one.value) for one in found) < 0.1
    assert not any(one.signs for one in found)
    assert (ps <= 0.05).mean() <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)
    assert ps.min() > 1e-5


def test_a_tower_trained_on_is_seen_and_a_permuted_one_is_not(tmp_path: Path) -> None:
    """Noise of a third of the weights leaves the sign; permuted neurons hide the tower, as the probe says of itself."""
    base, rng = tower(5), np.random.default_rng(5)
    noisy = {n: w + 0.3 * rng.standard_normal(w.shape).astype(np.float32) for n, w in base.items()}
    assert compared(tmp_path / "noisy", noisy, base).signs
    order = rng.permutation(NEURONS)
    moved = {n: w[order] if n.endswith("fc1.weight") else w[:, order] for n, w in base.items()}
    hidden = compared(tmp_path / "moved", moved, base)
    assert abs(hidden.value) < 0.1
    assert not hidden.signs


def test_a_shortened_tower_is_seen(tmp_path: Path) -> None:
    """Where depths differ all pairs of layers are tried: a tower without its first layer is still the candidate's."""
    whole = tower(6, layers=5)
    short = {n.replace(f"layers.{k}.", f"layers.{k - 1}."): w for k in range(1, 5) for n, w in whole.items()
             if f"layers.{k}." in n}  # fmt: skip
    found = compared(tmp_path, short, whole)
    assert found.facts["same_depth"] is False
    assert found.value > 0.9
    assert found.signs


def test_towers_of_two_kinds_are_told_apart(tmp_path: Path) -> None:
    """One reused vision tower beside a speech tower of its own: the words give each its own agreement."""
    both = {**tower(7), **tower(8, "whisper")}
    found = compared(tmp_path, both, {**tower(7), **tower(9, "whisper")})
    (sign,) = found.signs
    assert "vision tower agrees with the candidate's at 1.00" in sign.detail
    assert "speech tower agrees with the candidate's at 0.0" in sign.detail.replace("-", "")


def test_silence_where_there_is_no_tower_or_no_counterpart(tmp_path: Path) -> None:
    """Without a tower, or with one that holds no finite number, there is no sketch; unlike shapes are not compared."""
    assert absence(sketched(tmp_path / "none", {})) is Reason.MISSING_TENSORS
    spoilt = {n: np.full_like(w, np.nan) for n, w in tower(1).items()}
    assert absence(sketched(tmp_path / "nan", spoilt)) is Reason.MISSING_TENSORS
    with pytest.raises(Abstain) as answer:
        compared(tmp_path, tower(1), tower(1, neurons=40))
    assert answer.value.reason is Reason.NOT_COMPARABLE


def test_names_and_shapes_that_lie_are_passed_over(tmp_path: Path) -> None:
    """Vectors, single rows, attention, endless numbers and names without a number are no MLP matrices of a tower."""
    at = "vision_tower.layers."
    odd = {
        f"{at}0.mlp.fc1.weight": np.ones(8, np.float32),
        f"{at}1.mlp.fc1.weight": np.ones((1, 8), np.float32),
        f"{at}2.attention.c_proj.weight": np.ones((8, 8), np.float32),
        f"{at}{'9' * 40}.mlp.fc1.weight": np.ones((8, 8), np.float32),
        "vision_tower.mlp.fc1.weight": np.ones((8, 8), np.float32),
        f"{at}3.mlp.fc1.weight": np.ones((2, 2, 2), np.float32),
    }
    assert absence(sketched(tmp_path, odd)) is Reason.MISSING_TENSORS


def test_a_sketch_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    """Arrays that are no corners of MLPs abstain instead of crashing."""
    good = sketched(tmp_path / "a", tower(1))
    for arrays in ({}, {"odd": np.ones(3)}, {"q_proj.0.-1": np.ones((4, 4), np.float32)}):
        bad = Sketch(probe=good.probe, version=good.version, parameters=good.parameters, arrays=arrays)
        with pytest.raises(Abstain) as answer:
            PROBE.compare(good, bad)
        assert answer.value.reason is Reason.INCOMPATIBLE_SKETCHES


def test_the_contract() -> None:
    """The probe keeps the contract of probes."""
    check_probe(PROBE)
