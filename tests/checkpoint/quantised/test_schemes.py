"""Single matrices of every scheme: odd shapes, edges, orders, second opinions, bounded memory."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from forensics.checkpoint.quantised import claim
from forensics.checkpoint.quantised.numbers import table_of
from forensics.checkpoint.quantised.packing import Packing
from forensics.checkpoint.safetensors_file import open_safetensors
from forensics.checkpoint.stored import Stored, WeightFile
from tests.ggufs import Bytes
from tests.quantisers import (
    Made,
    Typed,
    bnb4,
    f16,
    file_bytes,
    float8,
    fp8,
    gptq,
    mxfp4,
    named,
    packed_ints,
    stream,
    whole,
)

RANDOM = np.random.default_rng(2)


def drawn(*shape: int) -> NDArray[np.float32]:
    """Random weights."""
    return (0.02 * RANDOM.standard_normal(shape)).astype(np.float32)


def opened(tensors: Typed) -> WeightFile:
    """These tensors in a file."""
    return open_safetensors(Bytes(file_bytes(tensors)))


def decoded(file: WeightFile, stored: Stored, units: int) -> NDArray[np.float32]:
    """The tensor, read `units` units at a time, shape (rows, columns)."""
    codec = stored.codec
    assert codec is not None, stored.refused
    rows: list[NDArray[np.float32]] = []
    for offset, raw in file.chunks(stored.entry.begin, stored.entry.end, units * codec.unit_bytes):
        at = (offset - stored.entry.begin) // codec.unit_bytes * codec.unit_rows
        for first, block in codec.decode(raw, at):
            assert first == sum(len(block) for block in rows)
            assert block.dtype == np.float32
            rows.append(block)
    return np.concatenate(rows)


def only(made: Made, name: str = "a.weight") -> tuple[WeightFile, Stored]:
    """A file with one quantised matrix in it, and what became of it."""
    file = opened(named("a", made[0]))
    claims = claim([file], {})
    (stored,) = claims.stored
    assert stored.name == name
    assert claims.taken == {(0, e.name) for e in file.entries}
    assert len(stored.companions) == len(file.entries) - 1
    return file, stored


@pytest.mark.parametrize("units", [1, 3, 1000])
@pytest.mark.parametrize(
    ("shape", "block"), [((130, 70), (128, 64)), ((5, 200), (2, 128)), ((300, 33), (100, 33)), ((64, 64), (64, 64))]
)  # fmt: skip
def test_blocks_are_cropped_at_the_edges(shape: tuple[int, int], block: tuple[int, int], units: int) -> None:
    """8-bit blocks that do not divide the matrix are right to its last row and column, wherever reading begins."""
    made = fp8(drawn(*shape), block)
    file = opened(named("a", made[0]))
    (stored,) = claim([file], {"quantization_config": {"weight_block_size": list(block)}}).stored
    np.testing.assert_allclose(decoded(file, stored, units), made[1], rtol=1e-6)


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(
    ("shape", "units"), [((7, 30), 1), ((6, 33), 1), ((5, 7), 1), ((24, 64), 5), ((40, 100), 3)]
)
def test_flat_blocks_run_over_the_ends_of_rows(
    kind: str, nested: bool, shape: tuple[int, int], units: int
) -> None:
    """Blocks of 64 over rows of other lengths, odd counts included, from whichever row reading begins."""
    made = bnb4(drawn(*shape), kind, nested=nested, inner=4)
    file, stored = only(made)
    assert stored.shape == shape
    np.testing.assert_allclose(decoded(file, stored, units), made[1], rtol=2e-6, atol=1e-9)


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize(("shape", "group"), [((64, 96), 32), ((33, 50), 50), ((70, 40), 8)])
def test_packed_integers_of_any_width(bits: int, shape: tuple[int, int], group: int) -> None:
    """Streams of 1 to 8 bits that straddle words, with zeros packed down the rows, read five rows at a time."""
    several = packed_ints(drawn(*shape), max(2, bits), group, symmetric=bits % 2 == 0)
    made = one_bit(shape, group) if bits == 1 else several
    file, stored = only(made)
    assert stored.precision == f"ct-int{bits}"
    np.testing.assert_allclose(decoded(file, stored, 5), made[1], rtol=1e-6)


def one_bit(shape: tuple[int, int], group: int) -> Made:
    """Codes of one bit, standing for -1 and 0."""
    codes = RANDOM.integers(0, 2, shape)
    scales = RANDOM.random((shape[0], shape[1] // group)).astype(np.float16).astype(np.float32)
    rows = np.array([stream(row, 1) for row in codes], np.uint32)
    parts = {
        ".weight_packed": ("I32", rows.shape, rows.astype("<u4").tobytes()),
        ".weight_scale": f16(scales),
        ".weight_shape": whole("I64", shape),
    }
    return parts, ((codes - 1) * np.repeat(scales, group, axis=1)).astype(np.float32)


def test_order_of_groups_is_followed() -> None:
    """compressed-tensors' g_idx gives each column its group; -1 throughout means that it is not in use."""
    weight = drawn(16, 64)
    parts, values = packed_ints(weight)
    unused = {**parts, ".weight_g_idx": whole("I32", np.full(64, -1))}
    np.testing.assert_array_equal(decoded(*only((unused, values)), 4), values)
    order = RANDOM.permutation(np.arange(64) // 32)
    parts[".weight_g_idx"] = whole("I32", order)
    scales = np.frombuffer(parts[".weight_scale"][2], "<f2").reshape(16, 2).astype(np.float32)
    wanted = values / np.repeat(scales, 32, axis=1) * scales[:, order]
    np.testing.assert_allclose(decoded(*only((parts, values)), 4), wanted, rtol=1e-5)


def test_groups_that_do_not_exist_give_numbers_that_are_not_finite() -> None:
    """A g_idx out of range spoils its own columns, visibly, and no others."""
    parts, values = gptq(drawn(32, 64))
    order = np.arange(64) // 32
    order[[3, 50]] = -1, 1 << 30
    parts[".g_idx"] = whole("I32", order)
    got = decoded(*only((parts, values)), 1)
    assert np.isnan(got[:, [3, 50]]).all()
    fine = np.delete(np.arange(64), [3, 50])
    np.testing.assert_array_equal(got[:, fine], values[:, fine])


def test_mxfp4_agrees_with_transformers() -> None:
    """gpt-oss's blocks, of every code and a range of exponents, are transformers' own numbers the other way round."""
    blocks = RANDOM.integers(0, 256, (2, 24, 3, 16), dtype=np.uint8)
    scales = RANDOM.integers(100, 140, (2, 24, 3), dtype=np.uint8)
    parts = {"_blocks": whole("U8", blocks), "_scales": whole("U8", scales)}
    file, stored = only((parts, np.empty(0, np.float32)), "a")
    theirs = convert_moe_packed_tensors(
        torch.from_numpy(blocks), torch.from_numpy(scales), dtype=torch.float32
    )
    assert stored.shape == (2, 24, 96)
    assert stored.oriented
    ours = decoded(file, stored, 7).reshape(2, 24, 96)
    np.testing.assert_array_equal(ours, theirs.numpy().transpose(0, 2, 1))


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("F8_E4M3", torch.float8_e4m3fn), ("F8_E5M2", torch.float8_e5m2), ("F8_E8M0", torch.float8_e8m0fnu)],
)
def test_every_8_bit_float_is_pytorchs(name: str, dtype: torch.dtype) -> None:
    """All 256 codes, infinities and NaN included."""
    theirs = torch.arange(256, dtype=torch.uint8).view(dtype).float().numpy()
    np.testing.assert_array_equal(table_of(name), theirs)


@settings(max_examples=60, deadline=None)
@given(bits=st.integers(1, 8), codes=st.lists(st.integers(0, 255), min_size=1, max_size=70))
def test_streams_of_bits_come_back(bits: int, codes: list[int]) -> None:
    """What is packed bit by bit is unpacked number by number."""
    codes = [code & ((1 << bits) - 1) for code in codes]
    stored = np.array(stream(codes, bits), "<u4")[None].view(np.uint8)
    assert Packing.counting(bits).unpack(stored)[0, : len(codes)].tolist() == codes


def test_exponents_as_scales_of_8_bit_floats() -> None:
    """MXFP8, and blocks whose scales are powers of two stored in a byte."""
    codes, values = float8(drawn(12, 64) * 100)
    powers = RANDOM.integers(120, 134, (12, 2))
    parts: Typed = {".weight": ("F8_E4M3", (12, 64), codes.tobytes()), ".weight_scale": whole("U8", powers)}
    file, stored = only((parts, values))
    assert stored.precision == "mxfp8"
    wanted = values * np.repeat(np.exp2(powers - 127.0), 32, axis=1)
    np.testing.assert_array_equal(decoded(file, stored, 5), wanted.astype(np.float32))


def test_8_bit_floats_without_any_scale_are_what_they_are() -> None:
    """A checkpoint cast to 8 bits, biases and all, has no scales and needs none."""
    codes, values = float8(drawn(12, 64))
    tensors: Typed = {
        "a.weight": ("F8_E4M3", (12, 64), codes.tobytes()),
        "a.bias": ("F8_E4M3", (64,), codes[0].tobytes()),
    }
    file = opened(tensors)
    weight, bias = claim([file], {}).stored
    np.testing.assert_array_equal(decoded(file, weight, 5), values)
    np.testing.assert_array_equal(decoded(file, bias, 64)[:, 0], values[0])


@pytest.mark.parametrize("kind", ["gptq", "awq", "nf4", "ct"])
def test_a_large_matrix_is_never_whole_as_float32(kind: str) -> None:
    """Decoding 4096 x 11008 from 4 bits (180 MB as float32) takes less than 24 MiB at once beside the stored bytes."""
    out, inputs = 11_008, 4_096
    size = out * inputs // 2
    groups = inputs // 128
    state = b'{"quant_type": "nf4", "blocksize": 64, "shape": [11008, 4096]}'
    kinds: dict[str, Typed] = {
        "gptq": {
            "a.qweight": ("I32", (inputs // 8, out), bytes(size)),
            "a.qzeros": ("I32", (groups, out // 8), bytes(size // 128)),
            "a.scales": ("F16", (groups, out), bytes(2 * groups * out)),
        },
        "awq": {
            "a.qweight": ("I32", (inputs, out // 8), bytes(size)),
            "a.qzeros": ("I32", (groups, out // 8), bytes(size // 128)),
            "a.scales": ("F16", (groups, out), bytes(2 * groups * out)),
        },
        "nf4": {
            "a.weight": ("U8", (size, 1), bytes(size)),
            "a.weight.absmax": ("F32", (size // 32,), bytes(size // 8)),
            "a.weight.quant_map": ("F32", (16,), bytes(64)),
            "a.weight.quant_state.bitsandbytes__nf4": ("U8", (len(state),), state),
        },
        "ct": {
            "a.weight_packed": ("I32", (out, inputs // 8), bytes(size)),
            "a.weight_scale": ("F16", (out, groups), bytes(2 * groups * out)),
            "a.weight_shape": whole("I64", (out, inputs)),
        },
    }
    file = open_safetensors(Bytes(file_bytes(kinds[kind])))
    (stored,) = claim([file], {}).stored
    assert stored.codec is not None
    raw = file.read(stored.entry.begin, stored.entry.end - stored.entry.begin)
    tracemalloc.start()
    rows = 0
    for _, block in stored.codec.decode(raw, 0):
        rows += len(block)
        assert block.nbytes <= 8 << 20
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rows == out
    assert peak < 24 << 20


def test_mxfp4_of_one_matrix() -> None:
    """Blocks without experts are one matrix."""
    made = mxfp4(drawn(24, 64), blocks=True)
    file, stored = only(made, "a")
    assert stored.shape == (24, 64)
    np.testing.assert_array_equal(decoded(file, stored, 5), made[1])


def test_4_bit_floats_under_their_own_type() -> None:
    """safetensors' F4, whose shape counts numbers, with exponents as F8_E8M0."""
    parts, values = mxfp4(drawn(24, 64))
    exponents = parts[".weight_scale"]
    own: Typed = {
        ".weight": ("F4", (24, 64), parts[".weight_packed"][2]),
        ".weight_scale": ("F8_E8M0", exponents[1], exponents[2]),
    }
    file, stored = only((own, values))
    assert (stored.shape, stored.precision) == ((24, 64), "mxfp4")
    np.testing.assert_array_equal(decoded(file, stored, 5), values)


def test_stacks_with_a_scale_to_each_column() -> None:
    """Experts stored (in, out) with a scale to each output, the last axis, are right as stored."""
    weight = drawn(3, 16, 24)
    made = fp8(weight, (16, 1), suffix="_scale")
    file, stored = only(made)
    assert stored.precision == "fp8"
    np.testing.assert_allclose(decoded(file, stored, 5).reshape(3, 16, 24), made[1], rtol=1e-6)
