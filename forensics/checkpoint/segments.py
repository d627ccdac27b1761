"""Fused, stacked and interleaved tensors cut into canonical ones: which stored rows are whose."""

from __future__ import annotations

from dataclasses import dataclass

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
        if len(shape) == 3:
            rows, columns = (shape[2], shape[1]) if turned else (shape[1], shape[2])
            return shape[0] * rows, columns
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


def _parts(
    split: str, roles: tuple[str, ...], extent: tuple[int, int], heads: Heads, expert: int | None
) -> list[tuple[str, int | None, int]]:
    """(role, expert, rows) in stored order, for a tensor of `extent` (rows, columns)."""
    rows, columns = extent
    match split:
        case "halves":
            if rows % 2:
                raise Unsplittable(f"{rows} rows cannot be halved")
            return [(role, expert, rows // 2) for role in roles]
        case "qkv":
            q, kv = heads.heads * heads.head_dim, heads.kv_heads * heads.head_dim
            if (
                not q or not kv or q + 2 * kv != rows
            ):  # without head counts that fit, only equal thirds are plain
                if rows % 3 or columns not in (1, rows // 3):
                    raise Unsplittable(f"{rows} fused rows do not fit {heads.heads}+2x{heads.kv_heads} heads")
                q = kv = rows // 3
            return [(roles[0], expert, q), (roles[1], expert, kv), (roles[2], expert, kv)]
        case "qkv-per-head":
            if not heads.head_dim or rows != 3 * heads.heads * heads.head_dim or heads.heads > HEADS_LIMIT:
                raise Unsplittable(f"{rows} interleaved rows do not fit {heads.heads} heads")
            return [(role, expert, heads.head_dim) for _ in range(heads.heads) for role in roles]
        case _:
            return [(roles[0], expert, rows)]


def _expert_parts(
    split: str, roles: tuple[str, ...], experts: int, per_expert: int
) -> list[tuple[str, int | None, int]]:
    if experts > EXPERTS_LIMIT:
        raise Unsplittable(f"{experts} experts")
    if split == "experts":
        return [(roles[0], e, per_expert) for e in range(experts)]
    if per_expert % 2:
        raise Unsplittable(f"{per_expert} rows per expert cannot be halved")
    return [(role, e, per_expert // 2) for e in range(experts) for role in roles]
