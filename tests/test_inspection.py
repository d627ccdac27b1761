"""What `forensics inspect` says before any weight is read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from forensics.cli import main
from forensics.testing import tiny_checkpoint
from tests.tiny import llama_tensors, write


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What the command prints."""
    assert main(["inspect", *arguments]) == 0
    return capsys.readouterr().out


def test_sound_checkpoint_is_described(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Architecture, precision, roles, coverage and tokenizer of a sound folder, with nothing odd about it."""
    tiny_checkpoint(tmp_path / "model", architecture="qwen2", layers=3, width=32)
    text = said(capsys, str(tmp_path / "model"))
    for words in (
        "declared qwen2",
        "3 layers, width 32",
        "100.0% of",
        "q_bias",
        "oddities      none",
        "not examined  none",
    ):
        assert words in text
    found = json.loads(said(capsys, str(tmp_path / "model"), "--json"))
    assert found["coverage"] == 1.0
    assert found["roles"]["q_proj"]["tensors"] == 3
    assert sum(r["parameters"] for r in found["roles"].values()) == found["recognised"] == found["parameters"]
    assert sum(found["precisions"].values()) == found["parameters"]


def test_what_is_not_recognised_is_grouped_by_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Strange tensors are one line per reason, lower the coverage, and cannot steer the terminal."""
    strange = {f"blob.{i}\x1b[2J.weight": np.zeros((4, 4), np.float32) for i in range(30)}
    write(tmp_path / "model", llama_tensors() | strange)
    text = said(capsys, str(tmp_path / "model"))
    assert "\x1b" not in text
    (line,) = [one for one in text.splitlines() if "name not recognised" in one]
    assert "30 ×" in line
    found = json.loads(said(capsys, str(tmp_path / "model"), "--json"))
    assert 0 < found["coverage"] < 1


@pytest.mark.parametrize("feed", ["\n", "\r", "\v", "\x85", "\u2028"])
def test_a_name_cannot_forge_a_line(feed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Line feeds of any kind in a tensor's name or a declared type are shown and end no line."""
    forged = f"{feed}recognised    100.0% of everything"
    strange = {f"blob{forged}": np.zeros((4, 4), np.float32)}
    folder = write(tmp_path / "model", llama_tensors() | strange, config={"model_type": f"llama{forged}"})
    lines = said(capsys, str(folder)).splitlines()
    assert len([one for one in lines if one.startswith("recognised")]) == 1
    assert len([one for one in lines if "of everything" in one]) == 2


def test_oddities_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A contradiction between config and tensors, and a file under a misleading name, are oddities with their codes."""
    folder = write(tmp_path / "model", config={"model_type": "llama", "num_hidden_layers": 80})
    assert "CONFIG_MISMATCH" in said(capsys, str(folder))
    save_file(llama_tensors(), tmp_path / "weights.bin")
    assert "MISNAMED" in said(capsys, str(tmp_path / "weights.bin"))


def test_what_cannot_be_opened_is_two_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing there, or nothing in it: status 2, what is wrong, what to do."""
    for place in (tmp_path / "none", tmp_path):
        assert main(["inspect", str(place)]) == 2
        lines = capsys.readouterr().err.splitlines()
        assert [line.split(":")[0] for line in lines] == ["error", "hint"]


def test_sketch_file_is_told_as_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sketch file says of which checkpoint it is and whose sketches it holds."""
    tiny_checkpoint(tmp_path / "model", architecture="qwen2", layers=4, width=32)
    arguments = ["sketch", str(tmp_path / "model"), "-o", str(tmp_path / "s.sketch"), "--probes", "qkv-bias"]
    assert main([*arguments, "--only-bundled", "--no-cache"]) == 0
    capsys.readouterr()
    text = said(capsys, str(tmp_path / "s.sketch"))
    for words in ("sketch file", "a checkpoint with digest", "4 layers, width 32", "qkv-bias"):
        assert words in text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n",
            "a pointer to a file in Git LFS",
        ),
        (b"<!DOCTYPE html><html>not found</html>", "a web page"),
        (b"# A card, and no weights at all", "claims"),
    ],
)
def test_what_is_no_weights_is_called_by_its_name(
    content: bytes, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pointer or a web page in place of weights is named, with what to do."""
    (tmp_path / "model.safetensors").write_bytes(content)
    assert main(["inspect", str(tmp_path / "model.safetensors")]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert words in error
    assert "fetch" in hint
