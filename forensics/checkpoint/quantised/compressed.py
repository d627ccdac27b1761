"""compressed-tensors' packed integers: a dense stream of 1 to 8 bits along each row, in 32-bit words.

Format: `weight_packed` (out, ceil(in * bits / 32)) of codes plus 2 ** (bits - 1), `weight_shape` (2), `weight_scale`
(out, groups), `weight_zero_point` (ceil(out * bits / 32), groups) packed down the rows, `weight_g_idx` (in). Its
unpacked 8-bit formats are read by `eight`, its 4-bit floats by `four`.
"""

from __future__ import annotations

import numpy as np

from forensics.checkpoint.quantised.eight import scale_grid
from forensics.checkpoint.quantised.numbers import FLOATS, WIDTHS, typed
from forensics.checkpoint.quantised.packing import Packing
from forensics.checkpoint.quantised.parts import Group, Inventory, Part, Refusal
from forensics.checkpoint.quantised.rows import COLUMNS_LIMIT, PackedRows
from forensics.checkpoint.quantised.scaling import Grid, PackedZeros, PerRow
from forensics.checkpoint.stored import Stored

COMPANIONS = ("_scale", "_shape", "_zero_point", "_g_idx")
LIKELY = (4, 8, 2, 3, 5, 6, 7, 1)
"""Bits, tried in this order: very narrow matrices fit several."""


def gather(part: Part, inventory: Inventory) -> Group | None:
    """The group of a `weight_packed` of words."""
    if not part.name.endswith("_packed") or part.dtype != "I32":
        return None
    return inventory.group(part, "_packed", "", COMPANIONS, packed=8)


def build(group: Group, inventory: Inventory) -> Stored:
    """The tensor as stored, which is (out, in) or (experts, out, in); Refusal where its parts do not fit each other."""
    scale = typed(group.need("_scale"), *FLOATS)
    *front, words = group.main.shape or (0,)
    shape = _shape(inventory, typed(group.need("_shape"), "I32", "I64"), tuple(front))
    columns = shape[-1]
    if words > COLUMNS_LIMIT or columns > COLUMNS_LIMIT:
        raise Refusal(f"a row of {columns} numbers")
    bits = next((b for b in LIKELY if -(-columns * b // 32) == words), 0)
    if not bits:
        raise Refusal(f"{columns} numbers in {words} words of a row")
    grid, width = scale_grid(scale, shape, inventory, usual_first=False)
    if grid.height != 1 and grid.groups != 1:
        raise Refusal(f"scales of shape {scale.shape} for packed rows of shape {shape}")
    order = group.parts.get("_g_idx")
    if order is not None and typed(order, "I32", "I64").shape != (columns,):
        raise Refusal(f"g_idx of shape {order.shape} for {columns} inputs")
    middle = 1 << (bits - 1)
    codec = PackedRows(
        columns=columns,
        row_bytes=4 * words,
        packing=Packing.counting(bits, -middle),
        scales=(grid,),
        zeros=_zeros(group, grid, bits, shape),
        width=width,
        order=order,
    )
    return group.stored(shape=shape, precision=f"ct-int{bits}", codec=codec)


def _shape(inventory: Inventory, part: Part, front: tuple[int, ...]) -> tuple[int, ...]:
    """The logical shape, which must agree with the rows that are stored."""
    raw = inventory.small(part, limit=64)
    shape = tuple(np.frombuffer(raw, dtype=f"<i{WIDTHS[part.dtype]}").tolist())
    if len(front) == 2 and len(shape) == 2:
        shape = (front[0], *shape)  # of one expert
    if len(front) not in (1, 2) or len(shape) != len(front) + 1 or shape[:-1] != front or min(shape) < 1:
        raise Refusal(f"its weight_shape is {shape} and its rows are {front}")
    return shape


def _zeros(group: Group, grid: Grid, bits: int, shape: tuple[int, ...]) -> PerRow | None:
    part = group.parts.get("_zero_point")
    if part is None:
        return None
    rows = shape[-2]
    packed = (-(-rows * bits // 32), grid.groups)
    if part.dtype == "I32" and part.shape == packed and len(shape) == 2 and grid.height == 1:
        return PackedZeros(part=part, packing=Packing.counting(bits, -(1 << (bits - 1))), groups=grid.groups)
    if part.dtype == "I8" and part.entry.elements == grid.part.entry.elements:
        return Grid(
            part=part,
            matrix_rows=grid.matrix_rows,
            height=grid.height,
            groups=grid.groups,
            shared=grid.shared,
        )
    raise Refusal(f"zero points of shape {part.shape} do not fit its scales")
