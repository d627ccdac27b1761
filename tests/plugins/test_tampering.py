"""tampering: each rewriting that leaves traces is told, and nothing that training leaves is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from forensics import Measurement, SignKind, Sketch
from forensics.checkpoint import open_checkpoint
from forensics.reading import read
from forensics.testing import CLASSES, check_probe, tiny_checkpoint
from forensics.testing.rewriting import rewritten
from plugins.tampering import Tampering
from tests.standin import Key, StandIn, architecture_of, run_sketch

PROBE = Tampering()


def sketch(folder: Path) -> Sketch:
    """The probe's sketch of a folder."""
    checkpoint = open_checkpoint(folder, label=folder.name)
    try:
        return read(checkpoint, [PROBE]).sketches[PROBE.id]
    finally:
        checkpoint.close()


def after(gauge: str, tmp_path: Path, architecture: str = "llama") -> Measurement:
    """The reading of a tiny checkpoint rewritten by a gauge, against the original."""
    base = tiny_checkpoint(tmp_path / "base", architecture=architecture, width=64, seed=1)
    return PROBE.compare(sketch(rewritten(base, tmp_path / "rewritten", [gauge], 2)), sketch(base))


def test_contract() -> None:
    """The probe keeps the contract of the house."""
    check_probe(PROBE)


@pytest.mark.parametrize(
    ("gauge", "words"),
    [
        ("rescale-neurons", "neurons' input rows"),
        ("mix-values", "value rows"),
        ("turn-queries", "keys and the queries"),
        ("scale-gains", "larger norm gains"),
    ],
)
def test_rescalings_are_told(gauge: str, words: str, tmp_path: Path) -> None:
    """Every rescaling of the core's gauges is found in words that name it, and weighs nothing for descent."""
    found = after(gauge, tmp_path)
    assert any(words in sign.detail for sign in found.signs)
    assert all(sign.sign is SignKind.TAMPERING for sign in found.signs)
    assert found.value == len(found.signs)
    assert found.exact is None
    assert found.group is None


@pytest.mark.parametrize("gauge", ["fold-gains", "rotate-residual"])
def test_folded_gains_are_told(gauge: str, tmp_path: Path) -> None:
    """Gains folded into the weights, with or without a rotation after, are told as constant gains."""
    assert any("constant gains" in sign.detail for sign in after(gauge, tmp_path).signs)


@pytest.mark.parametrize("gauge", ["permute-neurons", "permute-heads", "permute-residual", "flip-residual"])
def test_permutations_leave_no_trace(gauge: str, tmp_path: Path) -> None:
    """What leaves norms as they are is not told: orders and signs of the stream are as random after as before."""
    assert after(gauge, tmp_path).signs == ()


@pytest.mark.parametrize("architecture", sorted(CLASSES))
def test_nothing_is_told_of_an_untampered_model(architecture: str, tmp_path: Path) -> None:
    """No architecture shows a tell, against itself or against a model of another kind."""
    other = sketch(tiny_checkpoint(tmp_path / "other", architecture="llama", seed=9, width=64))
    for seed in (1, 2):
        one = sketch(tiny_checkpoint(tmp_path / f"{seed}", architecture=architecture, seed=seed, width=64))
        assert PROBE.compare(one, other).signs == ()
        assert PROBE.compare(one, one).value == 0.0


def model(seed: int) -> dict[Key, np.ndarray]:
    """Two layers with gains and an MLP whose rows differ in norm."""
    rng = np.random.default_rng(seed)
    tensors: dict[Key, np.ndarray] = {}
    for n in range(2):
        rows = np.exp(0.3 * rng.standard_normal((256, 1)))
        tensors["mlp_norm", n, None] = np.exp(0.3 * rng.standard_normal(64))
        tensors["up_proj", n, None] = rows * rng.standard_normal((256, 64))
        tensors["down_proj", n, None] = (rows * rng.standard_normal((256, 64))).T
    return tensors


def reading(suspect: dict[Key, np.ndarray], candidate: dict[Key, np.ndarray]) -> Measurement:
    """The reading of two sets of tensors."""
    sides = [run_sketch(PROBE, StandIn(t, architecture_of(layers=2, width=64))) for t in (suspect, candidate)]
    return PROBE.compare(*sides)


def test_flipped_gains_are_told_beside_a_candidate_without_any() -> None:
    """Large gains of the other sign are told; small ones, which training leaves as it passes zero, are not."""
    base, rng = model(1), np.random.default_rng(0)
    flips = np.where(rng.random(64) < 0.3, -1.0, 1.0)
    flipped = {k: w * flips if k[0] == "mlp_norm" else w for k, w in base.items()}
    small = {
        k: np.where(w < np.quantile(w, 0.2), -w, w) if k[0] == "mlp_norm" else w for k, w in base.items()
    }
    assert [("other sign" in sign.detail) for sign in reading(flipped, base).signs] == [True]
    assert reading(small, base).signs == ()
    assert reading(flipped, flipped).signs == ()


def test_sorted_neurons_are_told() -> None:
    """Neurons in the order of their norm are told; in the order of training they are not."""
    base = model(2)
    ordered = dict(base)
    for n in range(2):
        order = np.argsort(np.linalg.norm(base["up_proj", n, None], axis=1))
        ordered["up_proj", n, None] = base["up_proj", n, None][order]
        ordered["down_proj", n, None] = base["down_proj", n, None][:, order]
    assert ["sorted" in sign.detail for sign in reading(ordered, base).signs] == [True]
    assert reading(base, ordered).signs == ()


def test_constant_gains_of_an_untrained_model_are_no_tell() -> None:
    """Gains that are one because nothing was trained yet are not told: the weights show no training either."""
    rng = np.random.default_rng(3)
    fresh = {("input_norm", n, None): np.ones(64) for n in range(2)}
    fresh |= {("q_proj", n, None): rng.standard_normal((64, 64)) for n in range(2)}
    assert reading(fresh, model(3)).signs == ()


def test_gains_scaled_against_their_columns_are_told() -> None:
    """Gains near one, as most models have them, times random factors, and the columns divided, are told by name."""
    base, rng = model(4), np.random.default_rng(1)
    base |= {k: w**0.2 for k, w in base.items() if k[0] == "mlp_norm"}
    scaled = dict(base)
    for n in range(2):
        by = np.exp(0.7 * rng.standard_normal(64))
        scaled["mlp_norm", n, None] = base["mlp_norm", n, None] * by
        scaled["up_proj", n, None] = base["up_proj", n, None] / by
    assert ["MLP columns" in sign.detail for sign in reading(scaled, base).signs] == [True]
    assert reading(base, scaled).signs == ()
