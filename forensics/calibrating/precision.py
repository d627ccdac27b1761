"""How finely weights are stored, as one number per model, so that readings can be held against it."""

from __future__ import annotations

import re
from collections.abc import Iterable

FLOATS = {
    "f64": 53,
    "f32": 24,
    "f16": 11,
    "bf16": 8,
    "fp8": 4,
    "mxfp8": 4,
    "fp4": 2,
    "nvfp4": 2,
    "mxfp4": 2,
    "nf4": 4,
}
"""Significant bits, the leading one counted (IEEE 754; OCP Microscaling Formats 1.0 for fp8 and fp4).

NF4 is no float but a table of 16 numbers; like an integer it counts by its width.
"""


def significant_bits(name: str) -> int:
    """Of a stored precision by its name, as the checkpoint's plan gives it; 24 for what has none."""
    kind = name.rsplit("-", maxsplit=1)[-1]
    if kind in FLOATS:
        return FLOATS[kind]
    if name.startswith("fp8"):
        return FLOATS["fp8"]
    integer = re.fullmatch(r"(?:u?int|i|u|q)(\d{1,2}).{0,8}", kind)
    return max(1, int(integer[1])) if integer else 24


def coarsest(names: Iterable[str]) -> int:
    """Of several precisions in one model: the fewest significant bits; 24 of none."""
    return min((significant_bits(name) for name in names), default=24)
