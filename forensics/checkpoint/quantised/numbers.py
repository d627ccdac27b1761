"""Small floating-point formats as tables of values, and companions of any type as float32.

E4M3 (no infinities, one NaN), E5M2 and their biases: "FP8 Formats for Deep Learning" (Micikevicius et al., 2022),
table 1. E2M1 and the power-of-two scale E8M0: OCP Microscaling Formats (MX) v1.0, sections 5.3.3 and 5.4.1.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from forensics.checkpoint.convert import ITEM_BYTES, to_float32
from forensics.checkpoint.quantised.parts import Part, Refusal

if TYPE_CHECKING:
    from numpy.typing import NDArray

E2M1 = tuple(sign * value for sign in (1.0, -1.0) for value in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0))
"""The 16 values of a 4-bit float, by code."""
WIDTHS = {**ITEM_BYTES, "F8_E4M3": 1, "F8_E5M2": 1, "F8_E8M0": 1, "U8": 1, "I8": 1, "I32": 4, "I64": 8}
"""Bytes of the types a companion may have."""
FLOATS = ("F64", "F32", "F16", "BF16")


@cache
def eight_bits(dtype: str) -> tuple[float, ...]:
    """The 256 values of an 8-bit type, by code: `F8_E4M3`, `F8_E5M2`, `F8_E8M0` (also for U8 scales), `I8`."""
    codes = np.arange(256)
    match dtype:
        case "F8_E5M2":
            values = (codes << 8).astype("<u2").view("<f2").astype(np.float64)
        case "F8_E8M0":
            values = np.where(codes == 255, np.nan, np.ldexp(1.0, codes - 127))
        case "I8":
            values = codes.astype(np.uint8).view(np.int8).astype(np.float64)
        case _:
            exponent, mantissa = codes >> 3 & 15, codes & 7
            normal = np.ldexp(1 + mantissa / 8, exponent - 7)
            values = np.where(exponent, normal, np.ldexp(mantissa / 8, -6)) * np.where(codes & 128, -1, 1)
            values[codes & 127 == 127] = np.nan
    return tuple(values.tolist())


@cache
def table_of(dtype: str) -> NDArray[np.float32]:
    """See eight_bits; as an array of shape (256,)."""
    return np.array(eight_bits(dtype), dtype=np.float32)


def floats(raw: bytes, dtype: str) -> NDArray[np.float32]:
    """Companions of any type in WIDTHS as flat float32; U8 are exponents of two (E8M0)."""
    if dtype in ITEM_BYTES:
        return to_float32(raw, dtype)
    if dtype in ("I32", "I64"):
        return np.frombuffer(raw, dtype=f"<i{WIDTHS[dtype]}").astype(np.float32)
    table = table_of("F8_E8M0" if dtype == "U8" else dtype)
    return table.take(np.frombuffer(raw, dtype=np.uint8))


def typed(part: Part, *dtypes: str) -> Part:
    """`part` where it has one of these types; Refusal otherwise."""
    if part.dtype not in dtypes:
        raise Refusal(f"its {part.name.rsplit('.', 1)[-1][:40]} is stored as {part.dtype}")
    return part
