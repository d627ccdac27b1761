"""Identity in place: descendants agree, strangers and rearranged copies do not, and two exact p-values stand apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from forensics.checkpoint import open_checkpoint
from forensics.probe import Abstain, Sketch
from forensics.reading import sketch_only
from forensics.readings import Group, Measurement, Reason, SignKind
from forensics.testing import check_probe, descend, read_safetensors, tiny_checkpoint, write_safetensors
from plugins.identity import IdentityAttention, IdentityMlp, InPlace

ATTENTION, MLP = IdentityAttention(draws=199), IdentityMlp(draws=199)
BOTH = pytest.mark.parametrize("probe", [ATTENTION, MLP], ids=lambda probe: probe.id)


def sketched(probe: InPlace, folder: Path) -> Sketch:
    """The probe's sketch of a checkpoint."""
    checkpoint = open_checkpoint(folder, label=folder.name)
    try:
        return sketch_only(checkpoint, [probe], "")[probe.id]
    finally:
        checkpoint.close()


def compared(probe: InPlace, suspect: Path, candidate: Path) -> Measurement:
    """The probe's measurement of two checkpoints."""
    return probe.compare(sketched(probe, suspect), sketched(probe, candidate))


@BOTH
@pytest.mark.parametrize("architecture", ["llama", "gpt2", "gpt_neox", "gemma2"])
def test_a_descendant_is_seen_in_any_architecture(probe: InPlace, architecture: str, tmp_path: Path) -> None:
    """A noisy copy agrees above 0.9 with a tiny exact p, with RMSNorm and LayerNorm, gated or not."""
    parent = tiny_checkpoint(tmp_path / "a", architecture=architecture, layers=4, width=64, seed=1)
    child = descend(parent, tmp_path / "b", noise=0.2, seed=2)
    found = compared(probe, child, parent)
    assert found.value > 0.9
    assert found.group is (Group.ATTENTION if probe is ATTENTION else Group.MLP)
    assert found.exact is not None
    assert found.exact.p < 1e-6
    assert not found.signs
    assert len(found.layers) == 4


@BOTH
def test_strangers_and_rearranged_copies_read_zero(probe: InPlace, tmp_path: Path) -> None:
    """An unrelated twin of one recipe and a permuted copy lie near zero and raise no sign."""
    parent = tiny_checkpoint(tmp_path / "a", architecture="llama", layers=4, width=64, seed=1)
    stranger = tiny_checkpoint(tmp_path / "b", architecture="llama", layers=4, width=64, seed=3)
    permuted = descend(parent, tmp_path / "c", noise=0.0, permute=True, seed=4)
    found = compared(probe, stranger, parent)
    assert abs(found.value) < 0.05
    assert found.exact is not None
    assert found.exact.p > 1e-3
    moved = compared(probe, permuted, parent)
    assert abs(moved.value) < 0.3
    assert moved.value < found.value + 0.3


@BOTH
def test_modest_agreement_is_a_sign_of_shared_initialisation(probe: InPlace, tmp_path: Path) -> None:
    """Agreement that is certain but weak, as two trainings from one initialisation leave, is entered as that sign."""
    parent = tiny_checkpoint(tmp_path / "a", architecture="llama", layers=4, width=64, seed=1)
    found = compared(probe, descend(parent, tmp_path / "b", noise=3.0, seed=2), parent)
    assert found.value < 0.6
    assert found.exact is not None
    assert found.exact.p <= 1e-6
    assert [sign.sign for sign in found.signs] == [SignKind.SHARED_INITIALISATION]


@BOTH
def test_partly_moved_coordinates_are_no_such_sign(probe: InPlace, tmp_path: Path) -> None:
    """A copy of which some residual channels changed sign agrees weakly but certainly, and raises no sign."""
    parent = tiny_checkpoint(tmp_path / "a", architecture="llama", layers=4, width=64, seed=1)
    copy = descend(parent, tmp_path / "b", noise=0.0)
    turned = np.where(np.arange(64) % 4 == 0, -1.0, 1.0)
    tensors = read_safetensors(copy / "model.safetensors")
    for name, (dtype, w) in tensors.items():
        writes = name.endswith(("o_proj.weight", "down_proj.weight"))
        if w.ndim == 2:
            tensors[name] = (dtype, np.asarray(w * turned[:, None] if writes else w * turned, np.float32))
    write_safetensors(copy / "model.safetensors", tensors)
    found = compared(probe, copy, parent)
    assert 0.3 < found.value < 0.6
    assert found.exact is not None
    assert found.exact.p <= 1e-6
    assert not found.signs


@BOTH
def test_silence_where_coordinates_have_no_counterpart(probe: InPlace, tmp_path: Path) -> None:
    """Other widths abstain, and a sketch with foreign arrays is refused."""
    one = sketched(probe, tiny_checkpoint(tmp_path / "a", architecture="llama", layers=2, width=64, seed=1))
    other = sketched(probe, tiny_checkpoint(tmp_path / "b", architecture="llama", layers=2, width=32, seed=1))
    with pytest.raises(Abstain) as answer:
        probe.compare(one, other)
    assert answer.value.reason is Reason.NOT_COMPARABLE
    foreign = [{}, {"x": np.ones(3)}, {"embed_tokens.0.-1": np.ones((4, 4), np.float32)}]
    foreign.append({"up_proj.0.-1" if probe is ATTENTION else "q_proj.0.-1": np.ones((4, 4), np.float32)})
    for arrays in foreign:
        with pytest.raises(Abstain) as answer:
            probe.compare(one, probe.sketch(arrays))
        assert answer.value.reason is Reason.INCOMPATIBLE_SKETCHES


@BOTH
def test_lying_facts_do_no_harm(probe: InPlace, tmp_path: Path) -> None:
    """A sketch whose geometry of heads is nonsense gives a measurement or an abstention, never an error."""
    one = sketched(probe, tiny_checkpoint(tmp_path / "a", architecture="llama", layers=2, width=64, seed=1))
    for lie in (0, -5, 7, 10**12, "x", None, True, 1.5):
        for what in ("heads", "kv_heads", "head_dim", "rotary", "depth"):
            liar = probe.sketch(one.arrays, {**one.facts, what: lie})
            try:
                assert np.isfinite(probe.compare(liar, liar).value)
            except Abstain:
                continue


def test_the_two_read_disjoint_tensors(tmp_path: Path) -> None:
    """No array of one probe's sketch is in the other's, so that their p-values rest on different weights."""
    folder = tiny_checkpoint(tmp_path / "a", architecture="llama", layers=2, seed=1)
    assert not sketched(ATTENTION, folder).arrays.keys() & sketched(MLP, folder).arrays.keys()


@BOTH
def test_the_contract(probe: InPlace) -> None:
    """The probes keep the contract of probes."""
    check_probe(probe)
