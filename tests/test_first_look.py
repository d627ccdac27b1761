"""A first look: little is read, the record says how little, and nothing is concluded."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from forensics.checkpoint import open_checkpoint
from forensics.cli import main
from forensics.probe import SketchProbe
from forensics.reading import first_look, read
from forensics.registry import Registry
from forensics.testing import descend, tiny_checkpoint
from tests.tiny import write


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base, its permuted descendant and a stranger, deep enough that two layers are few."""
    folder = tmp_path_factory.mktemp("quick")
    tiny_checkpoint(folder / "base", seed=1, layers=8, width=64, architecture="qwen2")
    tiny_checkpoint(folder / "stranger", seed=2, layers=8, width=64, architecture="qwen2")
    descend(folder / "base", folder / "suspect", noise=0.02, permute=True, seed=3)
    return folder


@pytest.fixture(scope="module")
def record(place: Path) -> Mapping[str, Any]:
    """The record of a first look at all of them."""
    names = [str(place / n) for n in ("suspect", "base", "stranger")]
    status = main([
        "investigate", "--quick", "--only-bundled", "--suspect", names[0], "--candidates", *names[1:],
        "--out", str(place / "out"),
    ])  # fmt: skip
    assert status == 0
    found: Mapping[str, Any] = json.loads((place / "out" / "dossier.json").read_text(encoding="utf-8"))
    return found


def test_nothing_is_concluded_from_a_first_look(record: Mapping[str, Any]) -> None:
    """Every opinion is inconclusive and says that a first look is why."""
    assert [o["verdict"] for o in record["opinions"]] == ["inconclusive", "inconclusive"]
    for opinion in record["opinions"]:
        assert opinion["because"].startswith("This was a first look at ")
        assert "only looked at" in json.dumps(opinion["grounds"])
        assert opinion["coverage"] < 0.5


def test_readings_tell_a_descendant_from_a_stranger(record: Mapping[str, Any]) -> None:
    """Two layers suffice for readings far apart, which carry no weight since the probe was calibrated on more."""
    found = {(f["probe"]["id"], f["candidate"]): f for f in record["findings"]}
    for probe in ("neuron-match", "attention-circuits"):
        mine, theirs = found[probe, "base"], found[probe, "stranger"]
        assert mine["outcome"]["value"] > 0.6
        assert theirs["outcome"]["value"] < 0.3
        assert (mine["weight"], mine["probe"]["standard"]) == (None, False)
        assert mine["suspect_precision"] == mine["candidate_precision"] != ""
    assert found["norm-gains", "base"]["probe"]["parameters"]["draws"] == 999
    for probe in ("weight-std", "activation-overlap"):
        assert found[probe, "base"]["outcome"]["reason"] == "first-look"


def test_record_says_how_little_was_read(place: Path, record: Mapping[str, Any]) -> None:
    """No weight file carries a digest of the whole; the note tells the bytes read, fewer than half of the file."""
    for subject in record["subjects"]:
        assert subject["form"] == "first-look"
        (weights,) = (f for f in subject["files"] if f["name"] == "model.safetensors")
        told = re.fullmatch(r"first look: (\d+) of its bytes.*[0-9a-f]{64}", weights["note"])
        assert told is not None
        assert (weights["sha256"], int(told[1]) < weights["size"] / 2) == ("", True)
        assert (
            weights["size"]
            == (place / subject["label"].rsplit("/", 1)[-1] / "model.safetensors").stat().st_size
        )


def test_equal_first_looks_are_no_identity(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two copies looked at are not called identical, for most of them was not read."""
    descend(place / "base", tmp_path / "copy")
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        (tmp_path / "copy" / name).write_bytes((place / "base" / name).read_bytes())
    main([
        "investigate", "--quick", "--only-bundled", "--suspect", str(place / "base"),
        "--candidates", str(tmp_path / "copy"), "--out", str(tmp_path / "out"), "--json",
    ])  # fmt: skip
    (opinion,) = json.loads(capsys.readouterr().out)["opinions"]
    assert (opinion["verdict"], opinion["relation"] == "identical") == ("inconclusive", False)


def test_same_sketch_as_a_whole_pass_where_parameters_are_equal(place: Path) -> None:
    """A sketcher that takes part as it is sees the same rows in a first look as in the whole pass."""
    probe = Registry.load(only_bundled=True).chosen(("norm-gains",), {}, quick=True)["norm-gains"].probe
    assert isinstance(probe, SketchProbe)
    sketches = []
    for reading in (read, first_look):
        checkpoint = open_checkpoint(place / "base")
        sketches.append(reading(checkpoint, [probe]).sketches["norm-gains"])
        checkpoint.close()
    assert {n: a.tobytes() for n, a in sketches[0].arrays.items()} == {
        n: a.tobytes() for n, a in sketches[1].arrays.items()
    }


def test_file_whose_name_is_no_text_is_recorded_alike_in_both_passes(tmp_path: Path) -> None:
    """Bytes of a weight file's name that are no UTF-8 are escaped in the record, of a first look too."""
    folder = write(tmp_path / "odd")
    os.rename(folder / "model.safetensors", os.fsencode(folder) + b"/mo\xffdel.safetensors")
    for subject in (
        read(open_checkpoint(folder), []).subject,
        first_look(open_checkpoint(folder), []).subject,
    ):
        assert [f.name for f in subject.files] == ["config.json", "mo\\udcffdel.safetensors"]
