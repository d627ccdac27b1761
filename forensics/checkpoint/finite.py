"""Whether stored bytes hold NaN or infinity, told from exponent bits without converting them."""

from __future__ import annotations

import numpy as np

_EXPONENT = {
    "BF16": ("<u2", 0x7F80),
    "F16": ("<u2", 0x7C00),
    "F32": ("<u4", 0x7F800000),
    "F64": ("<u8", 0x7FF << 52),
}
_MAGNITUDE = {"<u2": 0x7FFF, "<u4": 0x7FFFFFFF, "<u8": 0x7FFFFFFFFFFFFFFF}


def holds_non_finite(raw: bytes, dtype: str) -> bool:
    """True if any number has all exponent bits set; False for types without such numbers."""
    if dtype not in _EXPONENT or not raw:
        return False
    word, exponent = _EXPONENT[dtype]
    bits = np.frombuffer(raw, dtype=word)
    magnitude = np.bitwise_and(bits, bits.dtype.type(_MAGNITUDE[word]))
    return bool(magnitude.max() >= exponent)
