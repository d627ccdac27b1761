"""What the tensors' shapes say of an architecture: width, heads, and whether a layout can be the right one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from forensics.checkpoint.config import declared
from forensics.checkpoint.layout import BUFFER, PREFIX, Layout, Match, skeleton
from forensics.checkpoint.segments import Heads, Unsplittable, cut, oriented
from forensics.checkpoint.stored import Stored
from forensics.probe import TensorSpec
from forensics.records import Architecture

READS = frozenset(
    {
        "embed_tokens", "lm_head", "q_proj", "k_proj", "v_proj", "gate_proj", "up_proj", "router", "attn_gate_proj",
        "shared_gate_proj", "shared_up_proj", "shared_router", "q_a_proj", "kv_a_proj", "linear_q_proj",
        "linear_z_proj", "ssm_in_proj",
    }
)  # fmt: skip
"""Roles whose columns are the residual stream."""
WRITES = frozenset(
    {"o_proj", "down_proj", "shared_down_proj", "linear_o_proj", "ssm_out_proj", "input_norm", "mlp_norm"}
)
"""Roles whose rows are the residual stream."""


@dataclass(frozen=True, slots=True)
class Group:
    """One of several tensors of one shape whose names differ only in numbers, and how much they are together."""

    one: Stored
    elements: int
    count: int


@dataclass(frozen=True, slots=True)
class Groups:
    """All tensors of a checkpoint, as few as possible for all."""

    by_skeleton: Mapping[str, list[Group]]
    elements: int
    count: int


def turned(stored: Stored, match: Match) -> bool:
    """Whether the file keeps this matrix as (in, out)."""
    return match.rule.transpose and not stored.oriented and len(stored.shape) > 1


def _seen(tensors: Iterable[Stored], layout: Layout | None) -> dict[str, tuple[int, int]]:
    """(rows, columns) of the first tensor of each first role; of stacked experts, all rows together."""
    found: dict[str, tuple[int, int]] = {}
    for stored in tensors if layout else ():
        match = layout.match(stored.name) if layout else None
        if match is None or match.rule.roles[0] in found or match.rule.roles[0] == BUFFER:
            continue
        try:
            extent = oriented(stored.shape, match, turned=turned(stored, match))
        except Unsplittable:
            continue
        found[match.rule.roles[0]] = extent
    return found


def width_of(tensors: Iterable[Stored], layout: Layout | None) -> int:
    """Width of the residual stream: columns of the embeddings, unless norms and attention agree on another.

    Small models with large vocabularies project narrower embeddings (OPT-350m).
    """
    seen = _seen(tensors, layout)
    embed = seen.get("embed_tokens", (0, 0))[1]
    others = [seen[role][0] for role in ("input_norm", "final_norm", "o_proj") if role in seen]
    others += [seen["q_proj"][1]] if "q_proj" in seen else []
    if embed and not (len(others) > 1 and len(set(others)) == 1):
        return embed
    return others[0] if others else embed


def heads_of(
    config: Mapping[str, Any], tensors: Iterable[Stored], layout: Layout | None, width: int
) -> Heads:
    """Head counts as declared, and what the tensors themselves say of them."""
    heads = declared(config, "heads")
    seen = _seen(tensors, layout)
    norm = seen.get("q_norm", (0, 0))
    return Heads(
        heads=heads,
        kv_heads=declared(config, "kv_heads") or heads,
        head_dim=declared(config, "head_dim") or (width // heads if heads else 0),
        queries=seen.get("o_proj", (0, 0))[1],
        query_norm=norm[0] if norm[1] == 1 else 0,
        key_heads=declared(config, "linear_key_heads"),
        values=seen.get("linear_o_proj", (0, 0))[1],
    )


def grouped(tensors: Iterable[Stored]) -> Groups:
    """Tensors of one kind and shape put together."""
    found: dict[tuple[str, tuple[int, ...]], Group] = {}
    for stored in tensors:
        key = (skeleton(PREFIX.sub("", stored.name)), stored.shape)
        old = found.get(key, Group(stored, 0, 0))
        found[key] = Group(old.one, old.elements + stored.elements, old.count + 1)
    by_skeleton: dict[str, list[Group]] = {}
    for (bare, _), group in found.items():
        by_skeleton.setdefault(bare, []).append(group)
    every = found.values()
    return Groups(by_skeleton, sum(g.elements for g in every) or 1, sum(g.count for g in every) or 1)


def fit(layout: Layout, groups: Groups, config: Mapping[str, Any]) -> float:
    """Share of the elements, or of the tensors if that is less, whose shapes agree with what a layout says they are."""
    named = [g for bare in layout.rules for g in groups.by_skeleton.get(bare, ())]
    tensors = [group.one for group in named]
    width = width_of(tensors, layout)
    heads = heads_of(config, tensors, layout, width)
    agreeing = [g for g in named if _agrees(g.one, layout.match(g.one.name), heads, width)]
    return min(
        sum(g.elements for g in agreeing) / groups.elements, sum(g.count for g in agreeing) / groups.count
    )


def _agrees(stored: Stored, match: Match | None, heads: Heads, width: int) -> bool:
    if match is None or match.rule.roles[0] == BUFFER:
        return match is not None
    try:
        segments = cut("", stored.shape, "", match, heads, turned=turned(stored, match))
    except Unsplittable:
        return False
    return all(_fits(segment.spec, heads, width) for segment in segments)


def _fits(spec: TensorSpec, heads: Heads, width: int) -> bool:
    if spec.role in ("q_norm", "k_norm"):  # per head, or another role
        return spec.columns == 1 and (heads.heads == 1 or spec.rows < heads.queries)
    if spec.role in READS:
        return spec.columns == width
    return spec.role not in WRITES or spec.rows == width


def as_shaped(declared: Heads, specs: Sequence[TensorSpec]) -> Heads:
    """Head counts that fit the query and key matrices: as declared, else by the norm on queries, else zeros."""
    rows: dict[str, int] = {}
    for spec in specs:
        rows.setdefault(spec.role, spec.rows)
    queries, keys = rows.get("q_proj", 0), rows.get("k_proj", 0)
    if "kv_b_proj" in rows:  # latent attention: every head has its own key, as wide as its query
        queries = keys = rows.get("q_b_proj", queries)
        head_dim = queries // declared.heads if declared.heads else 0
        fits = head_dim and queries == head_dim * declared.heads and rows["kv_b_proj"] % declared.heads == 0
        return _heads(declared.heads, declared.heads, head_dim) if fits else _heads(0, 0, 0)
    if not queries:
        return declared
    shared_out = queries // declared.heads if declared.heads else 0
    for head_dim in (declared.head_dim, rows.get("q_norm", 0), shared_out):
        fits = head_dim and queries % head_dim == 0 and keys % head_dim == 0
        if fits and (head_dim != declared.head_dim or queries // head_dim == declared.heads):
            return _heads(queries // head_dim, keys // head_dim, head_dim)
    return _heads(0, 0, 0)


def _heads(heads: int, kv_heads: int, head_dim: int) -> Heads:
    return Heads(heads=heads, kv_heads=kv_heads, head_dim=head_dim)


def architecture(
    kind: str,
    layout: Layout | None,
    specs: Sequence[TensorSpec],
    config: Mapping[str, Any],
    heads: Heads,
    width: int,
) -> Architecture:
    """Sizes as the tensors show them."""
    layers = {s.layer for s in specs if s.layer is not None}
    embed = next((s for s in specs if s.role == "embed_tokens"), None)
    heads = as_shaped(heads, specs)
    roles = {s.role for s in specs}
    norm: Literal["rms", "layer", "unknown"] = "unknown"
    if layout and layout.norm != "unknown":
        norm = "layer" if layout.norm == "layer" else "rms"
    return Architecture(
        declared=kind,
        layout=layout.name if layout else "unknown",
        layers=len(layers),
        width=width,
        vocabulary=embed.rows if embed else declared(config, "vocabulary"),
        heads=heads.heads,
        kv_heads=heads.kv_heads,
        head_dim=heads.head_dim,
        experts=len({s.expert for s in specs if s.expert is not None}),
        glu="gate_proj" in roles,
        norm=norm,
        rope=layout.rope if layout else True,
        tied_embeddings=embed is not None and "lm_head" not in roles,
    )
