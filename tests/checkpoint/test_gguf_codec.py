"""GGUF's blocks as rows: the library's numbers, at the right rows, in bounded pieces."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import gguf
import numpy as np
import pytest

from forensics.checkpoint import open_checkpoint
from forensics.checkpoint.gguf_codec import BLOCK_NUMBERS, Blocks, gguf_stored
from forensics.checkpoint.gguf_types import BLOCKS, GGML_TYPES, PLAIN, UNREAD
from forensics.checkpoint.stored import Entry
from tests.ggufs import write_gguf

KINDS = list(BLOCKS)
Type = gguf.GGMLQuantizationType


def blocks(dtype: str, count: int, seed: int = 0) -> bytes:
    """Random bytes: every one of them is some number."""
    random = np.random.Generator(np.random.PCG64(seed))
    return random.integers(0, 256, count * BLOCKS[dtype][2], dtype=np.uint8).tobytes()


def test_the_table_of_types_is_ggmls() -> None:
    """Every type that the gguf package knows has its size here, and those it can decode are decoded."""
    theirs = {t.value: (t.name, *gguf.GGML_QUANT_SIZES[t]) for t in Type}
    assert theirs == GGML_TYPES
    decoded = {t.name for t in gguf.quants._type_traits} | {"F32", "F16"}
    assert {*BLOCKS, *PLAIN} - {"F64"} == decoded
    assert not decoded & set(UNREAD)


@pytest.mark.parametrize("dtype", KINDS)
def test_rows_are_the_librarys(dtype: str) -> None:
    """Whatever unit a piece begins at, its rows are those of the whole matrix."""
    _, block, size = BLOCKS[dtype]
    rows, columns = 7, 2 * block
    raw = blocks(dtype, 2 * rows)
    with np.errstate(all="ignore"):
        whole = gguf.quants.dequantize(
            np.frombuffer(raw, np.uint8).reshape(rows, -1), Type.__getitem__(dtype)
        )
    codec = Blocks(dtype, columns)
    assert codec.unit_bytes == 2 * size
    for first in range(rows):
        part = raw[first * codec.unit_bytes :]
        found = list(codec.decode(part, first))
        assert found[0][0] == first
        np.testing.assert_array_equal(np.concatenate([b for _, b in found]), whole[first:])
        assert all(b.dtype == np.float32 for _, b in found)


def test_q8_0_is_its_published_formula() -> None:
    """A block is a half-precision scale and 32 signed bytes; a number is their product."""
    scales = np.array([0.5, -2.0], dtype=np.float16)
    bytes_ = np.arange(-32, 32, dtype=np.int8).reshape(2, 32)
    raw = b"".join(s.tobytes() + b.tobytes() for s, b in zip(scales, bytes_, strict=True))
    ((row, found),) = Blocks("Q8_0", 64).decode(raw, 5)
    assert row == 5
    np.testing.assert_array_equal(found, (scales[:, None] * bytes_.astype(np.float32)).reshape(1, 64))


def test_large_matrices_come_in_bounded_blocks() -> None:
    """32 million numbers are never held at once, and no row is lost between two blocks."""
    columns, rows = 4_096, 2_048
    codec = Blocks("Q4_0", columns)
    raw = blocks("Q4_0", rows * columns // 32)
    tracemalloc.start()
    seen = 0
    for first, block in codec.decode(raw, 0):
        assert first == seen
        assert block.size <= BLOCK_NUMBERS
        seen += len(block)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seen == rows
    assert peak < 40 << 20


def test_a_row_longer_than_a_block_is_still_one_row() -> None:
    """The bound gives way to the unit: a row is never cut."""
    columns = 2 * BLOCK_NUMBERS
    found = list(Blocks("Q8_0", columns).decode(blocks("Q8_0", 2 * columns // 32), 0))
    assert [(first, b.shape) for first, b in found] == [(0, (1, columns)), (1, (1, columns))]


def test_vectors_and_the_shared_router_have_their_shapes() -> None:
    """A vector is a column, quantised or not; the gate of the shared expert, kept as a vector, is a row."""
    vector = gguf_stored(0, Entry(name="v", dtype="Q8_0", shape=(64,), begin=0, end=68))
    assert vector.codec is not None
    assert (vector.codec.columns, vector.codec.unit_rows, vector.codec.unit_bytes) == (1, 32, 34)
    gate = gguf_stored(
        1, Entry(name="blk.0.ffn_gate_inp_shexp.weight", dtype="F32", shape=(64,), begin=0, end=256)
    )
    assert gate.shape == (1, 64)
    assert gate.codec is not None
    assert gate.codec.columns == 64


def test_a_quantised_vector_is_read(tmp_path: Path) -> None:
    """No converter writes one, and it is read all the same."""
    gain = np.linspace(0.5, 1.5, 64, dtype=np.float32)
    config = {"num_hidden_layers": 1, "hidden_size": 64, "num_attention_heads": 4}
    path = tmp_path / "model.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tensor("output_norm.weight", gguf.quants.quantize(gain, Type.Q8_0), raw_dtype=Type.Q8_0)
    writer.add_tensor("token_embd.weight", np.ones((10, 64), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = open_checkpoint(path).vector("final_norm")
    assert found is not None
    np.testing.assert_allclose(found, gain, atol=0.01)
    assert write_gguf(tmp_path / "other.gguf", "llama", {"output_norm.weight": gain}, config).exists()
