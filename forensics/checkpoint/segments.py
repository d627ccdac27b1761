"""Fused, stacked and interleaved tensors cut into canonical ones: which stored rows are whose."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from forensics.checkpoint.layout import Match
from forensics.probe import TensorSpec

HEADS_LIMIT = 4_096
EXPERTS_LIMIT = 4_096
"""More of them than any model has would only cost memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heads:
    """What is needed to cut fused attention tensors; zeros where unknown."""

    heads: int
    kv_heads: int
    head_dim: int
    queries: int = 0
    """Rows of all queries together, by the columns of the attention output."""
    query_norm: int = 0
    """Length of the norm on queries, where it is per head."""
    key_heads: int = 0
    """Key heads of linear attention."""
    values: int = 0
    """Rows of all values of linear attention together, by the columns of its output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Rows `start`, `start + step`, … (`rows` of them) of a stored matrix are rows `at` … of the tensor `spec`."""

    spec: TensorSpec
    start: int
    rows: int
    at: int
    step: int = 1

    @property
    def stop(self) -> int:
        """Behind its last stored row."""
        return self.start + (self.rows - 1) * self.step + 1

    def within(self, first: int, count: int) -> tuple[slice, int] | None:
        """Which of the stored rows `first` … `first + count` are its own, and the first of them as a canonical row."""
        begin = max(0, -(-(first - self.start) // self.step))
        end = min(self.rows, -(-(first + count - self.start) // self.step))
        if begin >= end:
            return None
        low = self.start + begin * self.step - first
        return slice(low, low + (end - begin - 1) * self.step + 1, self.step), self.at + begin


class Unsplittable(Exception):  # noqa: N818 - a reason to leave a tensor out
    """A stored tensor's shape does not fit what its name says; the message is the reason."""


def oriented(shape: tuple[int, ...], match: Match, *, turned: bool) -> tuple[int, int]:
    """(rows, columns) of the stored tensor seen as canonical rows: stacked experts unrolled, vectors as columns.

    `turned` says that the file keeps matrices as (in, out).
    """
    if match.rule.split.startswith("experts"):
        if len(shape) == 2 and match.rule.roles[0].endswith("_bias"):
            return shape[0] * shape[1], 1
        if len(shape) == 3:
            rows, columns = (shape[2], shape[1]) if turned else (shape[1], shape[2])
            return shape[0] * rows, columns
    elif len(shape) == 3 and shape[1] == 1 and match.rule.roles[0].endswith("_conv"):
        return shape[0], shape[2]
    elif len(shape) == 1:
        return shape[0], 1
    elif len(shape) == 2:
        return (shape[1], shape[0]) if turned else (shape[0], shape[1])
    raise Unsplittable(f"unexpected number of dimensions ({len(shape)})")


def cut(
    name: str, shape: tuple[int, ...], dtype: str, match: Match, heads: Heads, *, turned: bool
) -> list[Segment]:
    """Segments of one stored tensor in row order; Unsplittable where shape and name disagree."""
    rows, columns = oriented(shape, match, turned=turned)
    if not rows or not columns:
        raise Unsplittable("empty tensor")
    rule = match.rule
    if rule.split.startswith("experts"):
        parts = _expert_parts(rule.split, rule.roles, shape[0], rows // shape[0])
    else:
        parts = _parts(rule.split, rule.roles, (rows, columns), heads, match.expert)
    totals: dict[tuple[str, int | None], int] = {}
    for role, expert, count in parts:
        totals[role, expert] = totals.get((role, expert), 0) + count
    specs = {
        key: TensorSpec(
            role=key[0],
            layer=match.layer,
            expert=key[1],
            rows=total,
            columns=columns,
            dtype=dtype,
            source=name,
        )
        for key, total in totals.items()
    }
    segments, start, filled = [], 0, dict.fromkeys(totals, 0)
    step = len(rule.roles) if rule.split.endswith("interleaved") else 1
    for index, (role, expert, count) in enumerate(parts):
        key = (role, expert)
        first = start - index % step * (count - 1)  # interleaved roles begin beside each other
        segments.append(Segment(spec=specs[key], start=first, rows=count, at=filled[key], step=step))
        start += count
        filled[key] += count
    if start != rows:
        raise Unsplittable(f"{rows} rows where {start} were expected")
    return segments


Part: TypeAlias = tuple[str, int | None, int]
"""(role, expert, rows), in stored order."""


def _parts(
    split: str, roles: tuple[str, ...], extent: tuple[int, int], heads: Heads, expert: int | None
) -> list[Part]:
    """Parts of a tensor of `extent` (rows, columns)."""
    rows = extent[0]
    match split:
        case "halves":
            if rows % 2:
                raise Unsplittable(f"{rows} rows cannot be halved")
            return [(role, expert, rows // 2) for role in roles]
        case "qkv":
            q, kv = _fused(rows, heads) or _thirds(extent, heads)
            return [(roles[0], expert, q), (roles[1], expert, kv), (roles[2], expert, kv)]
        case "qkv-per-head":
            if not heads.head_dim or rows != 3 * heads.heads * heads.head_dim or heads.heads > HEADS_LIMIT:
                raise Unsplittable(f"{rows} interleaved rows do not fit {heads.heads} heads")
            return [(role, expert, heads.head_dim) for _ in range(heads.heads) for role in roles]
        case "qkv-grouped":
            return _grouped_heads(roles, rows, heads, expert)
        case "heads-halves":
            return _gated_heads(roles, rows, heads, expert)
        case "linear-qkv" | "linear-qkvz" | "linear-ba":
            return _linear(split, roles, rows, heads)
        case _:
            return [(roles[0], expert, rows)]


def _fused(rows: int, heads: Heads) -> tuple[int, int] | None:
    """Rows of queries and of keys: by the attention output, else by the declared heads, else as many as are left."""
    q, kv = heads.heads * heads.head_dim, heads.kv_heads * heads.head_dim
    if heads.queries:
        q, kv = heads.queries, (rows - heads.queries) // 2
    elif q and q + 2 * kv != rows:  # falcon and its kin declare key heads that they do not have
        kv = (rows - q) // 2
    return (q, kv) if q > 0 and kv > 0 and q + 2 * kv == rows and q % kv == 0 else None


def _thirds(extent: tuple[int, int], heads: Heads) -> tuple[int, int]:
    """Without head counts that fit, only equal thirds are plain."""
    rows, columns = extent
    if rows % 3 or columns not in (1, rows // 3):
        raise Unsplittable(f"{rows} fused rows do not fit {heads.heads}+2x{heads.kv_heads} heads")
    return rows // 3, rows // 3


def _grouped_heads(roles: tuple[str, ...], rows: int, heads: Heads, expert: int | None) -> list[Part]:
    """Per key head: its queries, the key, the value (InternLM2, Falcon; with one key head also the old Falcon)."""
    sizes, head_dim = _fused(rows, heads), heads.head_dim
    if sizes is None or not head_dim or sizes[1] % head_dim or sizes[1] // head_dim > HEADS_LIMIT:
        raise Unsplittable(f"{rows} grouped rows do not fit {heads.heads} heads")
    groups, group = sizes[1] // head_dim, sizes[0] // (sizes[1] // head_dim)
    return [
        (role, expert, n)
        for _ in range(groups)
        for role, n in zip(roles, (group, head_dim, head_dim), strict=True)
    ]


def _gated_heads(roles: tuple[str, ...], rows: int, heads: Heads, expert: int | None) -> list[Part]:
    """Per head: its query, the gate on its output (Qwen3-Next); a tensor of queries alone has no gate."""
    if heads.queries == rows:
        return [(roles[0], expert, rows)]
    head_dim = heads.query_norm or heads.head_dim
    if not head_dim or rows % (2 * head_dim) or rows // 2 != (heads.queries or rows // 2):
        raise Unsplittable(f"{rows} rows do not fit queries and gates of {heads.heads} heads")
    if rows // head_dim > 2 * HEADS_LIMIT:
        raise Unsplittable(f"{rows // head_dim} heads")
    return [(role, expert, head_dim) for _ in range(rows // (2 * head_dim)) for role in roles]


def _linear(split: str, roles: tuple[str, ...], rows: int, heads: Heads) -> list[Part]:
    """Fused inputs of linear attention: one after the other (Qwen3.5), or per key head (Qwen3-Next)."""
    values, groups = heads.values, heads.key_heads
    if split == "linear-qkv":
        keys = (rows - values) // 2
        if not values or keys <= 0 or 2 * keys + values != rows:
            raise Unsplittable(f"{rows} fused rows do not fit {values} values")
        return [(roles[0], None, keys), (roles[1], None, keys), (roles[2], None, values)]
    sizes = [rows // 2 - values] * 2 + [values] * 2 if split == "linear-qkvz" else [rows // 2] * 2
    if not 0 < groups <= HEADS_LIMIT or any(n <= 0 or n % groups for n in sizes) or sum(sizes) != rows:
        raise Unsplittable(f"{rows} grouped rows do not fit {groups} key heads")
    return [(role, None, n // groups) for _ in range(groups) for role, n in zip(roles, sizes, strict=True)]


def _expert_parts(split: str, roles: tuple[str, ...], experts: int, per_expert: int) -> list[Part]:
    if experts > EXPERTS_LIMIT:
        raise Unsplittable(f"{experts} experts")
    if split == "experts":
        return [(roles[0], e, per_expert) for e in range(experts)]
    if per_expert % 2:
        raise Unsplittable(f"{per_expert} rows per expert cannot be halved")
    return [(role, e, per_expert // 2) for e in range(experts) for role in roles]
