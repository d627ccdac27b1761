"""Grids that weights lie on: number formats, codebooks and evenly spaced steps, read off the values themselves.

A quantised matrix is known by its values: few distinct ones per group (4-bit codes, normal floats, 8-bit floats), or
all of them multiples of one step (8-bit integers, block formats). The step of a group v is the peak of
P(f) = |Σ exp(2πi f v)| / n over frequencies f = 1 / step, which an offset (zero point) does not change and rounding
to bfloat16 hardly lowers. X is an image of Y under rounding if |Y − X| ≤ ½ step, or if X is the nearest of its own
group's values to Y, for nearly all entries. Error-compensated quantisers (GPTQ) and later training lower that share,
not the lattice. Known defeat: noise added after quantising. Source: methods §4.3 P0, §1.3.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.blocks import Floats32

FORMATS = {
    "float16": (10, -14, 65504.0),
    "bfloat16": (7, -126, 3.3895313892515355e38),
    "float8-e4m3": (3, -6, 448.0),
    "float8-e5m2": (2, -14, 57344.0),
}
"""Bits of the mantissa, smallest normal exponent, largest number."""
SCOPES = (0, 64, 32, 16)
"""Columns that share a scale, largest first; 0 is the whole sampled row."""
GROUPS = 6
"""Groups looked at per scope."""
CODES = 16
"""Distinct values of a 4-bit code."""
STEPS = 256
"""More steps than this between a group's ends are not looked for."""
FINER = 8
"""Frequencies per cycle between the ends of a group."""
PEAK = 0.78
"""Mean peak at which groups lie on steps; natural weights stay below 0.66, 8 bits in bfloat16 above 0.86 (measured)."""
EIGHT_BIT = 256

Floats = NDArray[np.float64]


def cast(values: Floats32, name: str) -> Floats32:
    """`values` rounded to nearest even in a format of `FORMATS`, as float32; what is too large saturates."""
    largest = FORMATS[name][2]
    wide = np.clip(values.astype(np.float64), -largest, largest)
    step = rounding_steps(wide, name)
    return np.asarray(np.rint(wide / step) * step, np.float32)


def stored_as(block: Floats32) -> str:
    """The coarsest of bfloat16 and float16 that holds every entry exactly, else float32."""
    for name in ("bfloat16", "float16"):
        if (cast(block, name) == block).all():
            return name
    return "float32"


def rounding_steps(block: Floats32 | Floats, name: str) -> Floats:
    """Distance between neighbouring numbers of a format at every entry."""
    mantissa, least, _ = FORMATS.get(name, (23, -126, 0.0))
    _, exponent = np.frexp(block.astype(np.float64))
    exponent = np.where(block == 0, least, exponent)
    return np.asarray(np.ldexp(1.0, np.maximum(exponent - 1, least) - mantissa), np.float64)


def equal_share(first: Floats32, second: Floats32) -> float:
    """Share of equal entries among those that are not zero on both sides."""
    counted = (first != 0) | (second != 0)
    return float(np.mean((first == second)[counted])) if counted.any() else 0.0


def cast_between(child: Floats32, parent: Floats32) -> str | None:
    """The format such that `child` is `parent` rounded to it, all but one in a thousand; None if there is none.

    Entries must have moved by a quarter of a step on average: far less is a little training, not rounding.
    """
    for name in FORMATS:
        if equal_share(child, cast(parent, name)) > 0.999 and equal_share(child, parent) < 0.99:
            moved = np.abs(child - parent.astype(np.float64)).mean()
            evenly = rounding_steps(child, name).mean() / 4.0
            return name if 0.5 < moved / max(evenly, 1e-300) < 1.5 else None
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lattice:
    """The grid that a block's values lie on."""

    kind: str
    """`codes` (few distinct values per group) or `steps` (multiples of one step)."""
    group: int
    """Columns that share a grid; 0: a whole row, -1: the whole block."""
    bits: int
    """Binary digits that number the distinct values, or the steps between a group's ends."""
    turned: bool = False
    """Whether groups run down the columns of the canonical matrix (stored transposed, as GPT-2 has them)."""

    def words(self) -> str:
        """The grid in words."""
        along = "column" if self.turned else "row"
        group = {0: f"per {along}", -1: "for the whole matrix"}.get(
            self.group, f"per {self.group} of a {along}"
        )
        return f"{self.bits} bits, one grid {group}"


def lattice_of(block: Floats32) -> Lattice | None:
    """The grid that a block's entries other than zero lie on, with the largest groups that need no more bits."""
    return _codes(block, turned=False) or _codes(block.T, turned=True) or _whole(block) or _steps(block)


def _codes(values: Floats32, *, turned: bool) -> Lattice | None:
    """Few distinct values per group: the fewest bits, then the largest groups."""
    found = []
    for size in SCOPES:
        groups = [group for group, _ in _groups(values, size)]
        if groups:
            distinct = float(np.median([np.unique(group).size for group in groups]))
            if 2 <= distinct <= min(CODES, float(np.median([group.size for group in groups])) / 2):
                found.append(Lattice(kind="codes", group=size, bits=_bits(distinct), turned=turned))
    return min(found, key=lambda one: one.bits, default=None)


def _whole(block: Floats32) -> Lattice | None:
    """Few distinct values over the whole block, as of 8-bit floats under one scale."""
    distinct = np.unique(block).size
    if not 2 <= distinct <= EIGHT_BIT or distinct * 16 > np.count_nonzero(block):
        return None
    return Lattice(kind="codes", group=-1, bits=_bits(distinct))


def _steps(block: Floats32) -> Lattice | None:
    """Multiples of one step per group."""
    for turned in (False, True):
        for size in SCOPES:
            peaks = [
                (_peak(group), np.ptp(group)) for group, _ in _groups(block.T if turned else block, size)
            ]
            if peaks and np.mean([height for (height, _), _ in peaks]) > PEAK:
                steps = float(np.median([frequency * span for (_, frequency), span in peaks]))
                return Lattice(kind="steps", group=size, bits=_bits(steps + 1.0), turned=turned)
    return None


def image(child: Floats32, lattice: Lattice, parent: Floats32) -> tuple[float, float]:
    """How far `child` is `parent` rounded to the child's own grid: (share of entries that are, spread).

    The spread is the mean distance from a cell's middle, in half cells: ½ where the parent was rounded (it fills the
    cells evenly), near 0 where the "parent" is the child and a little more, as after training on quantised weights.
    """
    if lattice.turned:
        child, parent = child.T, parent.T
    slack = 2.0**-8 if stored_as(child) == "bfloat16" else 0.0
    found = []
    for mine, theirs in _groups(child, lattice.group, parent):
        distance = np.abs(mine - theirs)
        if lattice.kind == "steps":
            half = np.full(mine.size, 0.5 / _peak(mine)[1])
        else:
            levels = np.unique(mine)
            middles = (levels[1:] + levels[:-1]) / 2.0
            at = np.searchsorted(levels, mine)
            up, down = np.append(middles, np.inf)[at] - mine, mine - np.append(-np.inf, middles)[at]
            half = np.where(theirs >= mine, up, down)
            half[~np.isfinite(half)] = np.ptp(levels)  # beyond the ends everything rounds to them
        inside = distance <= 1.02 * half + slack * np.abs(mine)
        found.append((inside.mean(), np.minimum(distance / half, 1.0).mean()))
    share, spread = np.mean(found, axis=0) if found else (0.0, 0.0)
    return float(share), float(spread)


def _groups(block: Floats32, size: int, other: Floats32 | None = None) -> list[tuple[Floats, Floats]]:
    """Up to `GROUPS` groups of contiguous columns, evenly spaced over the rows: entries other than zero, and `other`'s.

    Groups with fewer than 16 such entries, or with one value only, are left out.
    """
    other = block if other is None else other
    if size < 0:
        places = [(slice(None), slice(None))]
    elif size > block.shape[1]:
        return []
    else:
        rows = np.unique(np.linspace(0, len(block) - 1, GROUPS).astype(int))
        places = [(slice(row, row + 1), slice(0, size or block.shape[1])) for row in rows]
    found = []
    for place in places:
        mine, theirs = (np.asarray(side[place], np.float64).ravel() for side in (block, other))
        there = mine != 0.0
        if np.count_nonzero(there) >= 16 and np.ptp(mine[there]) > 0.0:
            found.append((mine[there], theirs[there]))
    return found


def _peak(group: Floats) -> tuple[float, float]:
    """The highest P(f) of a group, and its f."""
    low, span = float(group.min()), float(np.ptp(group))
    steps = STEPS if group.size >= 24 else STEPS // 4  # fewer values: fewer chances of an accident
    cycles = np.arange(3 * FINER, steps * FINER + 1, dtype=np.float32) / np.float32(FINER)
    phase = np.float32(2.0 * np.pi) * np.outer(cycles, ((group - low) / span).astype(np.float32))
    power = np.hypot(np.cos(phase).mean(axis=1), np.sin(phase).mean(axis=1))
    at = int(np.argmax(power > 0.95 * power.max()))  # the coarsest of equally good: multiples fit as well
    at += int(np.argmax(power[at : at + FINER]))
    return float(power[at]), float(cycles[at]) / span


def _bits(count: float) -> int:
    """Binary digits that number `count` things."""
    return int(np.ceil(np.log2(max(count, 2.0)) - 0.02))
