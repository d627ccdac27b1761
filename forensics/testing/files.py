"""The smallest honest safetensors writer and reader, for checkpoints that tests make up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Stored = dict[str, tuple[str, NDArray[np.float32]]]
"""Tensors by stored name: precision (`bf16`, `f16` or `f32`) and values."""

_CODES = {"bf16": "BF16", "f16": "F16", "f32": "F32"}
_PRECISIONS = {code: name for name, code in _CODES.items()}


def _encode(dtype: str, values: NDArray[np.floating]) -> bytes:
    """Little-endian bytes; bf16 rounds to nearest, ties to even, and keeps NaN a NaN."""
    if dtype == "f16":
        with np.errstate(over="ignore"):
            return np.asarray(values, "<f2").tobytes()
    plain = np.asarray(values, "<f4")
    if dtype == "f32":
        return plain.tobytes()
    bits = np.ascontiguousarray(plain).view("<u4")
    rounded = (bits.astype(np.uint64) + 0x7FFF + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(plain), 0x7FC0, rounded).astype("<u2").tobytes()


def _decode(dtype: str, raw: bytes) -> NDArray[np.float32]:
    """Float32 values of stored bytes."""
    if dtype == "bf16":
        return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(raw, "<f2" if dtype == "f16" else "<f4").astype(np.float32)


def write_safetensors(path: Path | str, tensors: Mapping[str, tuple[str, NDArray[np.floating]]]) -> None:
    """Writes `{name: (precision, array)}`, precision one of `bf16`, `f16`, `f32`, sorted by name as libraries do."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    bodies, position = [], 0
    for name in sorted(tensors):
        dtype, values = tensors[name]
        body = _encode(dtype, values)
        offsets = [position, position + len(body)]
        header[name] = {"dtype": _CODES[dtype], "shape": list(values.shape), "data_offsets": offsets}
        bodies.append(body)
        position += len(body)
    encoded = json.dumps(header, separators=(",", ":")).encode()
    encoded += b" " * (-len(encoded) % 8)
    Path(path).write_bytes(len(encoded).to_bytes(8, "little") + encoded + b"".join(bodies))


def read_safetensors(path: Path | str) -> Stored:
    """What `write_safetensors` wrote. Trusts the file: for made-up checkpoints only, never for evidence."""
    raw = Path(path).read_bytes()
    body = 8 + int.from_bytes(raw[:8], "little")
    found: Stored = {}
    for name, entry in json.loads(raw[8:body]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            dtype = _PRECISIONS[entry["dtype"]]
            found[name] = (dtype, _decode(dtype, raw[body + begin : body + end]).reshape(entry["shape"]))
    return found
