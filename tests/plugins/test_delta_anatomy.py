"""Delta anatomy: a relation with grounds where coordinates correspond, silence everywhere else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import get_args

import numpy as np
import pytest

from forensics.checkpoint import open_checkpoint
from forensics.probe import Abstain, Sketch
from forensics.reading import sketch_only
from forensics.readings import Measurement, Reason
from forensics.records import Relation
from forensics.testing import check_probe, descend, read_safetensors, tiny_checkpoint, write_safetensors
from plugins.delta_anatomy import DIRECTIONS, DeltaAnatomy

PROBE = DeltaAnatomy()
Floats = np.ndarray


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama."""
    folder = tmp_path_factory.mktemp("anatomy") / "parent"
    return tiny_checkpoint(folder, architecture="llama", layers=3, width=64, seed=1)


def sketched(folder: Path) -> Sketch:
    """The probe's sketch of a checkpoint."""
    checkpoint = open_checkpoint(folder, label=folder.name)
    try:
        return sketch_only(checkpoint, [PROBE], "")[PROBE.id]
    finally:
        checkpoint.close()


def compared(suspect: Path, candidate: Path) -> Measurement:
    """The probe's measurement of two checkpoints."""
    return PROBE.compare(sketched(suspect), sketched(candidate))


def changed(parent: Path, folder: Path, change: Callable[[Floats], Floats]) -> Path:
    """A copy of the checkpoint with a change of every matrix of its layers."""
    copytree(parent, folder)
    tensors = read_safetensors(parent / "model.safetensors")
    made = {
        name: (dtype, np.asarray(change(w), np.float32) if w.ndim == 2 and "layers" in name else w)
        for name, (dtype, w) in tensors.items()
    }
    write_safetensors(folder / "model.safetensors", made)
    return folder


def test_a_copy_is_identical(parent: Path) -> None:
    """A checkpoint against itself is identical, and which came first is not stated."""
    found = compared(parent, parent)
    assert found.value == 1.0
    assert (found.facts["relation"], found.facts["direction"]) == ("identical", "undetermined")


def test_training_has_a_size_and_no_direction(parent: Path, tmp_path: Path) -> None:
    """A noisy copy reads fine-tuned with its relative delta, either way round."""
    child = descend(parent, tmp_path / "child", noise=0.1, seed=2)
    for found in (compared(child, parent), compared(parent, child)):
        assert (found.facts["relation"], found.facts["direction"]) == ("fine-tuned", "undetermined")
        assert 0.02 < float(str(found.facts["relative_delta"])) < 0.1


@pytest.mark.parametrize("kind", ["pruned", "quantised"])
def test_lost_information_points_to_the_child(kind: str, parent: Path, tmp_path: Path) -> None:
    """Zeroed and rounded weights name the relation and the child, whichever side it is on."""

    def change(w: Floats) -> Floats:
        step = np.abs(w).max(axis=1, keepdims=True) / 127
        return np.rint(w / step) * step if kind == "quantised" else np.where(np.abs(w) > w.std() / 2, w, 0.0)

    child = changed(parent, tmp_path / "child", change)
    forth, back = compared(child, parent), compared(parent, child)
    assert forth.facts["relation"] == back.facts["relation"] == kind
    assert (forth.facts["direction"], back.facts["direction"]) == (
        "suspect-from-candidate",
        "candidate-from-suspect",
    )
    assert forth.facts["grounds_of_direction"]


def test_words_are_of_the_closed_vocabulary(parent: Path, tmp_path: Path) -> None:
    """Relations are the record's, directions the probe's own three."""
    child = descend(parent, tmp_path / "child", noise=0.6, seed=2)
    found = compared(child, parent)
    assert found.facts["relation"] in get_args(Relation)
    assert found.facts["direction"] in DIRECTIONS
    assert found.group is None
    assert found.exact is None


def test_silence_where_coordinates_do_not_correspond(parent: Path, tmp_path: Path) -> None:
    """Strangers, permuted copies, other widths and what a shared initialisation leaves are not compared."""
    stranger = tiny_checkpoint(tmp_path / "s", architecture="llama", layers=3, width=64, seed=5)
    narrow = tiny_checkpoint(tmp_path / "n", architecture="llama", layers=3, width=32, seed=1)
    permuted = descend(parent, tmp_path / "p", noise=0.0, permute=True, seed=3)
    far = descend(parent, tmp_path / "f", noise=2.0, seed=4)
    for other in (stranger, narrow, permuted, far):
        with pytest.raises(Abstain) as answer:
            compared(other, parent)
        assert answer.value.reason is Reason.NOT_COMPARABLE


def test_broken_sketches_are_refused(parent: Path) -> None:
    """Arrays that are no blocks abstain; facts that lie do not break it."""
    whole = sketched(parent)
    with pytest.raises(Abstain) as answer:
        PROBE.compare(whole, PROBE.sketch({"x": np.ones(3)}))
    assert answer.value.reason is Reason.INCOMPATIBLE_SKETCHES
    for lie in (0, -3, "x", None, 10**15):
        for what in ("depth", "neurons"):
            liar = PROBE.sketch(whole.arrays, {**whole.facts, what: lie})
            assert PROBE.compare(liar, whole).facts["relation"] in get_args(Relation)


def test_the_contract() -> None:
    """The probe keeps the contract of probes."""
    check_probe(PROBE)


def together(suspect: Path, *candidates: Path) -> Measurement:
    """The probe's measurement of several candidates at once, by folder name."""
    return PROBE.compare_all(sketched(suspect), {folder.name: sketched(folder) for folder in candidates})


def averaged(folder: Path, shares: dict[Path, float]) -> Path:
    """A checkpoint whose every tensor is this mean of others'."""
    copytree(next(iter(shares)), folder)
    read = {path: read_safetensors(path / "model.safetensors") for path in shares}
    made = {
        name: (dtype, np.asarray(sum(read[p][name][1] * share for p, share in shares.items()), np.float32))
        for name, (dtype, _) in next(iter(read.values())).items()
    }
    write_safetensors(folder / "model.safetensors", made)
    return folder


@pytest.fixture(scope="module")
def kin(parent: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two fine-tunes of the parent, their merge, the parent itself and a stranger."""
    folder = tmp_path_factory.mktemp("kin")
    one, two = (descend(parent, folder / f"tune{seed}", noise=0.1, seed=seed) for seed in (2, 3))
    return {
        "base": parent,
        "one": one,
        "two": two,
        "merge": averaged(folder / "merge", {one: 0.3, two: 0.7}),
        "stranger": tiny_checkpoint(folder / "stranger", architecture="llama", layers=3, width=64, seed=5),
    }


def test_a_merge_is_told_with_its_shares(kin: dict[str, Path]) -> None:
    """Of all candidates the two parents are named with their shares, by layer too; strangers take no part."""
    found = together(kin["merge"], *(kin[name] for name in ("base", "stranger", "two", "one")))
    assert (found.facts["mixture"], found.facts["candidates_that_correspond"]) == ("merge", 3)
    assert "merge: 70% of tune3 and 30% of tune2" in found.summary
    shares = next(table for table in found.tables if table.title == "Shares by layer")
    assert shares.columns == ("layer", "share of tune3", "share of tune2")
    assert all(row[1:] == pytest.approx((0.7, 0.3), abs=0.02) for row in shares.rows)
    merged = dict.fromkeys(("tune2", "tune3"), ("merged", "suspect-from-candidate"))
    assert {k.candidate: (k.relation, k.direction) for k in found.kinship} == merged


def test_no_merge_is_said_as_plainly(kin: dict[str, Path]) -> None:
    """A fine-tune beside its base and a sibling is no merge, and the base explains what it shares with the sibling."""
    found = together(kin["one"], kin["base"], kin["two"])
    assert found.facts["mixture"] == "none"
    assert "does not look like a merge" in found.summary
    (tie,) = found.kinship
    assert (tie.candidate, tie.relation) == ("tune3", "undetermined")


def test_siblings_by_what_was_lost(parent: Path, tmp_path: Path) -> None:
    """A pruned and a quantised copy of one candidate are siblings: neither can be the other's parent."""

    def rounded(w: Floats) -> Floats:
        step = np.abs(w).max(axis=1, keepdims=True) / 127
        return np.rint(w / step) * step

    pruned = changed(parent, tmp_path / "pruned", lambda w: np.where(np.abs(w) > w.std() / 2, w, 0.0))
    found = together(changed(parent, tmp_path / "rounded", rounded), parent, pruned)
    assert {k.candidate: k.relation for k in found.kinship} == {"pruned": "sibling-or-common-ancestor"}


def test_several_candidates_are_needed(kin: dict[str, Path]) -> None:
    """With one candidate that corresponds, or copies of one only, there is no merge to tell."""
    with pytest.raises(Abstain) as answer:
        together(kin["merge"], kin["one"], kin["stranger"])
    assert answer.value.reason is Reason.NOT_COMPARABLE
    one = sketched(kin["one"])
    found = PROBE.compare_all(sketched(kin["merge"]), {"a": one, "b": one})
    assert (found.value, found.kinship) == (0.0, ())


def test_a_broken_candidate_does_not_stop_the_others(kin: dict[str, Path]) -> None:
    """A sketch whose arrays are no blocks is left out."""
    candidates = {n: sketched(kin[n]) for n in ("one", "two")} | {"x": PROBE.sketch({"x": np.ones(3)})}
    found = PROBE.compare_all(sketched(kin["merge"]), candidates)
    assert found.facts["mixture"] == "merge"
