"""Pairs of which one side lies: nothing is NaN, what could not be read is never `independent`, forgery no descent."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from forensics.readings import Failure, Measurement
from forensics.testing import descend, read_safetensors, tiny_checkpoint, write_safetensors
from forensics.testing.files import Stored
from tests.hostile.judged import opinion, outcomes

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, a true descendant, and a stranger, large enough for a verdict."""
    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("base", "stranger")):
        tiny_checkpoint(folder / name, seed=seed, layers=4, width=64)
    return folder


def every(value: float) -> Callable[[Stored], None]:
    """All weights are that."""
    return lambda tensors: tensors.update(
        {n: ("f32", np.full_like(v, value)) for n, (_, v) in tensors.items()}
    )


def some(value: float, part: str) -> Callable[[Stored], None]:
    """The tensors of that name begin with that."""

    def change(tensors: Stored) -> None:
        for name, (_, values) in tensors.items():
            tensors[name] = ("f32", values)
            if part in name:
                values.flat[:3] = value

    return change


UNSOUND: dict[str, Callable[[Stored], None]] = {
    "zero": every(0.0), "constant": every(0.5), "denormal": every(1e-42), "huge": every(3.4e38), "minus": every(-2.0),
    "NaN": every(np.nan), "infinite": every(np.inf),
    "NaN in embeddings": some(np.nan, "embed"), "NaN in gains": some(np.nan, "norm"), "huge gains": some(3e38, "norm"),
    "NaN in queries": some(np.nan, "q_proj"), "infinite gate": some(np.inf, "gate"), "huge up": some(3e38, "up_proj"),
    "huge embeddings": some(3e38, "embed"), "huge attention": some(-3e38, "_proj"),
}  # fmt: skip


@pytest.mark.parametrize("change", UNSOUND.values(), ids=UNSOUND)
def test_unsound_numbers_never_become_a_reading(
    change: Callable[[Stored], None], models: Path, tmp_path: Path
) -> None:
    """Against a sound model and against itself, every outcome is finite or says why there is none."""
    bad, good = changed(models, tmp_path, change), models / "base"
    for one, other in ((bad, good), (good, bad), (bad, bad)):
        for probe, outcome in outcomes(one, other).items():
            assert not isinstance(outcome, Failure), (probe, outcome)
            if isinstance(outcome, Measurement):
                assert math.isfinite(outcome.value), probe
    assert opinion(bad, good).verdict != "derived"


def changed(models: Path, folder: Path, change: Callable[[Stored], None], start: str = "stranger") -> Path:
    """A copy of a model with its tensors changed."""
    shutil.copytree(models / start, folder / "suspect")
    tensors = read_safetensors(folder / "suspect" / WEIGHTS)
    change(tensors)
    write_safetensors(folder / "suspect" / WEIGHTS, tensors)
    return folder / "suspect"


def test_sound_stranger_is_independent(models: Path) -> None:
    """The yardstick: without any of the following faults the verdict is `independent`."""
    assert opinion(models / "stranger", models / "base").verdict == "independent"


def not_finite(tensors: Stored) -> None:
    """All of one layer's matrices are NaN."""
    for name, (dtype, values) in tensors.items():
        if ".layers.1." in name:
            tensors[name] = (dtype, np.full_like(values, np.nan))


def hidden(tensors: Stored) -> None:
    """One layer goes by names that nobody knows."""
    for name in [n for n in tensors if ".layers.2." in n]:
        tensors[name.replace("layers", "strata")] = tensors.pop(name)


def reshaped(tensors: Stored) -> None:
    """One layer's matrices have shapes that no architecture has."""
    for name, (dtype, values) in tensors.items():
        if ".layers.1.mlp" in name:
            tensors[name] = (dtype, values.reshape(-1, 2, 2, values.shape[1] // 4))


@pytest.mark.parametrize("change", [not_finite, hidden, reshaped], ids=lambda c: c.__name__)
def test_weights_that_could_not_be_examined_keep_independence_away(
    change: Callable[[Stored], None], models: Path, tmp_path: Path
) -> None:
    """Spoilt, hidden or misshapen weights lower the coverage until nothing is concluded from what is left."""
    suspect = changed(models, tmp_path, change)
    assert opinion(suspect, models / "base").verdict == "inconclusive"


def test_cut_file_keeps_independence_away(models: Path, tmp_path: Path) -> None:
    """A suspect of which a fifth is missing is not called independent."""
    shutil.copytree(models / "stranger", tmp_path / "suspect")
    whole = (tmp_path / "suspect" / WEIGHTS).read_bytes()
    (tmp_path / "suspect" / WEIGHTS).write_bytes(whole[: len(whole) * 4 // 5])
    assert opinion(tmp_path / "suspect", models / "base").verdict == "inconclusive"


def test_second_weights_keep_independence_away(models: Path, tmp_path: Path) -> None:
    """A decoy that loaders pass by, or that only some loaders take, is not what is judged alone."""
    shutil.copytree(models / "stranger", tmp_path / "suspect")
    shutil.copy(models / "base" / WEIGHTS, tmp_path / "suspect" / "consolidated.safetensors")
    assert opinion(tmp_path / "suspect", models / "base").verdict == "inconclusive"


def pasted(models: Path, *parts: str) -> Callable[[Stored], None]:
    """Takes the base's tensors of those names."""
    base = read_safetensors(models / "base" / WEIGHTS)
    return lambda tensors: tensors.update({n: v for n, v in base.items() if any(p in n for p in parts)})


@pytest.mark.parametrize("parts", [("embed_tokens", "lm_head"), ("norm",), ("layers.1.",)], ids="+".join)
def test_forged_similarity_is_not_descent(parts: tuple[str, ...], models: Path, tmp_path: Path) -> None:
    """A stranger with the candidate's embeddings, gains or one whole layer pasted in is not called derived."""
    suspect = changed(models, tmp_path, pasted(models, *parts))
    assert opinion(suspect, models / "base").verdict != "derived"


def flipped(tensors: Stored) -> None:
    """Signs of gate-less pairs flipped: up and down projections change sign together."""
    for name, (dtype, values) in tensors.items():
        if "up_proj" in name or "down_proj" in name:
            tensors[name] = (dtype, -values)


def scaled(tensors: Stored) -> None:
    """Channels scaled out of the norms into the matrices behind them, as smoothing for quantisation does."""
    scale = np.geomspace(0.5, 2.0, 64).astype(np.float32)
    for layer in range(4):
        for norm, behind in (
            ("input_layernorm", ("q_proj", "k_proj", "v_proj")),
            ("post_attention_layernorm", ("gate_proj", "up_proj")),
        ):
            dtype, gain = tensors[f"model.layers.{layer}.{norm}.weight"]
            tensors[f"model.layers.{layer}.{norm}.weight"] = (dtype, gain / scale)
            for name in [n for n in tensors if f"layers.{layer}." in n and any(b in n for b in behind)]:
                tensors[name] = (tensors[name][0], tensors[name][1] * scale)


def shuffled(tensors: Stored) -> None:
    """The order of layers reversed."""
    was = dict(tensors)
    for name in was:
        for layer in range(4):
            if f"layers.{layer}." in name:
                tensors[name] = was[name.replace(f"layers.{layer}.", f"layers.{3 - layer}.")]


@pytest.mark.parametrize("change", [flipped, scaled, shuffled], ids=lambda c: c.__name__)
def test_disguised_copy_is_never_independent(
    change: Callable[[Stored], None], models: Path, tmp_path: Path
) -> None:
    """A copy under a change that keeps its function, or its layers, is found or left open."""
    suspect = changed(models, tmp_path, change, start="base")
    assert opinion(suspect, models / "base").verdict != "independent"


@pytest.mark.parametrize("permute", [True, False])
def test_noisy_permuted_copy_is_never_independent(models: Path, tmp_path: Path, *, permute: bool) -> None:
    """A noisy descendant with its neurons and heads in another order is found or left open."""
    descend(models / "base", tmp_path / "suspect", noise=0.05, permute=permute, seed=3)
    assert opinion(tmp_path / "suspect", models / "base").verdict != "independent"


def test_copy_byte_for_byte_is_identical(models: Path, tmp_path: Path) -> None:
    """Identity is said as such."""
    shutil.copytree(models / "base", tmp_path / "suspect")
    assert opinion(tmp_path / "suspect", models / "base").relation == "identical"
