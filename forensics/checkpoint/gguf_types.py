"""How ggml stores numbers: for every tensor type its name, the numbers of a block and the block's bytes.

Source: the enum `ggml_type` and the block structures of llama.cpp (`ggml.h`, `ggml-common.h`), as published with GGUF.
"""

from __future__ import annotations

from dataclasses import dataclass

GGML_TYPES: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip
"""By number: (name, numbers per block, bytes per block)."""

REMOVED = {
    4: "Q4_2", 5: "Q4_3", 31: "Q4_0_4_4", 32: "Q4_0_4_8", 33: "Q4_0_8_8", 36: "IQ4_NL_4_4", 37: "IQ4_NL_4_8",
    38: "IQ4_NL_8_8",
}  # fmt: skip
"""Numbers that llama.cpp no longer reads."""

UNREAD = {
    "Q8_1": "an intermediate format of computations", "Q8_K": "an intermediate format of computations",
    "Q1_0": "a type without a published dequantiser", "I8": "integers", "I16": "integers", "I32": "integers",
    "I64": "integers",
}  # fmt: skip
"""Types whose numbers are not read, and why."""

PLAIN = ("F64", "F32", "F16", "BF16")
"""Types that need no dequantisation."""

BLOCKS = {
    name: (number, block, size)
    for number, (name, block, size) in GGML_TYPES.items()
    if name not in PLAIN and name not in UNREAD
}
"""By name, the quantised types that are read: (ggml's number, numbers per block, bytes per block)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """How one tensor is stored, if that can be told."""

    name: str
    """Type as ggml spells it; `GGML_77` where it is none that is known."""
    size: int | None
    """Bytes of the whole tensor; None where they cannot be told."""
    fault: str = ""
    """Why its numbers cannot be read; empty where they can."""


def stock(number: int, columns: int, elements: int) -> Stock:
    """What a tensor of ggml type `number` with rows of `columns` numbers takes up in the file."""
    if number in REMOVED:
        return Stock(
            name=REMOVED[number], size=None, fault=f"stored as {REMOVED[number]}, which ggml removed"
        )
    if number not in GGML_TYPES:
        return Stock(
            name=f"GGML_{number}", size=None, fault=f"stored as ggml type {number}, which is not known"
        )
    name, block, size = GGML_TYPES[number]
    if columns % block:
        fault = f"rows of {columns} numbers are no whole blocks of {block} ({name})"
        return Stock(name=name, size=None, fault=fault)
    fault = f"stored as {name}, {UNREAD[name]}" if name in UNREAD else ""
    return Stock(name=name, size=elements // block * size, fault=fault)
