"""Split GGUF files: read as one model, and told of where parts are missing or disagree."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from forensics.checkpoint import open_checkpoint
from forensics.checkpoint.gguf_file import open_gguf
from forensics.checkpoint.gguf_split import split_parts, split_problems
from forensics.checkpoint.stored import WeightFile
from tests.ggufs import Bytes, composed, key, tensor, text

U16, I32, STRING = 2, 5, 8


def part(number: int, count: int, total: int, names: Sequence[str], stem: str = "model") -> tuple[str, bytes]:
    """(name, bytes) of a part, `number` from 1, that holds these tensors."""
    keys = [
        key("split.no", U16, struct.pack("<H", number - 1)),
        key("split.count", U16, struct.pack("<H", count)),
        key("split.tensors.count", I32, struct.pack("<i", total)),
    ]
    tensors = [tensor(n, [8], 0, 32 * i) for i, n in enumerate(names)]
    return f"{stem}-{number:05}-of-{count:05}.gguf", composed(keys, tensors, bytes(32 * len(names)))


def opened(*parts: tuple[str, bytes]) -> list[WeightFile]:
    """Parts opened."""
    return [open_gguf(Bytes(raw, name)) for name, raw in parts]


def codes(*parts: tuple[str, bytes]) -> list[str]:
    """What is wrong with these parts."""
    return [code for code, _ in split_problems(opened(*parts))]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("model-00001-of-00003.gguf", ("model", 1, 3)), ("a/b-c-00003-of-00003.gguf", ("a/b-c", 3, 3)),
        ("model.gguf", None), ("model-00004-of-00003.gguf", None), ("model-00000-of-00003.gguf", None),
        ("model-1-of-3.gguf", None), ("model-00001-of-00003.gguf.bak", None),
        ("a\n-00001-of-00001.gguf", ("a\n", 1, 1)),
    ],
)  # fmt: skip
def test_parts_are_told_by_their_names(name: str, wanted: tuple[str, int, int] | None) -> None:
    """llama.cpp's pattern, with numbers that make sense; anything else is a file of its own."""
    assert split_parts(name) == wanted


def test_a_whole_set_has_no_problems() -> None:
    """In whatever order its parts are given."""
    parts = [part(1, 2, 3, "ab"), part(2, 2, 3, "c")]
    assert codes(*parts) == []
    assert codes(*reversed(parts)) == []


def test_a_single_file_has_no_problems() -> None:
    """With or without a word on splitting."""
    assert codes(("model.gguf", composed([], [tensor("a", [8])], bytes(32)))) == []
    assert codes(("model.gguf", part(1, 1, 1, "a")[1])) == []
    assert codes(part(1, 1, 1, "a")) == []


@pytest.mark.parametrize(
    ("parts", "wanted"),
    [
        ([part(1, 3, 3, "a"), part(3, 3, 3, "c")], ["SPLIT_ABSENT"]),
        ([part(59_998, 59_999, 3, "a")], ["SPLIT_ABSENT"]),
        ([("model.gguf", part(1, 2, 2, "a")[1])], ["SPLIT_COUNT"]),
        ([part(1, 2, 2, "a"), ("model-00002-of-00002.gguf", part(2, 3, 2, "b")[1])], ["SPLIT_COUNT"]),
        ([part(1, 2, 2, "a"), ("model-00002-of-00002.gguf", part(1, 2, 2, "b")[1])], ["SPLIT_NUMBER"]),
        ([part(1, 2, 9, "a"), part(2, 2, 9, "b")], ["SPLIT_TENSORS"]),
        ([part(1, 2, 2, "a"), part(2, 2, 2, "b", stem="other")], ["SPLIT_MIXED"]),
        ([("m-00001-of-00001.gguf", composed([key("split.count", STRING, text("x"))]))], ["SPLIT_COUNT"]),
    ],
)  # fmt: skip
def test_parts_that_do_not_fit_are_told_of(parts: list[tuple[str, bytes]], wanted: list[str]) -> None:
    """A missing part, a wrong count or number, a wrong total, a stranger among them."""
    assert codes(*parts) == wanted


def test_a_split_model_is_one_checkpoint(tmp_path: Path) -> None:
    """Its tensors come from every part; with a part missing the rest is read and a problem says so."""
    for name, raw in (part(1, 2, 2, ["token_embd.weight"]), part(2, 2, 2, ["output_norm.weight"])):
        (tmp_path / name).write_bytes(raw)
    with_both = open_checkpoint(tmp_path / "model-00001-of-00002.gguf")
    assert with_both.vector("final_norm") is not None
    assert len(with_both.files) == 2
    assert [p.code for p in with_both.problems] == []
    with_both.close()
    (tmp_path / "model-00001-of-00002.gguf").unlink()
    with_one = open_checkpoint(tmp_path)
    np.testing.assert_array_equal(with_one.vector("final_norm"), np.zeros(8, np.float32))
    assert "SPLIT_ABSENT" in [p.code for p in with_one.problems]
    with_one.close()
