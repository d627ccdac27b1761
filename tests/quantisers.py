"""Quantised checkpoints for tests, packed number by number from the descriptions of the formats: slow and plain."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Typed = dict[str, tuple[str, tuple[int, ...], bytes]]
"""Stored tensors by name: type, shape, bytes."""
Made = tuple[Typed, Array]
"""Parts of one matrix under suffixes of its prefix, and the values that they stand for."""
E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
NF4 = (
    -1.0, -0.6961928, -0.52507305, -0.39491749, -0.28444138, -0.18477343, -0.09105004, 0.0, 0.0795803, 0.1609302,
    0.2461123, 0.33791524, 0.44070983, 0.562617, 0.72295684, 1.0,
)  # fmt: skip
FP4 = tuple(s * v / 12 for s in (1, -1) for v in (0, 0.0625, 8, 12, 4, 6, 2, 3))


def f32(values: Any) -> tuple[str, tuple[int, ...], bytes]:
    """A float32 tensor."""
    array = np.asarray(values, "<f4")
    return "F32", array.shape, array.tobytes()


def f16(values: Any) -> tuple[str, tuple[int, ...], bytes]:
    """A float16 tensor."""
    array = np.asarray(values, "<f2")
    return "F16", array.shape, array.tobytes()


def whole(dtype: str, values: Any) -> tuple[str, tuple[int, ...], bytes]:
    """An integer tensor: `I32`, `I64`, `I8`, `U8`."""
    kind = {"I32": "<i4", "I64": "<i8", "I8": "i1", "U8": "u1"}[dtype]
    array = np.asarray(values)
    return dtype, array.shape, array.astype(kind).tobytes()


def file_bytes(tensors: Typed) -> bytes:
    """A safetensors file of these, in this order."""
    header, at = {}, 0
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [at, at + len(raw)]}
        at += len(raw)
    head = json.dumps(header).encode()
    return len(head).to_bytes(8, "little") + head + b"".join(raw for _, _, raw in tensors.values())


def written(path: Path, tensors: Typed) -> Path:
    """See file_bytes; on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file_bytes(tensors))
    return path


def stream(codes: Sequence[int], bits: int) -> list[int]:
    """Codes as one stream of bits, lowest first, cut into 32-bit words."""
    total = 0
    for place, code in enumerate(codes):
        total |= int(code) << (place * bits)
    count = -(-len(codes) * bits // 32)
    return [(total >> (32 * word)) & 0xFFFFFFFF for word in range(count)]


def words(rows: Any) -> tuple[str, tuple[int, ...], bytes]:
    """Rows of 32-bit words as an I32 tensor."""
    array = np.asarray(rows, np.uint32)
    return "I32", array.shape, array.astype("<u4").tobytes()


def nibbles(codes: NDArray[Any], *, high_first: bool = False) -> NDArray[np.uint8]:
    """4-bit codes, two to a byte along the last axis."""
    first, second = codes[..., ::2].astype(np.uint8), codes[..., 1::2].astype(np.uint8)
    return np.asarray(first << 4 | second if high_first else first | second << 4, np.uint8)


def grouped(
    weight: Array, bits: int, group: int, order: NDArray[np.int64] | None = None, *, symmetric: bool = False
) -> tuple[NDArray[np.int64], Array, NDArray[np.int64], Array]:
    """(codes, float16 scales (out, groups), zeros, values), rounded to nearest; `order` gives each column's group."""
    out, inputs = weight.shape
    order = np.arange(inputs) // group if order is None else order
    count = int(order.max()) + 1
    scales, zeros = np.zeros((out, count), np.float32), np.zeros((out, count), np.int64)
    top = (1 << bits) - 1
    for number in range(count):
        own = weight[:, order == number]
        low, high = np.minimum(own.min(1), 0), np.maximum(own.max(1), 0)
        if symmetric:
            high = np.abs(own).max(1)
            low = -high
        scales[:, number] = ((high - low) / top).astype(np.float16)
        zeros[:, number] = (
            (top + 1) // 2 if symmetric else np.clip(np.round(-low / scales[:, number]), 1, top)
        )
    scale, zero = scales[:, order], zeros[:, order]
    codes = np.clip(np.round(weight / scale) + zero, 0, top).astype(np.int64)
    return codes, scales, zeros, (scale * (codes - zero)).astype(np.float32)


def gptq(
    weight: Array,
    bits: int = 4,
    group: int = 32,
    *,
    v2: bool = False,
    act_order: bool = False,
    index: bool = True,
) -> Made:
    """AutoGPTQ's parts; `index` writes g_idx."""
    inputs = weight.shape[1]
    order = np.arange(inputs) // group
    if act_order:
        order = np.random.default_rng(1).permutation(order)
    codes, scales, zeros, values = grouped(weight, bits, group, order)
    kept = zeros if v2 else zeros - 1
    parts: Typed = {
        ".qweight": words(np.array([stream(row, bits) for row in codes]).T),
        ".qzeros": words([stream(column, bits) for column in kept.T]),
        ".scales": f16(scales.T),
    }
    return parts | ({".g_idx": whole("I32", order)} if index else {}), values


def awq(weight: Array, group: int = 32) -> Made:
    """AutoAWQ's GEMM parts."""
    codes, scales, zeros, values = grouped(weight, 4, group)

    def packed(rows: NDArray[np.int64]) -> list[list[int]]:
        return [
            [
                sum(
                    int(row[8 * w + lane]) << (4 * place)
                    for place, lane in enumerate((0, 2, 4, 6, 1, 3, 5, 7))
                )
                for w in range(len(row) // 8)
            ]
            for row in rows
        ]

    return {
        ".qweight": words(packed(codes.T)), ".qzeros": words(packed(zeros.T)), ".scales": f16(scales.T)
    }, values  # fmt: skip


def awq_gemv(weight: Array, group: int = 64) -> Made:
    """AutoAWQ's GEMV parts: rows of codes in plain order, scales and zeros padded."""
    codes, scales, zeros, values = grouped(weight, 4, group)
    several = {64: 2, 32: 4}.get(group, 1)
    count = (scales.shape[1] + 7) // 8
    width = (count + several - 1) // several * several * 8
    padded = np.zeros((len(weight), width))
    padded[:, : scales.shape[1]] = scales
    padded_zeros = np.zeros((len(weight), width), np.int64)
    padded_zeros[:, : zeros.shape[1]] = zeros
    return {
        ".qweight": words([stream(row, 4) for row in codes]),
        ".qzeros": words([stream(row, 4) for row in padded_zeros]),
        ".scales": f16(padded),
    }, values


def bnb4(
    weight: Array, kind: str = "nf4", *, nested: bool = False, block: int = 64, inner: int = 256
) -> Made:
    """bitsandbytes' 4-bit parts."""
    table = np.array(NF4 if kind == "nf4" else FP4, np.float32)
    flat = np.pad(weight.ravel(), (0, weight.size % 2))
    count = -(-weight.size // block)
    absmax = np.array([np.abs(flat[block * i : block * (i + 1)]).max() for i in range(count)], np.float32)
    parts: Typed = {}
    state: dict[str, Any] = {
        "quant_type": kind, "blocksize": block, "dtype": "bfloat16", "shape": list(weight.shape)
    }  # fmt: skip
    if nested:
        offset = float(absmax.mean())
        inner_map = np.sort(np.random.default_rng(3).uniform(-1, 1, 256)).astype(np.float32)
        outer = np.array([
            np.abs(absmax[i : i + inner] - offset).max() + 1e-6 for i in range(0, count, inner)
        ], np.float32)  # fmt: skip
        spread = outer[np.arange(count) // inner]
        codes = np.abs((absmax - np.float32(offset))[:, None] / spread[:, None] - inner_map).argmin(1)
        absmax = inner_map[codes] * spread + np.float32(offset)
        parts |= {
            ".weight.absmax": whole("U8", codes), ".weight.nested_absmax": f32(outer),
            ".weight.nested_quant_map": f32(inner_map),
        }  # fmt: skip
        state |= {"nested_blocksize": inner, "nested_dtype": "float32", "nested_offset": offset}
    else:
        parts[".weight.absmax"] = f32(absmax)
    scale = absmax[np.arange(len(flat)) // block] if len(flat) == weight.size else None
    scale = absmax[np.minimum(np.arange(len(flat)) // block, count - 1)] if scale is None else scale
    chosen = np.abs(flat[:, None] / scale[:, None] - table).argmin(1)
    text = np.frombuffer(json.dumps(state).encode(), np.uint8)
    parts |= {
        ".weight": whole("U8", nibbles(chosen, high_first=True)[:, None]), ".weight.quant_map": f32(table),
        f".weight.quant_state.bitsandbytes__{kind}": whole("U8", text),
    }  # fmt: skip
    return parts, (table[chosen] * scale)[: weight.size].reshape(weight.shape)


def bnb8(weight: Array) -> Made:
    """bitsandbytes' 8-bit parts."""
    largest = np.abs(weight).max(1).astype(np.float32)
    codes = np.round(weight * 127 / largest[:, None])
    parts = {".weight": whole("I8", codes), ".SCB": f32(largest), ".weight_format": whole("U8", 0)}
    return parts, (codes * largest[:, None] / 127).astype(np.float32)


def float8(values: Array, kind: str = "F8_E4M3") -> tuple[NDArray[np.uint8], Array]:
    """(codes, values) of the nearest 8-bit floats, by PyTorch."""
    import torch

    dtype = torch.float8_e4m3fn if kind == "F8_E4M3" else torch.float8_e5m2
    stored = torch.from_numpy(np.ascontiguousarray(values)).to(dtype)
    return stored.view(torch.uint8).numpy(), stored.float().numpy()


def fp8(
    weight: Array, block: tuple[int, int] = (0, 0), kind: str = "F8_E4M3", suffix: str = "_scale_inv"
) -> Made:
    """8-bit floats with a scale for each block of (rows, columns); 0 takes the whole extent."""
    high, wide = block[0] or weight.shape[-2], block[1] or weight.shape[-1]
    rows, columns = -(-weight.shape[-2] // high), -(-weight.shape[-1] // wide)
    grid = np.zeros((*weight.shape[:-2], rows, columns), np.float32)
    spread = np.zeros(weight.shape, np.float32)
    for r in range(rows):
        for c in range(columns):
            own = (..., slice(r * high, (r + 1) * high), slice(c * wide, (c + 1) * wide))
            grid[..., r, c] = np.abs(weight[own]).max(axis=(-2, -1)) / (448 if kind == "F8_E4M3" else 57344)
            spread[own] = grid[..., r, c][..., None, None]
    codes, values = float8(weight / spread, kind)
    return {".weight": (kind, weight.shape, codes.tobytes()), f".weight{suffix}": f32(grid)}, values * spread


def four_bits(weight: Array, group: int) -> tuple[NDArray[np.int64], NDArray[np.float64], Array]:
    """(codes, largest of each group, values over it) of 4-bit floats; scales are the caller's."""
    table = np.array([*E2M1, *(-v for v in E2M1)])
    largest = np.abs(weight).reshape(*weight.shape[:-1], -1, group).max(-1)
    scale = np.exp2(np.ceil(np.log2(largest / 6)))
    spread = np.repeat(scale, group, axis=-1)
    codes = np.abs((weight / spread)[..., None] - table).argmin(-1)
    return codes, scale, (table[codes] * spread).astype(np.float32)


def mxfp4(weight: Array, *, blocks: bool = False) -> Made:
    """Groups of 32 with an exponent: compressed-tensors' parts, or gpt-oss's."""
    codes, scale, values = four_bits(weight, 32)
    exponents = whole("U8", np.log2(scale) + 127)
    packed = nibbles(codes)
    if blocks:
        return {"_blocks": whole("U8", packed.reshape(*scale.shape, 16)), "_scales": exponents}, values
    return {".weight_packed": whole("U8", packed), ".weight_scale": exponents}, values


def nvfp4(weight: Array, *, modelopt: bool = False) -> Made:
    """Groups of 16 with an E4M3 scale, and a scale of scales."""
    factor = np.float32(np.abs(weight).max() / (448 * 6))
    codes, scale, _ = four_bits(weight, 16)
    kept, rounded = float8((scale / factor).astype(np.float32))
    table = np.array([*E2M1, *(-v for v in E2M1)])
    parts: Typed = {".weight_scale": ("F8_E4M3", kept.shape, kept.tobytes())}
    spread = np.repeat(rounded * factor, 16, axis=-1)
    codes = np.abs((weight / spread)[..., None] - table).argmin(-1)
    if modelopt:
        parts |= {
            ".weight": whole("U8", nibbles(codes)),
            ".weight_scale_2": f32(factor),
            ".input_scale": f32(1.0),
        }
    else:
        parts |= {".weight_packed": whole("U8", nibbles(codes)), ".weight_global_scale": f32([1 / factor])}
    return parts, (table[codes] * spread).astype(np.float32)


def packed_ints(weight: Array, bits: int = 4, group: int = 32, *, symmetric: bool = True) -> Made:
    """compressed-tensors' pack-quantized parts."""
    codes, scales, zeros, values = grouped(weight, bits, group, symmetric=symmetric)
    parts: Typed = {
        ".weight_packed": words([stream(row, bits) for row in codes]), ".weight_scale": f16(scales),
        ".weight_shape": whole("I64", weight.shape),
    }  # fmt: skip
    if not symmetric:
        parts[".weight_zero_point"] = words(np.array([stream(column, bits) for column in zeros.T]).T)
    return parts, values


def int8(weight: Array) -> Made:
    """compressed-tensors' unpacked 8-bit integers, a scale to a row."""
    scale = (np.abs(weight).max(1, keepdims=True) / 127).astype(np.float32)
    codes = np.round(weight / scale)
    return {".weight": whole("I8", codes), ".weight_scale": f32(scale)}, (codes * scale).astype(np.float32)


def named(prefix: str, parts: Mapping[str, tuple[str, tuple[int, ...], bytes]]) -> Typed:
    """Parts under their full names."""
    return {prefix + suffix: part for suffix, part in parts.items()}


Quantiser = Callable[[Array], Made]
SCHEMES: dict[str, tuple[Quantiser, str, dict[str, Any]]] = {
    "gptq-2": (lambda w: gptq(w, 2), "gptq-int2", {"quant_method": "gptq", "bits": 2}),
    "gptq-3": (lambda w: gptq(w, 3), "gptq-int3", {"quant_method": "gptq", "bits": 3}),
    "gptq-4": (gptq, "gptq-int4", {"quant_method": "gptq", "bits": 4, "group_size": 32}),
    "gptq-8": (lambda w: gptq(w, 8), "gptq-int8", {"quant_method": "gptq", "bits": 8}),
    "gptq-v2": (
        lambda w: gptq(w, v2=True), "gptq-int4", {"quant_method": "gptq", "checkpoint_format": "gptq_v2"},
    ),
    "gptq-act-order": (lambda w: gptq(w, act_order=True), "gptq-int4", {"quant_method": "gptq", "desc_act": True}),
    "gptq-no-index": (lambda w: gptq(w, index=False), "gptq-int4", {}),
    "gptq-one-group": (lambda w: gptq(w, 8, w.shape[1]), "gptq-int8", {"quant_method": "gptq", "group_size": -1}),
    "awq": (awq, "awq-int4", {"quant_method": "awq", "bits": 4, "group_size": 32}),
    "awq-gemv": (
        lambda w: awq_gemv(w, 32), "awq-int4", {"quant_method": "awq", "version": "gemv", "group_size": 32},
    ),
    "nf4": (bnb4, "bnb-nf4", {"quant_method": "bitsandbytes", "load_in_4bit": True}),
    "nf4-nested": (lambda w: bnb4(w, nested=True), "bnb-nf4", {"quant_method": "bitsandbytes"}),
    "fp4": (lambda w: bnb4(w, "fp4"), "bnb-fp4", {}),
    "bnb-int8": (bnb8, "bnb-int8", {"quant_method": "bitsandbytes", "load_in_8bit": True}),
    "fp8-block": (
        lambda w: fp8(w, (64, 40)), "fp8-block", {"quant_method": "fp8", "weight_block_size": [64, 40]},
    ),
    "fp8-one": (lambda w: fp8(w, suffix="_scale"), "fp8", {"quant_method": "compressed-tensors"}),
    "fp8-rows": (lambda w: fp8(w, (1, 0), suffix="_scale"), "fp8", {"quant_method": "fbgemm_fp8"}),
    "fp8-e5m2": (lambda w: fp8(w, kind="F8_E5M2"), "fp8", {}),
    "mxfp4": (mxfp4, "mxfp4", {"quant_method": "compressed-tensors"}),
    "nvfp4": (nvfp4, "nvfp4", {"quant_method": "compressed-tensors"}),
    "nvfp4-modelopt": (lambda w: nvfp4(w, modelopt=True), "nvfp4", {"quant_method": "modelopt"}),
    "ct-int4": (packed_ints, "ct-int4", {"quant_method": "compressed-tensors"}),
    "ct-int4-zeros": (lambda w: packed_ints(w, symmetric=False), "ct-int4", {}),
    "ct-int3": (lambda w: packed_ints(w, 3), "ct-int3", {}),
    "ct-int8-packed": (lambda w: packed_ints(w, 8), "ct-int8", {}),
    "ct-int8": (int8, "ct-int8", {"quant_method": "compressed-tensors"}),
}  # fmt: skip
"""(quantiser, precision that the record shows, what config.json says), by a name for the test's report."""
