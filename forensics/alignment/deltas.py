"""What separates two blocks whose coordinates correspond: how much, where zeros came in, of which rank.

relative delta = Σ|X − Y| / Σ(|X| + |Y|): .056 for Qwen3-4B-Base to Instruct-2507 (Shadow-FT). Rank: singular values of
Δ = X − Y above √(noise) (√rows + √columns), the edge that rounding to the stored formats explains; Δ counts as of low
rank only if what is left below the edge is no more than that rounding. Δ is the same seen from either side, so that
its rank says how one came from the other, not which. Sources: methods §4.3 P0 and P7. Known defeat: any gauge; a full
fine-tune on top of an adapter hides its rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.blocks import Blocks, Floats32, meeting
from forensics.alignment.in_place import Placed, directions_in
from forensics.alignment.lattice import equal_share, rounding_steps, stored_as

MARGIN = 1.25
"""Singular values must pass the edge of rounding by this factor."""
LOW = 0.35
"""A rank above this share of a block's shorter side is not low."""

ALIKE = 1.5
"""Medians of cosines lie within this factor of their mean where everything agrees alike (1.1 measured)."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Met:
    """Two blocks that are compared."""

    role: str
    layers: tuple[int, int]
    experts: tuple[int, int]
    first: Floats32
    second: Floats32


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """What separates two blocks."""

    met: Met
    cosine: float
    relative: float
    equal: float
    """Share of equal entries, among those not zero on both sides."""
    zeros: tuple[float, float]
    """Share of entries that are zero on that side only."""
    filled: tuple[float, float]
    """Mean size of the other side's entries there, over the mean |Δ| of the rest (huge where the rest is equal)."""
    rank: int | None
    """Of Δ, where it is low; 0 where Δ is nothing but rounding."""
    left: Floats | None
    """Leading left singular vector of a Δ of low rank."""


def met(first: Blocks, second: Blocks, layers: Sequence[tuple[int, int]], roles: Sequence[str]) -> list[Met]:
    """Blocks of equal shape in paired layers; every expert meets the MLP where only one side has experts."""
    found = []
    for mine, theirs in layers:
        for role in roles:
            a = [e for kind, layer, e in first if (kind, layer) == (role, mine)]
            b = [e for kind, layer, e in second if (kind, layer) == (role, theirs)]
            for e, f in meeting(a, b):
                x, y = first[role, mine, e], second[role, theirs, f]
                if x.shape == y.shape:
                    found.append(Met(role=role, layers=(mine, theirs), experts=(e, f), first=x, second=y))
    return found


def delta_of(pair: Met) -> Delta:
    """Everything there is to say of one pair of blocks."""
    x, y = pair.first.astype(np.float64), pair.second.astype(np.float64)
    scale = max(float(np.abs(x).max()), float(np.abs(y).max()), 1e-300)
    x, y = x / scale, y / scale
    delta = x - y
    lengths = float(np.linalg.norm(x) * np.linalg.norm(y))
    gone = (x == 0) & (y != 0), (y == 0) & (x != 0)
    rest = ~(gone[0] | gone[1])
    moved = float(np.abs(delta[rest]).mean()) if rest.any() else 0.0
    filled = [float(np.abs(delta[g]).mean() / max(moved, 1e-9)) if g.any() else 0.0 for g in gone]
    rank, left = _rank(delta, _noise(pair) / scale**2)
    return Delta(
        met=pair,
        cosine=float(np.sum(x * y)) / lengths if lengths > 0.0 else 0.0,
        relative=float(np.abs(delta).sum() / max(float((np.abs(x) + np.abs(y)).sum()), 1e-300)),
        equal=equal_share(pair.first, pair.second),
        zeros=(float(gone[0].mean()), float(gone[1].mean())),
        filled=(filled[0], filled[1]),
        rank=rank,
        left=left,
    )


def plain_figures(pair: Met) -> tuple[float, float, float]:
    """Share of equal entries, share of equal signs (of entries that have one), relative delta."""
    x, y = pair.first, pair.second
    signed = (x != 0) & (y != 0)
    with np.errstate(over="ignore"):
        size = float(np.abs(x).sum(dtype=np.float64) + np.abs(y).sum(dtype=np.float64))
        apart = float(np.abs(x.astype(np.float64) - y).sum())
    same = float(np.mean(np.signbit(x[signed]) == np.signbit(y[signed]))) if signed.any() else 0.0
    return equal_share(x, y), same, apart / max(size, 1e-300)


def plain_rows(
    placed: Placed, pairs: Sequence[tuple[int, int]], sides: tuple[Blocks, Blocks]
) -> tuple[tuple[float | int | None, ...], ...]:
    """Per pair of layers: both numbers, the mean cosine of each matrix, then means of `plain_figures`."""
    rows = []
    for i, j in pairs:
        layers = placed.mine[i], placed.theirs[j]
        cosines = [c[i, j].mean() if np.isfinite(c[i, j]).all() else None for c in placed.products.values()]
        figures = np.mean(
            [plain_figures(pair) for pair in met(*sides, [layers], tuple(placed.products))], axis=0
        )
        cells = (None if cell is None else round(float(cell), 4) for cell in (*cosines, *figures))
        rows.append((*layers, *cells))
    return tuple(rows)


def agree_alike(pairs: Sequence[Met]) -> bool:
    """Whether the rows of a matrix agree about alike, and so its columns: medians of cosines near their mean.

    So two trainings from one initialisation leave them. Where neurons, heads or channels were moved or turned, some
    rows or columns agree fully and others not at all, and their median is far from the mean.
    """
    by_role: dict[tuple[str, int], list[Floats]] = {}
    for pair in pairs:
        for axis, (x, y) in enumerate(((pair.first, pair.second), (pair.first.T, pair.second.T))):
            cosines = np.vecdot(directions_in(pair.role, x), directions_in(pair.role, y))
            by_role.setdefault((pair.role, axis), []).append(cosines)
    found = [np.concatenate(cosines) for cosines in by_role.values()]
    middles = [(float(cosines.mean()), float(np.median(cosines))) for cosines in found]
    return bool(middles) and all(0.0 < mean / ALIKE <= median <= mean * ALIKE for mean, median in middles)


def _noise(pair: Met) -> float:
    """Mean square of what rounding either side to its format adds to Δ: the coarser side's step squared over 12."""
    sides = (pair.first, pair.second)
    return max(float(np.mean(rounding_steps(side, stored_as(side)) ** 2)) / 12.0 for side in sides)


def _rank(delta: Floats, noise: float) -> tuple[int | None, Floats | None]:
    """The rank of Δ above rounding if it is low, and its leading left singular vector."""
    energy = float(np.sum(delta**2))
    expected = noise * delta.size
    if energy <= 1.5 * expected:
        return 0, None
    left, values, _ = np.linalg.svd(delta, full_matrices=False)
    edge = MARGIN * np.sqrt(noise) * float(np.sum(np.sqrt(delta.shape)))
    rank = int(np.count_nonzero(values > max(edge, 1e-6 * float(values[0]))))
    below = float(np.sum(values[rank:] ** 2))
    clean = below <= 1.5 * expected + 1e-9 * energy and energy > 3.0 * expected
    if not clean or not 0 < rank <= LOW * min(delta.shape):
        return None, None
    return rank, np.asarray(left[:, 0], np.float64)


def one_direction(deltas: Sequence[Delta]) -> bool:
    """Whether all outputs into the residual stream changed along one direction: rank 1, the same left vector.

    Removing a direction from what layers write (abliteration) leaves this; at least three such blocks are asked for.
    """
    found = [
        d.left for d in deltas if d.met.role in {"o_proj", "down_proj"} and d.rank == 1 and d.left is not None
    ]
    if len(found) < 3 or len({one.size for one in found}) > 1:
        return False
    stack = np.stack(found)
    return bool((np.abs(stack @ stack[0]) > 0.9).all())
