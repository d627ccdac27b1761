"""Whether stored bytes hold NaN or infinity, told from exponent bits without converting them."""

from __future__ import annotations

import numpy as np

_INFINITY = {"BF16": (2, 0x7F80), "F16": (2, 0x7C00), "F32": (4, 0x7F800000), "F64": (8, 0x47EFFFFFF0000000)}
"""Bytes of a number, and the bits of positive infinity, which every NaN exceeds; of F64 those of 2^128 - 2^103, the
least number that rounds to an infinite float32 (ties go to even)."""


def holds_non_finite(raw: bytes, dtype: str) -> bool:
    """True if any number is NaN or infinite, as float32 too; False for types without such numbers.

    Read as signed, the largest bit pattern is that of the largest positive number; read as unsigned, of the largest
    negative one, behind the sign bit. Two maxima need no temporary and run at the speed of memory.
    """
    if dtype not in _INFINITY or not raw:
        return False
    item, infinity = _INFINITY[dtype]
    bits = np.frombuffer(raw, dtype=f"<u{item}")
    sign = 1 << (8 * item - 1)
    return int(bits.view(f"<i{item}").max()) >= infinity or int(bits.max()) >= sign | infinity
