"""From stored names and shapes to canonical tensors: the plan by which a checkpoint is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from forensics.checkpoint.assembly import assembled
from forensics.checkpoint.codec import Codec, Patched, Plain, Turned, Unpaired
from forensics.checkpoint.config import declared, model_type
from forensics.checkpoint.layout import BUFFER, Layout, Match, choose
from forensics.checkpoint.segments import Heads, Segment, Unsplittable, cut, oriented
from forensics.checkpoint.stored import Entry, Stored, WeightFile
from forensics.probe import TensorSpec
from forensics.records import Architecture, Unexamined

UNIT_LIMIT = 1 << 28
"""Stored bytes of what can only be decoded together (a row, a transposed matrix, an expert); more is listed as
unexamined, so that memory stays bounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """One tensor: where it lies and what its rows are; no segments where it cannot be used."""

    stored: Stored
    codec: Codec | None
    """The tensor's own, turned and reordered as the layout says, so that its rows are canonical."""
    segments: tuple[Segment, ...]
    buffer: bool
    gain_offset: float = 0.0

    @property
    def file(self) -> int:
        """Index of the file that holds its rows."""
        return self.stored.file

    @property
    def entry(self) -> Entry:
        """The bytes of its rows."""
        return self.stored.entry


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


def _width(tensors: Iterable[Stored], layout: Layout | None) -> int:
    """Width of the residual stream by the tensors: columns of the embeddings, else length of a norm."""
    lengths: dict[str, int] = {}
    for stored in tensors:
        match = layout.match(stored.name) if layout else None
        if match and match.rule.roles[0] in ("embed_tokens", "input_norm", "final_norm"):
            lengths.setdefault(match.rule.roles[0], stored.shape[-1] if stored.shape else 0)
    return lengths.get("embed_tokens") or lengths.get("input_norm") or lengths.get("final_norm") or 0


def plan_for(
    files: Sequence[WeightFile],
    config: Mapping[str, Any],
    layouts: Iterable[Layout],
    tensors: Sequence[Stored] | None = None,
) -> Plan:
    """The plan over all files; an unknown architecture gives a plan with everything unexamined, not an error."""
    tensors = tensors if tensors is not None else assembled(files, config)
    kind = model_type(config)
    layout, _ = choose(((t.name, t.elements) for t in tensors), kind, layouts)
    width = _width(tensors, layout) or declared(config, "width")
    heads = _heads(config, width)
    cut_off = [e for f in files for e in f.missing]
    left = [Unexamined(name=e.name[:200], reason="beyond the end of its file") for e in cut_off]
    left += [Unexamined(name=e.name[:200], reason=reason) for f in files for e, reason in f.refused]
    planned = []
    taken: set[tuple[str, int | None, int | None]] = set()
    for stored in tensors:
        match = layout.match(stored.name) if layout else None
        codec, segments, reason = _segments(stored, match, heads, taken)
        buffer = match is not None and match.rule.roles[0] == BUFFER
        if reason and not buffer:
            left.append(Unexamined(name=stored.name[:200], reason=reason))
        gain = match is not None and match.rule.roles[0].endswith("norm") and layout is not None
        planned.append(
            Planned(
                stored=stored, codec=codec, segments=segments, buffer=buffer,
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


Planning: TypeAlias = tuple[Codec | None, tuple[Segment, ...], str]


def _segments(
    stored: Stored, match: Match | None, heads: Heads, taken: set[tuple[str, int | None, int | None]]
) -> Planning:
    """Codec and segments of a tensor, or why there are none."""
    if match is None:
        return None, (), "name not recognised"
    if match.rule.roles[0] == BUFFER:
        return None, (), "buffer"
    if stored.refused:
        return None, (), stored.refused
    turned = match.rule.transpose and not stored.oriented and len(stored.shape) > 1
    try:
        rows, columns = oriented(stored.shape, match, turned=turned)
        segments = tuple(cut(stored.name[:200], stored.shape, stored.precision, match, heads, turned=turned))
        codec = _codec(stored, match, (rows, columns), heads, turned=turned)
    except Unsplittable as error:
        return None, (), str(error)
    if codec.unit_bytes > UNIT_LIMIT:
        return None, (), "one part of it is too large to hold"
    keys = {(s.spec.role, s.spec.layer, s.spec.expert) for s in segments}
    if keys & taken:
        return None, (), "second tensor for the same role"
    taken |= keys
    return codec, segments, ""


def _codec(stored: Stored, match: Match, extent: tuple[int, int], heads: Heads, *, turned: bool) -> Codec:
    """What decodes the tensor into canonical rows of `extent`."""
    rows, columns = extent
    codec = stored.codec
    if turned:
        if not isinstance(codec, Plain):
            raise Unsplittable(f"stored transposed as {stored.precision}, which is not turned yet")
        unit = rows // stored.shape[0] if len(stored.shape) == 3 else rows
        codec = Turned(codec.dtype, columns, unit)
    elif isinstance(codec, Plain):
        codec = Plain(codec.dtype, columns)  # vectors are columns, stacks are unrolled
    if codec is None or codec.columns != columns:
        raise Unsplittable("its shape does not fit how it is stored")
    if match.rule.paired and heads.head_dim:
        if rows % heads.head_dim or heads.head_dim % 2:
            raise Unsplittable(f"{rows} rows are no whole heads of {heads.head_dim}")
        codec = Unpaired(codec, heads.head_dim)
    if rows % codec.unit_rows:
        raise Unsplittable(f"{rows} rows do not fit how it is stored")
    if stored.patch is not None:
        if stored.patch.extent != extent:
            raise Unsplittable(f"an adapter for {stored.patch.extent} does not fit a matrix of {extent}")
        return Patched(codec, stored.patch)
    return codec


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
