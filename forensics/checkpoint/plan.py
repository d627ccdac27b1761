"""From stored names and shapes to canonical tensors: the plan by which a checkpoint is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from forensics.checkpoint.config import declared, model_type
from forensics.checkpoint.convert import ITEM_BYTES
from forensics.checkpoint.layout import BUFFER, Layout, Match, choose
from forensics.checkpoint.safetensors_file import Entry, SafetensorsFile
from forensics.checkpoint.segments import Heads, Segment, Unsplittable, cut
from forensics.probe import TensorSpec
from forensics.records import Architecture, Unexamined

TRANSPOSED_LIMIT = 1 << 28
"""Bytes of a transposed tensor that are held at once; a larger one is listed as unexamined. GPT-2's largest has 41 MB;
converted and turned, a tensor takes up to five times its size."""
ROW_LIMIT = 1 << 26
"""Bytes of one row; a longer row is listed as unexamined, so that memory stays bounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One stored tensor: where it lies and what its rows are; no segments where it cannot be used."""

    file: int
    entry: Entry
    segments: tuple[Segment, ...]
    transpose: bool
    buffer: bool
    gain_offset: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Every stored tensor in file order, the canonical tensors they make, and what is left over."""

    layout: Layout | None
    architecture: Architecture
    tensors: tuple[Planned, ...]
    specs: tuple[TensorSpec, ...]
    unexamined: tuple[Unexamined, ...]


def _heads(config: Mapping[str, Any], width: int) -> Heads:
    heads = declared(config, "heads")
    kv_heads = declared(config, "kv_heads") or heads
    head_dim = declared(config, "head_dim") or (width // heads if heads else 0)
    return Heads(heads=heads, kv_heads=kv_heads, head_dim=head_dim)


def _width(entries: Iterable[Entry], layout: Layout | None) -> int:
    """Width of the residual stream by the tensors: columns of the embeddings, else length of a norm."""
    lengths: dict[str, int] = {}
    for entry in entries:
        match = layout.match(entry.name) if layout else None
        if match and match.rule.roles[0] in ("embed_tokens", "input_norm", "final_norm"):
            lengths.setdefault(match.rule.roles[0], entry.shape[-1] if entry.shape else 0)
    return lengths.get("embed_tokens") or lengths.get("input_norm") or lengths.get("final_norm") or 0


def plan_for(files: Sequence[SafetensorsFile], config: Mapping[str, Any], layouts: Iterable[Layout]) -> Plan:
    """The plan over all files; an unknown architecture gives a plan with everything unexamined, not an error."""
    entries = [(i, e) for i, f in enumerate(files) for e in f.entries]
    kind = model_type(config)
    layout, _ = choose(((e.name, e.elements) for _, e in entries), kind, layouts)
    width = _width((e for _, e in entries), layout) or declared(config, "width")
    heads = _heads(config, width)
    cut_off = [e for f in files for e in f.missing]
    left = [Unexamined(name=e.name[:200], reason="beyond the end of its file") for e in cut_off]
    planned = []
    taken: set[tuple[str, int | None, int | None]] = set()
    for index, entry in entries:
        match = layout.match(entry.name) if layout else None
        segments, reason = _segments(entry, match, heads, taken)
        buffer = match is not None and match.rule.roles[0] == BUFFER
        if reason and not buffer:
            left.append(Unexamined(name=entry.name[:200], reason=reason))
        gain = match is not None and match.rule.roles[0].endswith("norm") and layout is not None
        planned.append(
            Planned(
                file=index, entry=entry, segments=segments, buffer=buffer,
                transpose=match is not None and match.rule.transpose and len(entry.shape) == 2,
                gain_offset=layout.gain_offset(kind) if gain and layout else 0.0,
            )
        )  # fmt: skip
    specs = tuple({id(s.spec): s.spec for p in planned for s in p.segments}.values())
    return Plan(
        layout=layout,
        architecture=_architecture(kind, layout, specs, config, heads, width),
        tensors=tuple(planned),
        specs=specs,
        unexamined=tuple(left),
    )


def _segments(
    entry: Entry, match: Match | None, heads: Heads, taken: set[tuple[str, int | None, int | None]]
) -> tuple[tuple[Segment, ...], str]:
    """Segments of a tensor, or why there are none."""
    if match is None:
        return (), "name not recognised"
    if match.rule.roles[0] == BUFFER:
        return (), "buffer"
    size = ITEM_BYTES.get(entry.dtype)
    if size is None:
        return (), f"stored as {entry.dtype}, which is not dequantised yet"
    try:
        segments = tuple(cut(entry.name[:200], entry.shape, entry.dtype.lower(), match, heads))
    except Unsplittable as error:
        return (), str(error)
    if match.rule.transpose and entry.end - entry.begin > TRANSPOSED_LIMIT:
        return (), "transposed and too large to hold"
    if segments[0].spec.columns * size > ROW_LIMIT:
        return (), "one row is too long to hold"
    keys = {(s.spec.role, s.spec.layer, s.spec.expert) for s in segments}
    if keys & taken:
        return (), "second tensor for the same role"
    taken |= keys
    return segments, ""


def _as_shaped(declared: Heads, specs: Sequence[TensorSpec]) -> Heads:
    """Head counts that fit the query and key matrices: as declared, else by the norm on queries, else zeros."""
    rows: dict[str, int] = {}
    for spec in specs:
        rows.setdefault(spec.role, spec.rows)
    queries, keys = rows.get("q_proj", 0), rows.get("k_proj", 0)
    if not queries:
        return declared
    shared_out = queries // declared.heads if declared.heads else 0
    for head_dim in (declared.head_dim, rows.get("q_norm", 0), shared_out):
        fits = head_dim and queries % head_dim == 0 and keys % head_dim == 0
        if fits and (head_dim != declared.head_dim or queries // head_dim == declared.heads):
            return Heads(heads=queries // head_dim, kv_heads=keys // head_dim, head_dim=head_dim)
    return Heads(heads=0, kv_heads=0, head_dim=0)


def _architecture(
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
    heads = _as_shaped(heads, specs)
    roles = {s.role for s in specs}
    norm: Literal["rms", "layer", "unknown"] = "unknown"
    if layout:
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
