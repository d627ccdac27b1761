"""residual-basis: copies in place and re-ordered are told from strangers that know the same tokens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from forensics import Abstain, Group, Measurement, Reason, SignKind, Sketch
from forensics.checkpoint import open_checkpoint
from forensics.checkpoint.facts import Anchors
from forensics.readings import Abstention
from forensics.testing import check_probe, descend, tiny_checkpoint
from plugins.residual_basis import ResidualBasis
from tests.standin import StandIn, architecture_of, run_sketch

PROBE = ResidualBasis(draws=999)


def sketch_of(folder: Path) -> Sketch:
    """The sketch of a checkpoint on disk."""
    checkpoint = open_checkpoint(folder, label=folder.name)
    try:
        return PROBE.sketcher(checkpoint).finish()
    finally:
        checkpoint.close()


def measure(suspect: Path, candidate: Path) -> Measurement:
    """The reading of two checkpoints on disk."""
    return PROBE.compare(sketch_of(suspect), sketch_of(candidate))


def made(rows: np.ndarray, norm: str = "rms") -> Sketch:
    """The sketch of anchor rows."""
    anchors = Anchors(hashes=np.arange(len(rows), dtype=np.uint64), rows=rows.astype(np.float32))
    standin = StandIn({}, architecture_of(width=rows.shape[1], norm=norm), anchors=anchors)
    return run_sketch(PROBE, standin)


def test_contract() -> None:
    """The probe keeps the contract of the house."""
    check_probe(ResidualBasis())


@pytest.mark.parametrize("architecture", ["llama", "qwen2", "gemma2", "mixtral", "gpt2", "gpt_neox"])
def test_descendants_and_strangers_of_every_kind_of_norm(tmp_path: Path, architecture: str) -> None:
    """A noisy child reads above 0.7 with p ≤ 1e-6; a twin of the recipe below 0 with p that says nothing."""
    base = tiny_checkpoint(tmp_path / "base", architecture=architecture, seed=1, width=64)
    twin = tiny_checkpoint(tmp_path / "twin", architecture=architecture, seed=2, width=64)
    child = measure(descend(base, tmp_path / "child", noise=0.2), base)
    assert child.value > 0.7
    assert child.exact is not None
    assert child.exact.p <= 1e-6
    assert child.group is Group.EMBEDDING
    assert not child.signs
    stranger = measure(twin, base)
    assert stranger.value < 0.0
    assert stranger.exact is not None
    assert stranger.exact.p > 1e-3
    assert not stranger.signs


@pytest.mark.parametrize(
    ("architecture", "gauges"),
    [("llama", ("permute-residual", "flip-residual")), ("gpt_neox", ("permute-residual",))],
)
def test_a_reordered_residual_stream_is_found_and_called_tampering(
    tmp_path: Path, architecture: str, gauges: tuple[str, ...]
) -> None:
    """Moved channels keep the value, lose the exact p, and are entered as a sign."""
    base = tiny_checkpoint(tmp_path / "base", architecture=architecture, seed=1, width=64)
    found = measure(descend(base, tmp_path / "child", noise=0.1, gauges=gauges), base)
    assert found.value > 0.7
    assert found.exact is not None
    assert found.exact.p > 1e-4
    assert [sign.sign for sign in found.signs] == [SignKind.TAMPERING]


def test_negated_channels_alone_are_called_tampering(tmp_path: Path) -> None:
    """Half of the signs turned, with every channel in place, are entered as a sign."""
    base = tiny_checkpoint(tmp_path / "base", seed=1, width=128)
    found = measure(descend(base, tmp_path / "child", noise=0.1, gauges=("flip-residual",)), base)
    negated = float(found.facts["moved_among_clear"] or 0)
    assert 0.3 < negated < 0.7
    assert bool(found.signs) == (negated >= 0.5)


def test_a_dense_rotation_hides_the_basis_and_is_no_evidence(tmp_path: Path) -> None:
    """A rotated copy reads like a stranger, its isometry shown as no evidence, and nothing is called tampering."""
    base = tiny_checkpoint(tmp_path / "base", seed=1, width=64)
    found = measure(
        descend(base, tmp_path / "child", noise=0.0, gauges=("fold-gains", "rotate-residual")), base
    )
    assert found.value < 0.0
    assert float(found.facts["dense_rotation_held_out_no_evidence"] or 0) > 0.9
    assert not found.signs


def test_shared_token_geometry_and_outlier_channels_do_not_accuse() -> None:
    """Over 40 unrelated pairs with one token geometry and loud channels no value reaches 0 and few p are small."""
    meaning = np.random.default_rng(0).standard_normal((256, 32))
    loud = np.where(np.arange(64) < 2, 15.0, 1.0)
    sides = []
    for seed in range(80):
        rng = np.random.default_rng(seed + 1)
        noise = 0.3 * rng.standard_normal((256, 64))
        sides.append(made((meaning @ rng.standard_normal((32, 64)) + noise) * loud))
    found = [PROBE.compare(a, b) for a, b in zip(sides[::2], sides[1::2], strict=True)]
    assert max(m.value for m in found) < 0.0
    assert sum(m.exact is not None and m.exact.p <= 0.05 for m in found) <= 8


def test_fewer_anchors_than_channels_still_show_a_copy() -> None:
    """With 128 anchors of width 512 a noisy copy reads near 1 and a stranger below 0, under both norms."""
    rng = np.random.default_rng(0)
    rows, other = rng.standard_normal((128, 512)), rng.standard_normal((128, 512))
    for norm in ("rms", "layer"):
        copy = PROBE.compare(made(rows + 0.1 * other, norm), made(rows, norm))
        assert copy.value > 0.9
        assert copy.exact is not None
        assert copy.exact.p <= 1e-6
        assert PROBE.compare(made(other, norm), made(rows, norm)).value < 0.0


def test_one_layer_norm_is_enough_to_forbid_sign_flips() -> None:
    """Sign flips are drawn only where both have RMSNorm; an unknown norm counts as one that forbids them."""
    rows = np.random.default_rng(0).standard_normal((100, 32))
    for norms, flips in ((("rms", "rms"), True), (("rms", "layer"), False), (("unknown", "rms"), False)):
        found = PROBE.compare(made(rows, norms[0]), made(rows, norms[1]))
        assert found.exact is not None
        assert ("flips" in found.exact.method) is flips


def test_what_cannot_be_compared_abstains_with_its_reason() -> None:
    """No anchors, alien tokens, and arrays that do not fit are answers, not errors."""
    rows = np.random.default_rng(0).standard_normal((100, 32))
    bare = run_sketch(PROBE, StandIn({}, architecture_of()))
    assert isinstance(bare.absent, Abstention)
    broken = made(np.full((100, 32), np.nan))
    assert isinstance(broken.absent, Abstention)
    good = made(rows)
    alien = PROBE.sketch({**good.arrays, "hashes": np.arange(100, dtype=np.uint64) + 1000}, good.facts)
    odd = [
        PROBE.sketch({}, good.facts),
        PROBE.sketch({**good.arrays, "rows": good.arrays["rows"][:50]}, good.facts),
        PROBE.sketch({**good.arrays, "rows": good.arrays["rows"].astype(np.float64)}, good.facts),
        PROBE.sketch({**good.arrays, "rows": good.arrays["rows"] * np.float16(np.nan)}, good.facts),
    ]
    for side, reason in [(alien, Reason.NO_SHARED_TOKENS), *((s, Reason.INCOMPATIBLE_SKETCHES) for s in odd)]:
        with pytest.raises(Abstain) as answer:
            PROBE.compare(side, good)
        assert answer.value.reason is reason


def test_channels_sorted_on_both_sides_give_no_exact_p_under_layer_norm() -> None:
    """Where both sides stand sorted by energy permutations are no symmetry; sign flips still are."""
    scale = np.linspace(1.0, 3.0, 32)
    a, b = (np.random.default_rng(seed).standard_normal((100, 32)) * scale for seed in (0, 1))
    assert PROBE.compare(made(a, "layer"), made(b, "layer")).exact is None
    assert PROBE.compare(made(a), made(b)).exact is not None
