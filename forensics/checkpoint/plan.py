"""From stored names and shapes to canonical tensors: the plan by which a checkpoint is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from forensics.checkpoint.apart import FURTHER_REASON, Aside, further, further_layers, spared, tower
from forensics.checkpoint.assembly import assembled
from forensics.checkpoint.choosing import choose
from forensics.checkpoint.codec import Codec, Patched, Plain, Turned, Unpaired
from forensics.checkpoint.config import declared, model_type
from forensics.checkpoint.dimensions import architecture, fit, grouped, heads_of, turned, width_of
from forensics.checkpoint.generic import generic_layout
from forensics.checkpoint.layout import BUFFER, Layout, Match
from forensics.checkpoint.segments import Heads, Segment, Unsplittable, cut, oriented
from forensics.checkpoint.stored import Entry, Stored, WeightFile
from forensics.probe import TensorSpec
from forensics.records import Architecture, Unexamined

REASONABLE = 0.5
"""Share of the elements below which no known layout counts as fitting."""
PARTS_LIMIT = 200_000
"""Parts of all fused and stacked tensors together (Kimi K2 has 70,000), so that small files make no endless lists."""
NUMBER_LIMIT = 4_096
"""Highest number of a layer or an expert, so that nothing is made as long as a number in a name says."""
UNIT_LIMIT = 1 << 28
"""Stored bytes of what can only be decoded together (a row, a transposed matrix, an expert); more is listed as
unexamined, so that memory stays bounded."""
COLUMNS_LIMIT = 1 << 22
"""Numbers in a row; whoever looks at rows sees at least one whole, and no model's are a hundredth as long."""


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
    heads: Heads
    """By which fused tensors were cut."""
    apart: int = 0
    """Elements that are no part of the language model and do not count in its coverage."""
    problems: tuple[tuple[str, str], ...] = ()
    """(code, message) of what stands out."""


def plan_for(
    files: Sequence[WeightFile],
    config: Mapping[str, Any],
    layouts: Iterable[Layout],
    tensors: Sequence[Stored] | None = None,
) -> Plan:
    """The plan over all files; an unknown architecture gives a plan with everything unexamined, not an error."""
    tensors = tensors if tensors is not None else assembled(files, config)
    kind = model_type(config)
    layout = _layout(tensors, kind, layouts, config)
    width = width_of(tensors, layout) or declared(config, "width")
    heads = heads_of(config, tensors, layout, width)
    left = _not_there(files)
    aside, apart = Aside(), 0
    planned = []
    reading = _Reading(heads=heads, further=further_layers(t.name for t in tensors))
    for stored in tensors:
        match = layout.match(stored.name) if layout else None
        codec, segments, reason = _segments(stored, match, reading)
        role = match.rule.roles[0] if match else ""
        module = "" if match else tower(stored.name)
        if module:
            aside.add(module, "not a part of the language model", stored.elements)
            apart += stored.elements
        elif not segments and (module := further(stored.name, reading.further)):
            aside.add(module, FURTHER_REASON, stored.elements)
        elif reason and role != BUFFER:
            left.append(Unexamined(name=stored.name[:200], reason=reason))
        planned.append(
            Planned(
                stored=stored, codec=codec, segments=segments, buffer=role == BUFFER,
                gain_offset=layout.gain_offset(kind, role) if layout else 0.0,
            )
        )  # fmt: skip
    planned, disputed = _undisputed(planned, reading.disputed)
    left += disputed
    specs = tuple({id(s.spec): s.spec for p in planned for s in p.segments}.values())
    recognised = sum(p.stored.elements for p in planned if p.segments)
    return Plan(
        layout=layout,
        architecture=architecture(kind, layout, specs, config, heads, width),
        tensors=tuple(planned),
        specs=specs,
        unexamined=(*aside.listed(), *left),
        heads=heads,
        apart=apart if spared(apart, recognised) else 0,
        problems=_told(apart, recognised, sum(t.elements for t in tensors)),
    )


def _layout(
    tensors: Sequence[Stored], kind: str, layouts: Iterable[Layout], config: Mapping[str, Any]
) -> Layout | None:
    """The layout that names and shapes fit best; where none knows half of the elements, what the names suggest."""
    groups = grouped(tensors)
    of_language = [(t.name, t.elements) for t in tensors if not tower(t.name)]
    known = tuple(layouts)
    layout, share = choose(of_language, kind, known, lambda one: fit(one, groups, config))
    if share < REASONABLE:
        guessed = generic_layout(tensors)
        guess, better = choose(of_language, kind, [guessed] if guessed else [])
        if better > share:
            return guess
    return layout


def _not_there(files: Sequence[WeightFile]) -> list[Unexamined]:
    """What the files declare and do not hold, or hold and cannot be used."""
    cut_off = [e for f in files for e in f.missing]
    left = [Unexamined(name=e.name[:200], reason="beyond the end of its file") for e in cut_off]
    return left + [Unexamined(name=e.name[:200], reason=reason) for f in files for e, reason in f.refused]


def _told(apart: int, recognised: int, total: int) -> tuple[tuple[str, str], ...]:
    """That something lies beside the language model, as (code, message)."""
    if not apart:
        return ()
    counted = "not counted in the coverage" if spared(apart, recognised) else "counted in the coverage"
    message = f"{apart / total:.1%} of the parameters are named as no part of a language model: not examined, {counted}"
    return (("BESIDE_LANGUAGE", message),)


Key: TypeAlias = tuple[str, int | None, int | None]
"""(role, layer, expert)."""


@dataclass(slots=True, kw_only=True)
class _Reading:
    """What cutting any tensor of a checkpoint depends on."""

    heads: Heads
    further: frozenset[int]
    """Layers for multi-token prediction."""
    taken: dict[Key, tuple[int, int, int]] = field(default_factory=dict)
    """What was met so far, and the (file, begin, end) where it lies."""
    disputed: set[Key] = field(default_factory=set)
    """What tensors at two places claim to be."""
    parts: int = 0
    """Of fused and stacked tensors so far."""


Planning: TypeAlias = tuple[Codec | None, tuple[Segment, ...], str]


def _segments(stored: Stored, match: Match | None, reading: _Reading) -> Planning:
    """Codec and segments of a tensor, or why there are none."""
    obstacle = _obstacle(stored, match, reading)
    if match is None or obstacle:
        return None, (), obstacle
    heads, flip = reading.heads, turned(stored, match)
    try:
        extent = oriented(stored.shape, match, turned=flip)
        segments = tuple(cut(stored.name[:200], stored.shape, stored.precision, match, heads, turned=flip))
        codec = _codec(stored, match, extent, heads)
    except Unsplittable as error:
        return None, (), str(error)
    if codec.unit_bytes > UNIT_LIMIT or codec.columns > COLUMNS_LIMIT:
        return None, (), "one part of it is too large to hold"
    keys = {(s.spec.role, s.spec.layer, s.spec.expert) for s in segments}
    place = (stored.file, stored.entry.begin, stored.entry.end)
    if met := keys & reading.taken.keys():
        reading.disputed |= {key for key in met if reading.taken[key] != place}
        return None, (), "second tensor for the same role"
    if len(segments) > 1 and reading.parts + len(segments) > PARTS_LIMIT:
        return None, (), "too many parts"
    reading.parts += len(segments) if len(segments) > 1 else 0
    reading.taken.update(dict.fromkeys(keys, place))
    return codec, segments, ""


def _undisputed(planned: list[Planned], disputed: set[Key]) -> tuple[list[Planned], list[Unexamined]]:
    """Without tensors whose role another one claims too: names do not tell which of the two a loader takes."""
    lost = [p for p in planned if disputed & {(s.spec.role, s.spec.layer, s.spec.expert) for s in p.segments}]
    reason, gone = "first of two tensors for the same role", {id(p) for p in lost}
    kept = [replace(p, codec=None, segments=()) if id(p) in gone else p for p in planned]
    return kept, [Unexamined(name=p.stored.name[:200], reason=reason) for p in lost]


def _obstacle(stored: Stored, match: Match | None, reading: _Reading) -> str:
    """Why a tensor is not even tried; empty if it is."""
    if match is None:
        return "name not recognised"
    if match.rule.roles[0] == BUFFER:
        return "buffer"
    if match.layer in reading.further:
        return FURTHER_REASON
    if max(match.layer or 0, match.expert or 0) >= NUMBER_LIMIT:
        return "no model has so many layers or experts"
    return stored.refused


def _codec(stored: Stored, match: Match, extent: tuple[int, int], heads: Heads) -> Codec:
    """What decodes the tensor into canonical rows of `extent`."""
    rows, columns = extent
    codec = stored.codec
    if turned(stored, match):
        if not isinstance(codec, (Plain, Turned)):
            raise Unsplittable(f"stored transposed as {stored.precision}, which is not turned yet")
        unit = rows // stored.shape[0] if len(stored.shape) == 3 else rows
        twice = isinstance(codec, Turned)  # a view of rows that are canonical as they lie
        codec = Plain(codec.dtype, columns) if twice else Turned(codec.dtype, columns, unit)
    elif isinstance(codec, Plain):
        codec = Plain(codec.dtype, columns)  # vectors are columns, stacks are unrolled
    if codec is None or codec.columns != columns:
        raise Unsplittable("its shape does not fit how it is stored")
    if match.rule.paired:
        if not heads.head_dim or rows % heads.head_dim or heads.head_dim % 2:
            raise Unsplittable(f"{rows} rows are no whole heads of {heads.head_dim}")
        codec = Unpaired(codec, heads.head_dim)
    if rows % codec.unit_rows:
        raise Unsplittable(f"{rows} rows do not fit how it is stored")
    if stored.patch is not None:
        if stored.patch.extent != extent:
            raise Unsplittable(f"an adapter for {stored.patch.extent} does not fit a matrix of {extent}")
        return Patched(codec, stored.patch)
    return codec
