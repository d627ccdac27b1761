"""4-bit floats (E2M1) in small groups: MXFP4 with an exponent to 32 numbers, NVFP4 with an 8-bit float to 16.

gpt-oss keeps `*_blocks` (…, out, in / 32, 16 bytes) and `*_scales` (…, out, in / 32); compressed-tensors keeps
`weight_packed` (out, in / 2) and `weight_scale`; ModelOpt the same as `weight`. The first number of a byte is in its
low half. Of NVFP4 the scales have a scale themselves: compressed-tensors divides by its `weight_global_scale`,
ModelOpt multiplies by its `weight_scale_2`.
"""

from __future__ import annotations

import math

from forensics.checkpoint.quantised.eight import EXPONENTS, scale_grid
from forensics.checkpoint.quantised.numbers import E2M1, FLOATS, typed
from forensics.checkpoint.quantised.packing import Packing
from forensics.checkpoint.quantised.parts import Group, Inventory, Part, Refusal
from forensics.checkpoint.quantised.rows import COLUMNS_LIMIT, PackedRows
from forensics.checkpoint.quantised.scaling import Grid, PerRow
from forensics.checkpoint.stored import Stored

FACTORS = ("_global_scale", "_scale_2")
MX_GROUP, NV_GROUP = 32, 16


def gather_blocks(part: Part, inventory: Inventory) -> Group | None:
    """The group of gpt-oss's `*_blocks`."""
    if not part.name.endswith("_blocks") or part.dtype != "U8":
        return None
    return inventory.group(part, "_blocks", "", ("_scales",), packed=2)


def build_blocks(group: Group, inventory: Inventory) -> Stored:
    """The tensor, (experts, out, in) or (out, in), whatever way the plain model keeps it."""
    del inventory
    *front, groups, size = group.main.shape or (0,)
    scales = typed(group.need("_scales"), *EXPONENTS)
    if size != MX_GROUP // 2 or len(front) not in (1, 2) or not all((*front, groups)):
        raise Refusal(f"MXFP4 blocks of shape {group.main.shape}")
    if scales.shape != (*front, groups):
        raise Refusal(f"scales of shape {scales.shape} for MXFP4 blocks of shape {group.main.shape}")
    if groups * MX_GROUP > COLUMNS_LIMIT:
        raise Refusal(f"a row of {groups * MX_GROUP} numbers")
    codec = PackedRows(
        columns=groups * MX_GROUP,
        row_bytes=groups * MX_GROUP // 2,
        packing=Packing(4, E2M1),
        scales=(Grid(part=scales, matrix_rows=math.prod(front), height=1, groups=groups),),
        width=MX_GROUP,
    )
    return group.stored(shape=(*front, groups * MX_GROUP), precision="mxfp4", codec=codec, oriented=True)


def gather_packed(part: Part, inventory: Inventory) -> Group | None:
    """The group of a tensor of bytes, or of 4-bit floats, beside which scales lie."""
    if part.dtype not in ("U8", "F4", "F4_X2") or part.name.endswith(("_scale", "_scale_inv")):
        return None
    ending = "_packed" if part.name.endswith("_packed") else ""
    companions = ("_scale", "_scale_inv", *FACTORS, ".pre_quant_scale")
    group = inventory.group(part, ending, "", companions, packed=1 if part.dtype == "F4" else 2)
    if group is None or not (ending or "_scale" in group.parts or "_scale_inv" in group.parts):
        return None
    folded = inventory.named.get(f"{group.name.removesuffix('.weight')}.pre_quant_scale")
    if folded is not None:
        return Group(
            name=group.name, main=part, parts={**group.parts, ".pre_quant_scale": folded}, packed=group.packed
        )
    return group


def build_packed(group: Group, inventory: Inventory) -> Stored:
    """The tensor as stored, which is (out, in); Refusal unless its scales make certain which format it is."""
    scale = group.need("_scale", "_scale_inv")
    factor = next((group.parts[key] for key in FACTORS if key in group.parts), None)
    if ".pre_quant_scale" in group.parts:
        raise Refusal("its inputs are scaled one by one, which is not undone yet")
    per_byte = 1 if group.main.dtype == "F4" else 2
    *front, last = group.main.shape or (0,)
    shape = (*front, last * per_byte)
    columns = shape[-1]
    if len(shape) not in (2, 3) or not all(shape) or columns > COLUMNS_LIMIT or columns % 2:
        raise Refusal(f"4-bit floats of shape {shape}")
    kind = "nvfp4" if factor is not None and scale.dtype == "F8_E4M3" else "mxfp4"
    if kind == "mxfp4" and (factor is not None or scale.dtype not in EXPONENTS):
        raise Refusal(f"4-bit numbers with {scale.dtype} scales, in a format that is not known")
    size = NV_GROUP if kind == "nvfp4" else MX_GROUP
    if scale.shape != (*front, -(-columns // size)):
        raise Refusal(f"{kind} scales of shape {scale.shape} for a matrix of shape {shape}")
    rows = math.prod(front)
    grids: tuple[PerRow, ...] = (Grid(part=scale, matrix_rows=rows, height=1, groups=scale.shape[-1]),)
    if factor is not None:
        whole, _ = scale_grid(typed(factor, *FLOATS), shape, inventory)
        inverse = "_global_scale" in group.parts
        grids += (
            Grid(
                part=factor, matrix_rows=whole.matrix_rows, height=whole.height, groups=1, shared=whole.shared,
                inverse=inverse,
            ),
        )  # fmt: skip
        if whole.groups != 1:
            raise Refusal(f"a scale of scales of shape {factor.shape}")
    codec = PackedRows(
        columns=columns, row_bytes=columns // 2, packing=Packing(4, E2M1), scales=grids, width=size
    )
    return group.stored(shape=shape, precision=kind, codec=codec, oriented=True)
