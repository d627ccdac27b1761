"""Which entries of a checkpoint are parts of quantised tensors, and what decodes them; a reason where nothing does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from forensics.checkpoint.quantised import awq, bitsandbytes, compressed, eight, foreign, four, gptq
from forensics.checkpoint.quantised.parts import Group, Inventory, Part, Refusal
from forensics.checkpoint.stored import Stored, WeightFile
from forensics.errors import CheckpointError


@dataclass(frozen=True, slots=True, kw_only=True)
class Scheme:
    """One way of quantising: how its groups are found and what they become."""

    id: str
    title: str
    covers: str
    """What of it is read, for the table of formats."""
    precisions: tuple[str, ...]
    """As the record names them."""
    methods: tuple[str, ...]
    """What config.json calls it under `quant_method`."""
    gather: Callable[[Part, Inventory], Group | None]
    build: Callable[[Group, Inventory], Stored]


SCHEMES = (
    Scheme(
        id="bnb", title="bitsandbytes 4-bit", covers="nf4 and fp4, plain and doubly quantised",
        precisions=("bnb-nf4", "bnb-fp4"), methods=("bitsandbytes",), gather=bitsandbytes.gather_four,
        build=bitsandbytes.build_four,
    ),
    Scheme(
        id="bnb", title="bitsandbytes 8-bit", covers="LLM.int8 rows", precisions=("bnb-int8",),
        methods=("bitsandbytes",), gather=bitsandbytes.gather_eight, build=bitsandbytes.build_eight,
    ),
    Scheme(
        id="gptq", title="GPTQ", covers="2, 3, 4 and 8 bits, both formats of zeros, any group size, act-order",
        precisions=("gptq-int2", "gptq-int3", "gptq-int4", "gptq-int8"), methods=("gptq",), gather=gptq.gather,
        build=gptq.build,
    ),
    Scheme(
        id="awq", title="AWQ", covers="4 bits, GEMM order; GEMV where its group size is certain",
        precisions=("awq-int4",), methods=("awq",), gather=awq.gather, build=awq.build,
    ),
    Scheme(
        id="ct", title="compressed-tensors, packed integers",
        covers="1 to 8 bits, symmetric or not, groups or rows, act-order",
        precisions=tuple(f"ct-int{bits}" for bits in range(1, 9)), methods=("compressed-tensors",),
        gather=compressed.gather, build=compressed.build,
    ),
    Scheme(
        id="mxfp4", title="MXFP4 of gpt-oss", covers="`_blocks` and `_scales`, stacked experts or single",
        precisions=("mxfp4",), methods=("mxfp4",), gather=four.gather_blocks, build=four.build_blocks,
    ),
    Scheme(
        id="foreign", title="EXL2, EXL3, Marlin, AQLM, HQQ, QuIP#, sparse, torchao, quanto, EETQ",
        covers="recognised, listed as not examined", precisions=(),
        methods=("exl2", "exl3", "marlin", "aqlm", "hqq", "quip", "torchao", "quanto", "eetq"),
        gather=foreign.gather, build=foreign.build,
    ),
    Scheme(
        id="fp4", title="NVFP4 and MXFP4 of compressed-tensors and ModelOpt", covers="packed in bytes",
        precisions=("nvfp4", "mxfp4"), methods=("compressed-tensors", "modelopt", "modelopt_fp4", "nvfp4"),
        gather=four.gather_packed, build=four.build_packed,
    ),
    Scheme(
        id="8-bit", title="8-bit floats and integers with scales",
        covers="E4M3 and E5M2 without scale or with one for all, for each row, block or group; stacked experts; int8",
        precisions=("fp8", "fp8-block", "mxfp8", "ct-int8"),
        methods=("fp8", "fbgemm_fp8", "compressed-tensors", "modelopt", "finegrained_fp8", "mxfp8"),
        gather=eight.gather, build=eight.build,
    ),
)  # fmt: skip
"""In the order in which they are asked; the first that knows an entry as the main part of a group takes the group."""
CACHED = ("k_scale", "v_scale", "q_scale", "kv_scale", "prob_output_scale", "prob_scale")
"""Scales of what attention keeps, which say nothing about weights."""

BESIDE_LIMIT = 4_096
"""Numbers that companions may hold in any case; else a quarter of the matrix (scale and zero to each eight)."""


@dataclass(slots=True)
class Claims:
    """What was claimed."""

    inventory: Inventory
    stored: list[Stored]
    taken: set[tuple[int, str]]
    """(file, name) of every entry that is part of one."""


def claim(files: Sequence[WeightFile], config: Mapping[str, Any]) -> Claims:
    """Every quantised tensor of these files; the rest are tensors by themselves. Content raises nothing."""
    inventory = Inventory(files, config)
    found = Claims(inventory, [], set())
    for part in inventory.named.values():
        if (part.index, part.name) in found.taken:
            continue
        for scheme in SCHEMES:
            group = scheme.gather(part, inventory)
            if group is not None:
                found.stored.append(_built(scheme, group, inventory))
                found.taken.add((part.index, part.name))
                found.taken.update((other.index, other.name) for other in group.parts.values())
                break
    _attach_cached(found)
    return found


def _built(scheme: Scheme, group: Group, inventory: Inventory) -> Stored:
    try:
        if any(part.entry.turned for part in (group.main, *group.parts.values())):
            raise Refusal("quantised, with a part that is a transposed view")
        stored = scheme.build(group, inventory)
        if _beside(stored) > max(BESIDE_LIMIT, stored.elements // 4):
            raise Refusal("quantised, with parts beside it in which as much again could be hidden")
        return stored
    except Refusal as refusal:
        return group.refused(scheme.id, str(refusal))
    except CheckpointError as error:
        return group.refused(scheme.id, f"its parts could not be read: {error.message}")


def _beside(stored: Stored) -> int:
    """Numbers in a tensor's companions, which are no parameters of their own."""
    return sum(entry.elements for _, entry in stored.companions)


def _attach_cached(found: Claims) -> None:
    """Hands scales of an attention block's cache to its key matrix, where that was quantised."""
    places = {one.name: place for place, one in enumerate(found.stored)}
    for part in found.inventory.named.values():
        prefix, _, last = part.name.rpartition(".")
        place = places.get(f"{prefix}.k_proj.weight") if last in CACHED else None
        small = part.entry.elements <= BESIDE_LIMIT
        if small and place is not None and (part.index, part.name) not in found.taken:
            one = found.stored[place]
            found.stored[place] = replace(one, companions=(*one.companions, (part.index, part.entry)))
            found.taken.add((part.index, part.name))


def contradictions(tensors: Sequence[Stored], config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(code, message) where config.json says otherwise about the quantisation than the tensors, which are believed."""
    said = Inventory((), config)
    shown = {one.precision for one in tensors}
    messages = []
    known = [scheme for scheme in SCHEMES if said.method in scheme.methods]
    borne_out = any(precision in scheme.precisions for scheme in known for precision in shown)
    if known and not borne_out and not any(precision.endswith("-unread") for precision in shown):
        messages.append(f"config.json declares {said.method}, and no tensor is quantised that way")
    widths = {int(precision[-1]) for precision in shown if precision[:-1].endswith("-int")}
    if said.said("bits") and widths and said.said("bits") not in widths:
        own = ", ".join(map(str, sorted(widths)))
        messages.append(f"config.json declares {said.said('bits')} bits, the tensors show {own}")
    claims = (gptq.contradiction, eight.contradiction)
    messages += [first for of in claims if (first := next(filter(None, (of(t, said) for t in tensors)), ""))]
    return [("QUANT_MISMATCH", message) for message in messages]


def schemes_table() -> tuple[tuple[str, str, str], ...]:
    """(title, what is covered, names of precisions) of every scheme, for the table of formats."""
    return tuple((s.title, s.covers, ", ".join(f"`{p}`" for p in s.precisions)) for s in SCHEMES)
