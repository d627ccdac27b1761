"""AWQ: 4-bit integers packed across the outputs (GEMM) or along the inputs (GEMV), with scales and zero points.

Weight = scale * (code - zero). Format: AutoAWQ's GEMM keeps `qweight` (in, out / 8), `qzeros` (groups, out / 8) and
`scales` (groups, out), eight outputs to a word in the order 0, 2, 4, 6, 1, 3, 5, 7 from the lowest bits on. Its GEMV
keeps `qweight` (out, in / 8) in plain order, and rows of zeros and scales padded to a width that follows from the
group size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forensics.checkpoint.quantised.columns import BESIDE_LIMIT, INPUTS_LIMIT, PackedColumns
from forensics.checkpoint.quantised.numbers import FLOATS, WIDTHS, floats, typed
from forensics.checkpoint.quantised.packing import Packing
from forensics.checkpoint.quantised.parts import Group, Inventory, Part, Refusal
from forensics.checkpoint.quantised.rows import PackedRows
from forensics.checkpoint.quantised.scaling import block_width
from forensics.checkpoint.stored import Stored

COMPANIONS = (".qzeros", ".scales", ".g_idx")
GEMV_GROUPS = (128, 64, 32)


def gather(part: Part, inventory: Inventory) -> Group | None:
    """The group of a `qweight` that GPTQ did not take."""
    return inventory.group(part, ".qweight", ".weight", COMPANIONS, packed=8)


def build(group: Group, inventory: Inventory) -> Stored:
    """The tensor, (out, in); Refusal where its parts do not fit each other."""
    typed(group.main, "I32")
    zeros, scales = typed(group.need(".qzeros"), "I32"), typed(group.need(".scales"), *FLOATS)
    words = group.main.shape
    if len(words) != 2 or len(scales.shape) != 2 or len(zeros.shape) != 2 or not all(words + scales.shape):
        raise Refusal(f"an AWQ matrix of shape {words} with scales of shape {scales.shape}")
    by_rows = scales.shape[0] == words[0] == zeros.shape[0] and scales.shape[1] == 8 * zeros.shape[1]
    if by_rows and (inventory.settings.get("version") == "gemv" or scales.shape[1] != 8 * words[1]):
        return _gemv(group, zeros, scales, inventory)
    (inputs, across), (groups, out) = words, scales.shape
    if out != 8 * across or zeros.shape != (groups, across):
        raise Refusal(f"AWQ shapes {words}, {scales.shape} and {zeros.shape} do not fit each other")
    if inputs > INPUTS_LIMIT or scales.size > BESIDE_LIMIT:
        raise Refusal(f"{inputs} inputs in {groups} groups")
    codec = PackedColumns(
        columns=inputs, unit_rows=out, bits=4, scales=scales, zeros=zeros, zero_offset=0, interleaved=True,
        width=block_width(inputs, groups, inventory.said("group_size"), usual_first=False),
    )  # fmt: skip
    return group.stored(shape=(out, inputs), precision="awq-int4", codec=codec, oriented=True)


def padded_width(inputs: int, group_size: int) -> int:
    """Words of zeros in a row of a GEMV matrix: whole words, and a multiple of 2 or 4 of them for small groups."""
    several = {64: 2, 32: 4}.get(group_size, 1)
    words = -(-(inputs // group_size) // 8)
    return -(-words // several) * several


def _gemv(group: Group, zeros: Part, scales: Part, inventory: Inventory) -> Stored:
    out, inputs = group.main.shape[0], 8 * group.main.shape[1]
    said = inventory.said("group_size")
    sizes = [
        size
        for size in ((said,) if said in GEMV_GROUPS else GEMV_GROUPS)
        if inputs % size == 0 and padded_width(inputs, size) == zeros.shape[1]
    ]
    if len(sizes) != 1:
        raise Refusal("an AWQ GEMV matrix whose group size is uncertain")
    groups = inputs // sizes[0]
    codec = PackedRows(
        columns=inputs,
        row_bytes=inputs // 2,
        packing=Packing.counting(4),
        scales=(Cropped(part=scales, groups=groups),),
        zeros=Cropped(part=zeros, groups=groups),
        width=sizes[0],
    )
    return group.stored(shape=(out, inputs), precision="awq-int4", codec=codec, oriented=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cropped:
    """Rows of scales, or of 4-bit zeros in words, that are longer than the groups they serve."""

    part: Part
    groups: int

    def rows(self, first: int, count: int) -> NDArray[np.float32]:
        """See PerRow."""
        size = self.part.shape[1] * WIDTHS[self.part.dtype]
        raw = self.part.read(first * size, count * size)
        if self.part.dtype == "I32":
            numbers = Packing.counting(4).unpack(np.frombuffer(raw, dtype=np.uint8).reshape(count, size))
        else:
            numbers = floats(raw, self.part.dtype).reshape(count, -1)
        return numbers[:, : self.groups]
