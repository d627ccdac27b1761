"""Bytes on their way: read once and hashed, bounded in memory, decoded in strips that are the same as the whole."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.account import count_reads
from forensics.alignment import column_energies, row_energies
from forensics.checkpoint import Checkpoint, open_checkpoint, opened, plan, streaming
from forensics.checkpoint import codec as codecs
from forensics.checkpoint.codec import Plain, Turned
from forensics.checkpoint.convert import to_float32
from forensics.checkpoint.finite import holds_non_finite
from forensics.checkpoint.streaming import Streamed
from forensics.errors import CheckpointError
from tests.tiny import llama_tensors, write

WORDS = {"BF16": "<u2", "F16": "<u2", "F32": "<u4", "F64": "<u8"}


def opened_tiny(folder: Path, width: int = 64) -> Checkpoint:
    """A tiny Llama."""
    return open_checkpoint(write(folder, llama_tensors(width=width)))


def readers() -> list[threading.Thread]:
    """Reading threads that still run."""
    return [thread for thread in threading.enumerate() if thread.name == "reader"]


def test_every_byte_is_hashed_once_and_handed_on_in_file_order(tmp_path: Path) -> None:
    """Counts add up to the file, the digest is that of the file, and rows of a tensor come in ascending order."""
    checkpoint = opened_tiny(tmp_path)
    with Streamed(checkpoint=checkpoint) as stream:
        pieces = list(stream)
    (path,) = tmp_path.glob("*.safetensors")
    assert sum(piece.count for piece in pieces) == path.stat().st_size
    assert stream.hashes == {0: hashlib.sha256(path.read_bytes()).hexdigest()}
    begins = [piece.planned.entry.begin for piece in pieces if piece.planned]
    assert begins == sorted(begins)
    assert not readers()


def test_it_reads_ahead_no_further_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one piece is worked on, no more bytes are held than the limit, however long that takes."""
    monkeypatch.setattr(streaming, "AHEAD_BYTES", 4_000)
    monkeypatch.setattr(streaming, "BLOCK_BYTES", 1_000)
    checkpoint = opened_tiny(tmp_path)
    (counted,) = count_reads(checkpoint)
    beside, worked_through = 2 * checkpoint.files[0].header_end, 0
    assert checkpoint.files[0].size > 10 * (4_000 + beside)
    with Streamed(checkpoint=checkpoint) as stream:
        for piece in stream:
            time.sleep(0.002)
            assert counted.fetched - worked_through <= 4_000 + beside
            worked_through += piece.count
    assert worked_through == checkpoint.files[0].size


def test_a_unit_larger_than_all_room_goes_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What can only be decoded together is read though it exceeds the limit, one unit at a time."""
    monkeypatch.setattr(streaming, "AHEAD_BYTES", 100)
    checkpoint = opened_tiny(tmp_path)
    with Streamed(checkpoint=checkpoint) as stream:
        assert sum(piece.count for piece in stream) == checkpoint.files[0].size


def test_whoever_stops_early_leaves_no_thread_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reading thread ends with whoever wants nothing more of it, also while it waits for room."""
    monkeypatch.setattr(streaming, "AHEAD_BYTES", 100)
    with Streamed(checkpoint=opened_tiny(tmp_path)) as stream:
        next(iter(stream))
        assert readers()
    assert not readers()


def test_what_the_reading_thread_meets_is_raised_here(tmp_path: Path) -> None:
    """A file that shrinks while it is read is the caller's CheckpointError."""
    checkpoint = opened_tiny(tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(CheckpointError) as told, Streamed(checkpoint=checkpoint) as stream:
        list(stream)
    assert told.value.code == "SHRANK"


@given(st.sampled_from(sorted(WORDS)), st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_bits_tell_what_is_not_finite(dtype: str, drawn: list[int]) -> None:
    """Told from bits alone, a block holds NaN or infinity exactly where its numbers do, of either sign."""
    word = np.dtype(WORDS[dtype])
    bits = np.array([number % 2 ** (8 * word.itemsize) for number in drawn], word)
    numbers = to_float32(bits.tobytes(), dtype)
    assert holds_non_finite(bits.tobytes(), dtype) == (not np.isfinite(numbers).all())


@pytest.mark.parametrize("bits", [0x7F80, 0xFF80, 0x7FC0, 0xFFFF])
def test_one_number_that_is_not_finite_is_found_among_many(bits: int) -> None:
    """Plus and minus infinity and NaN of either sign, among negative and positive numbers."""
    words = np.array([0x3F80, 0xBF80, 0x7F7F, 0xFF7F] * 100, "<u2")
    assert not holds_non_finite(words.tobytes(), "BF16")
    words[123] = bits
    assert holds_non_finite(words.tobytes(), "BF16")


@pytest.mark.parametrize("strip", [1, 7, 40, 1 << 20])
def test_strips_are_the_whole(strip: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However finely a block is decoded, plain or turned, its rows are those of the whole, numbered from its start."""
    monkeypatch.setattr(codecs, "STRIP", strip)
    monkeypatch.setattr(codecs, "TILE", 3)
    stack = np.random.default_rng(0).standard_normal((3, 8, 5), dtype=np.float32)
    plain = list(Plain("F32", 5).decode(stack.tobytes(), 100))
    turned = list(Turned("F32", 8, 5).decode(stack.tobytes(), 100))
    assert np.array_equal(np.concatenate([rows for _, rows in plain]), stack.reshape(-1, 5))
    assert np.array_equal(np.concatenate([rows for _, rows in turned]), stack.swapaxes(1, 2).reshape(-1, 8))
    for decoded in (plain, turned):
        ends = [first + len(rows) for first, rows in decoded]
        assert [first for first, _ in decoded] == [100, *ends[:-1]]
    assert all(rows.size <= max(strip, 5) for _, rows in plain)


def test_equal_rows_have_equal_energies_wherever_they_stand() -> None:
    """To the last bit, in any block: neurons are chosen by it, and a permuted copy must choose the same ones."""
    rng = np.random.default_rng(1)
    rows, gain = (rng.standard_normal(size, dtype=np.float32) for size in ((301, 333), 333))
    order = rng.permutation(301)
    for scale in (None, gain):
        whole = row_energies(rows, scale)
        assert np.array_equal(row_energies(rows[order], scale), whole[order])
        assert np.array_equal(
            np.concatenate([row_energies(rows[i : i + 1], scale) for i in range(301)]), whole
        )
    assert column_energies(rows) == pytest.approx((rows.astype(np.float64) ** 2).sum(axis=0), rel=1e-5)


def test_rows_vectors_and_anchors_have_limits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lengths that no model has cost no memory: such rows are listed, such vectors and anchors are not taken."""
    monkeypatch.setattr(plan, "COLUMNS_LIMIT", 63)
    assert {u.reason for u in opened_tiny(tmp_path).plan.unexamined} == {
        "one part of it is too large to hold"
    }
    monkeypatch.setattr(plan, "COLUMNS_LIMIT", 64)
    assert not opened_tiny(tmp_path).plan.unexamined
    (tmp_path / "tokenizer.json").write_text(
        json.dumps({"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}}})
    )
    assert opened_tiny(tmp_path).anchors(2) is not None
    monkeypatch.setattr(opened, "WIDTH_LIMIT", 63)
    assert opened_tiny(tmp_path).anchors(2) is None
    monkeypatch.setattr(opened, "VECTORS_LIMIT", 100)
    checkpoint = opened_tiny(tmp_path)
    read = [checkpoint.vector("input_norm", layer) for layer in (0, 1)] + [checkpoint.vector("mlp_norm", 0)]
    assert [vector is not None for vector in read] == [True, True, False]
    assert checkpoint.vector_elements() == 128


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_double_beyond_single_precision_is_not_finite(sign: float) -> None:
    """2^128 - 2^103 is the least number that becomes infinite when it is read; the double before it is finite."""
    least = 2.0**128 - 2.0**103
    assert holds_non_finite(np.array([1, sign * least], "<f8").tobytes(), "F64")
    assert not holds_non_finite(np.array([1, sign * np.nextafter(least, 0)], "<f8").tobytes(), "F64")
