"""8-bit floats and integers with scales: one for all, one to a row, one to a block, one to a group of a row.

DeepSeek's `weight_scale_inv`, despite its name, is multiplied like everybody's `weight_scale`. Blocks at the edges may
be cut short. MXFP8 is the same with exponents for scales.
"""

from __future__ import annotations

import math

from forensics.checkpoint.quantised.numbers import FLOATS, eight_bits, typed
from forensics.checkpoint.quantised.packing import Packing
from forensics.checkpoint.quantised.parts import Group, Inventory, Part, Refusal
from forensics.checkpoint.quantised.rows import COLUMNS_LIMIT, PackedRows
from forensics.checkpoint.quantised.scaling import Grid, block_width
from forensics.checkpoint.stored import Stored

SCALES = ("_scale_inv", "_scale", ".scale")
COMPANIONS = (*SCALES, "_zero_point")
TYPES = ("F8_E4M3", "F8_E5M2", "I8")
EXPONENTS = ("U8", "F8_E8M0")


def gather(part: Part, inventory: Inventory) -> Group | None:
    """The group of an 8-bit float tensor, or of an 8-bit integer one with a scale."""
    if part.dtype not in TYPES or part.name.endswith(SCALES) or part.name.endswith("_zero_point"):
        return None
    group = inventory.group(part, "", "", COMPANIONS)
    if group and ".scale" not in group.parts and part.name.endswith(".weight"):  # DeepSeek's own names
        beside = inventory.named.get(part.name.removesuffix(".weight") + ".scale")
        if beside is not None:
            group = Group(name=group.name, main=part, parts={**group.parts, ".scale": beside})
    if group and part.dtype == "I8" and not any(key in group.parts for key in SCALES):
        return None
    return group


def build(group: Group, inventory: Inventory) -> Stored:
    """The tensor, oriented as stored; Refusal where scales are missing or do not fit."""
    shape, dtype = group.main.shape, group.main.dtype
    columns = shape[-1] if len(shape) > 1 else 1
    if not shape or len(shape) > 3 or not all(shape) or columns > COLUMNS_LIMIT:
        raise Refusal(f"an 8-bit tensor of shape {shape}")
    scale = next((group.parts[key] for key in SCALES if key in group.parts), None)
    if scale is None and inventory.scaled:
        raise Refusal("quantised, without its scale")
    if (
        scale is not None and dtype == "I8" and scale.dtype in EXPONENTS
    ):  # DeepSeek's packed 4-bit floats look so
        raise Refusal("8-bit integers with exponents for scales, in a format that is not known")
    grid, width = (None, 1) if scale is None else scale_grid(scale, shape, inventory)
    codec = PackedRows(
        columns=columns,
        row_bytes=columns,
        packing=Packing(8, eight_bits(dtype)),
        scales=() if grid is None else (grid,),
        zeros=_zeros(group, grid),
        width=width,
    )
    return group.stored(shape=shape, precision=_precision(dtype, grid, width), codec=codec)


def _zeros(group: Group, grid: Grid | None) -> Grid | None:
    zeros = group.parts.get("_zero_point")
    if zeros is None:
        return None
    if grid is None or typed(zeros, "I8", "I32", "I64", *FLOATS).entry.elements != grid.part.entry.elements:
        raise Refusal(f"zero points of shape {zeros.shape} do not fit its scales")
    return Grid(
        part=zeros, matrix_rows=grid.matrix_rows, height=grid.height, groups=grid.groups, shared=grid.shared
    )


def scale_grid(
    scale: Part, shape: tuple[int, ...], inventory: Inventory, *, usual_first: bool = True
) -> tuple[Grid, int]:
    """The grid that a scale of any shape is for a tensor of `shape`, and the columns to a block; Refusal if none.

    Scales may be one number, (experts,), (rows,), (rows, groups), (blocks, blocks), or these for each expert.
    """
    typed(scale, *FLOATS, "F8_E4M3", "F8_E8M0", "U8")
    rows, columns = (shape[-2], shape[-1]) if len(shape) > 1 else (shape[0], 1)
    count = math.prod(shape[:-2])
    given = tuple(scale.shape)
    if scale.entry.elements == 1:
        return Grid(part=scale, matrix_rows=rows, height=rows, groups=1, shared=True), columns
    shared = False
    if len(shape) == 3 and given[:1] == (count,) and len(given) in (1, 2, 3):
        given = given[1:] or (1,)
    elif len(given) == 2 and count > 1 and given[0] % count == 0 and given[0] != rows:
        given = (given[0] // count, given[1])
    else:
        shared = len(shape) == 3
    if len(given) == 1:
        given = (given[0], 1)
    if len(given) != 2:
        raise Refusal(f"scales of shape {scale.shape} for a tensor of shape {shape}")
    said = _said_block(inventory)
    height = block_width(rows, given[0], said[0], usual_first=usual_first)
    width = block_width(columns, given[1], said[1], usual_first=usual_first)
    return Grid(part=scale, matrix_rows=rows, height=height, groups=given[1], shared=shared), width


def _said_block(inventory: Inventory) -> tuple[int, int]:
    """(rows, columns) of a block by config.json; zeros where it says nothing sane."""
    said = inventory.settings.get("weight_block_size")
    if isinstance(said, list) and len(said) == 2:
        sizes = [n if isinstance(n, int) and not isinstance(n, bool) and n > 0 else 0 for n in said]
        return sizes[0], sizes[1]
    return 0, inventory.said("group_size")


def _precision(dtype: str, grid: Grid | None, width: int) -> str:
    if dtype == "I8":
        return "ct-int8"
    if grid is None:
        return "fp8"
    if grid.groups > 1 and grid.height == 1 and grid.part.dtype in EXPONENTS:
        return "mxfp8"
    several = grid.groups > 1 or grid.height < grid.matrix_rows
    return "fp8-block" if several and grid.height > 1 and width > 1 else "fp8"


def contradiction(stored: Stored, said: Inventory) -> str:
    """Where config.json claims other blocks than the scales cover; empty where it does not."""
    codec, declared = stored.codec, said.settings.get("weight_block_size")
    if stored.precision != "fp8-block" or not isinstance(codec, PackedRows) or not isinstance(declared, list):
        return ""
    grid = codec.scales[0]
    block = [grid.height if isinstance(grid, Grid) else 1, codec.width]
    if block == declared:
        return ""
    return f"config.json declares blocks of {str(declared)[:60]}, the scales of {stored.name[:200]} cover {block}"
