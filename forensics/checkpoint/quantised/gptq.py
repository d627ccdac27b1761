"""GPTQ: integers of 2, 3, 4 or 8 bits packed along the inputs, a scale and a zero point to a group of inputs.

Weight = scale * (code - zero). The first format stores zero - 1, `gptq_v2` the zero itself. Format: AutoGPTQ's and
GPTQModel's `qweight` (in * bits / 32, out), `qzeros` (groups, out * bits / 32), `scales` (groups, out), `g_idx` (in).
"""

from __future__ import annotations

import numpy as np

from forensics.checkpoint.quantised.columns import BESIDE_LIMIT, INPUTS_LIMIT, PackedColumns
from forensics.checkpoint.quantised.numbers import FLOATS, typed
from forensics.checkpoint.quantised.packing import Packing
from forensics.checkpoint.quantised.parts import Group, Inventory, Part, Refusal
from forensics.checkpoint.quantised.scaling import block_width
from forensics.checkpoint.stored import Stored
from forensics.errors import CheckpointError

COMPANIONS = (".qzeros", ".scales", ".g_idx")
GLANCE = 4096
"""Bytes of the first stored zeros that tell the two formats apart."""


def gather(part: Part, inventory: Inventory) -> Group | None:
    """The group of a `qweight` whose scales are as wide as it, or that lacks them."""
    group = inventory.group(part, ".qweight", ".weight", COMPANIONS, packed=8)
    if group is None or part.dtype != "I32":
        return None
    scales = group.parts.get(".scales")
    fits = scales is None or scales.shape[-1:] == part.shape[-1:] or inventory.method == "gptq"
    return group if fits else None


def build(group: Group, inventory: Inventory) -> Stored:
    """The tensor, (out, in); Refusal where its parts do not fit each other."""
    zeros, scales = typed(group.need(".qzeros"), "I32"), typed(group.need(".scales"), *FLOATS)
    words = group.main.shape
    if len(words) != 2 or len(scales.shape) != 2 or len(zeros.shape) != 2 or not all(words + scales.shape):
        raise Refusal(f"a GPTQ matrix of shape {words} with scales of shape {scales.shape}")
    (height, out), (groups, wide) = words, scales.shape
    bits, rest = divmod(zeros.shape[1] * 32, out)
    if (
        rest
        or bits not in (2, 3, 4, 8)
        or wide != out
        or zeros.shape[0] != groups
        or height % bits * (bits == 3)
    ):
        raise Refusal(f"GPTQ shapes {words}, {scales.shape} and {zeros.shape} do not fit each other")
    inputs = height * 32 // bits
    order = group.parts.get(".g_idx")
    if order is not None and typed(order, "I32", "I64").shape != (inputs,):
        raise Refusal(f"g_idx of shape {order.shape} for {inputs} inputs")
    if inputs > INPUTS_LIMIT or scales.size > BESIDE_LIMIT:
        raise Refusal(f"{inputs} inputs in {groups} groups")
    if groups > inputs:
        raise Refusal(f"{groups} groups of scales for {inputs} inputs")
    if order is None:
        width = block_width(inputs, groups, inventory.said("group_size"), usual_first=False)
    else:
        width = -(-inputs // groups)
    codec = PackedColumns(
        columns=inputs, unit_rows=out, bits=bits, scales=scales, zeros=zeros, width=width, order=order,
        zero_offset=first_zero_offset(inventory),
    )  # fmt: skip
    return group.stored(shape=(out, inputs), precision=f"gptq-int{bits}", codec=codec, oriented=True)


def declared_offset(inventory: Inventory) -> int:
    """What config.json says is to be added to stored zeros."""
    return 0 if inventory.settings.get("checkpoint_format") == "gptq_v2" else 1


def first_zero_offset(inventory: Inventory) -> int:
    """What is to be added to stored zeros: by the first symmetric zeros seen, which have one value only; else as said.

    A symmetric zero is 2 ** (bits - 1): 8 of 4 bits. Stored as 7 it is the first format's, as 8 the second's.
    """
    if inventory.zero_offset is None:
        seen = None
        for part in inventory.named.values():
            group = gather(part, inventory)
            if group and len(part.shape) == 2 and part.shape[1] and len(group.parts) > 1:
                seen = _seen(group, part.shape[1])
                break
        inventory.zero_offset = declared_offset(inventory) if seen is None else seen
    return inventory.zero_offset


def _seen(group: Group, out: int) -> int | None:
    """The offset that the first zeros of a group speak for, if they all are one half of the range."""
    zeros = group.parts.get(".qzeros")
    if zeros is None or zeros.dtype != "I32" or len(zeros.shape) != 2 or not zeros.size:
        return None
    bits = zeros.shape[1] * 32 // out
    if bits not in (2, 3, 4, 8):
        return None
    try:
        raw = zeros.read(0, min(zeros.size, GLANCE) // (4 * bits) * 4 * bits)
    except CheckpointError:
        return None
    codes = np.unique(Packing.counting(bits).unpack(np.frombuffer(raw, dtype=np.uint8).reshape(1, -1)))
    if len(codes) != 1 or codes[0] not in ((1 << bits) // 2 - 1, (1 << bits) // 2):
        return None
    return int((1 << bits) // 2 - codes[0])


def contradiction(stored: Stored, said: Inventory) -> str:
    """Where config.json claims another format of zeros than was read; empty where it does not."""
    codec = stored.codec
    if (
        not isinstance(codec, PackedColumns)
        or codec.interleaved
        or codec.zero_offset == declared_offset(said)
    ):
        return ""
    return f"the declared checkpoint_format and the zeros disagree; {codec.zero_offset} was added to stored zeros"
