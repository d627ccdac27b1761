"""Stored bytes to float32, by plain bit arithmetic in numpy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Precisions that are read as they are; the others need dequantisation and are listed as unexamined."""

SHORT_NAMES = {"F64": "f64", "F32": "f32", "F16": "f16", "BF16": "bf16", "F8_E4M3": "fp8", "F8_E5M2": "fp8"}


def to_float32(raw: bytes | memoryview, dtype: str) -> NDArray[np.float32]:
    """Little-endian bytes of `dtype` as a flat float32 array; f64 beyond float32's range becomes infinite."""
    if dtype == "F32":
        return np.frombuffer(raw, dtype="<f4")
    if dtype == "BF16":
        widened = np.frombuffer(raw, dtype="<u2").astype(np.uint32)
        widened <<= 16
        return widened.view(np.float32)
    if dtype == "F16":
        return np.frombuffer(raw, dtype="<f2").astype(np.float32)
    with np.errstate(over="ignore"):
        return np.frombuffer(raw, dtype="<f8").astype(np.float32)
