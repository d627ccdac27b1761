"""What relation differences in place are the mark of, and which side can only be the child.

Direction rests on what was lost and cannot come back: a coarser grid or format that the other side fills evenly,
zeros where the other side has weights larger than what changed elsewhere, layers or experts that are copies. How
large a difference is, of which rank, or how many layers there are says nothing of direction: Δ is the same seen from
either side. Source: methods §4.3 P7 (information-loss arrow), with low rank struck from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from forensics.alignment.blocks import DENSE
from forensics.alignment.deltas import Delta, one_direction
from forensics.alignment.lattice import Lattice, cast_between, image, lattice_of
from forensics.readings import Direction, Relation

LOOKED_AT = 10
"""Blocks whose grid is looked for, evenly spaced over all that are compared."""
MOSTLY = 0.6
"""Share of blocks that must show a trait before it is told of the model."""
ROUNDED, EVEN = 0.95, (0.38, 0.62)
"""Share of entries that are the other side rounded, and how evenly that side fills its cells, for a direction."""
EMPTIED = 0.05
"""Share of weights that are zero on one side only, at which a model counts as pruned."""
LARGE = 1.5
"""Weights that were set to zero were larger than what changed elsewhere by this factor, if zeroing came last."""
CONTINUED = 0.2
"""Relative delta from which training is called continued: .056 measured for an instruction-tuned release, .10 to .13
for fine-tunes and .26 to .30 for trainings as long as the base's own in the zoo. No sharp border."""
FAR = 0.38
"""Relative delta from which no more than one initialisation may be common (0.44 and more measured for that)."""
SMALL = 0.08
"""Above this relative delta no cast to any format is looked for (8-bit floats move weights by .026 to .06)."""

SIDES = ("suspect", "candidate")
FROM: tuple[Direction, Direction] = ("suspect-from-candidate", "candidate-from-suspect")
"""Direction of descent if the first, or the second, of `SIDES` is the child."""


@dataclass(slots=True)
class Anatomy:
    """What was found, in words and figures."""

    relation: Relation = "undetermined"
    grounds: list[str] = field(default_factory=list)
    arrows: list[tuple[int, str]] = field(default_factory=list)
    """Which side must be the child, and why."""
    figures: dict[str, float | int | str] = field(default_factory=dict)

    def say(self, relation: Relation, ground: str) -> None:
        """Adds a ground; the first relation told stays."""
        self.grounds.append(ground)
        if self.relation == "undetermined":
            self.relation = relation

    def direction(self) -> Direction:
        """Where all arrows point; `undetermined` without any, or if they contradict each other."""
        children = {child for child, _ in self.arrows}
        return FROM[children.pop()] if len(children) == 1 else "undetermined"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """What is known of the two models besides the blocks that correspond: suspect first."""

    depths: tuple[int, int]
    neurons: tuple[int, int]
    """Of a dense MLP (or of an expert)."""
    copies: tuple[Mapping[int, int], Mapping[int, int]]
    """Which sampled layer is a near copy of which earlier one of the same model."""
    blocks: int
    """Pairs of blocks that could have corresponded."""


def anatomy(deltas: Sequence[Delta], outline: Outline) -> Anatomy:
    """The relation of two models from those of their blocks that correspond in place."""
    told = Anatomy()
    _shapes(told, deltas, outline)
    if len(deltas) < outline.blocks:
        told.grounds.append(f"only {len(deltas)} of {outline.blocks} sampled matrices correspond")
    whole = not told.grounds
    if not _same(told, deltas, whole=whole) and not _cast(told, deltas, whole=whole):
        _upcycled(told, deltas)
        gridded, rounded = _quantised(told, deltas)
        zeroed = _zeroed(told, deltas, gridded)
        if not rounded and not zeroed:
            _trained(told, deltas)
    return told


def _median(deltas: Sequence[Delta], name: str) -> float:
    return float(np.median([getattr(delta, name) for delta in deltas]))


def _same(told: Anatomy, deltas: Sequence[Delta], *, whole: bool) -> bool:
    """Whether every sampled entry is equal; embeddings and norms are not looked at."""
    if min(delta.equal for delta in deltas) < 1.0:
        return False
    said = f"all entries of {len(deltas)} sampled attention and MLP blocks are equal"
    told.say("identical" if whole else "undetermined", said)
    return True


def _cast(told: Anatomy, deltas: Sequence[Delta], *, whole: bool) -> bool:
    """Whether one side is the other in a coarser number format, in most blocks."""
    if _median(deltas, "relative") > SMALL:
        return False
    for child in (0, 1):
        sides = [(d.met.first, d.met.second)[:: 1 - 2 * child] for d in deltas]
        formats = [
            cast_between(a, b) if d.equal < 1.0 else None for d, (a, b) in zip(deltas, sides, strict=True)
        ]
        found = [name for name in formats if name]
        if found and len(found) + sum(d.equal == 1.0 for d in deltas) >= 0.9 * len(deltas):
            name = max(set(found), key=found.count)
            relation: Relation = "quantised" if name.startswith("float8") else "identical"
            ground = f"the {SIDES[child]}'s weights are the {SIDES[1 - child]}'s rounded to {name}"
            told.say(relation if whole or relation == "quantised" else "undetermined", ground)
            told.arrows.append((child, ground))
            told.figures["cast_to"] = name
            return True
    return False


def _shapes(told: Anatomy, deltas: Sequence[Delta], outline: Outline) -> None:
    """Depth grown by copied layers; fewer layers or neurons on one side."""
    depths, copies = outline.depths, outline.copies
    for child in (0, 1):
        if copies[child] and not copies[1 - child] and depths[child] > depths[1 - child]:
            ground = (
                f"the {SIDES[child]} has {depths[child]} layers to {depths[1 - child]}, and "
                f"{len(copies[child])} of its sampled layers are copies of others of its own"
            )
            told.say("expanded", ground)
            told.arrows.append((child, ground))
    dense = all(delta.met.experts == (DENSE, DENSE) for delta in deltas)
    for what, counts in (("layers", depths), ("neurons", outline.neurons if dense else (0, 0))):
        if counts[0] != counts[1] and min(counts) > 0 and not told.arrows:
            fewer = int(counts[1] < counts[0])
            told.say(
                "pruned",
                f"the {SIDES[fewer]} has {counts[fewer]} {what} to {counts[1 - fewer]}; others may as well have been "
                "put in, so that this gives no direction",
            )


def _upcycled(told: Anatomy, deltas: Sequence[Delta]) -> None:
    """Several experts of one side close to one dense MLP of the other."""
    for child in (0, 1):
        experts: dict[tuple[int, str], int] = {}
        for delta in deltas:
            mine, theirs = delta.met.experts[child], delta.met.experts[1 - child]
            if mine >= 0 > theirs:
                place = delta.met.layers[child], delta.met.role
                experts[place] = experts.get(place, 0) + (delta.cosine > MOSTLY)
        several = [count for count in experts.values() if count > 1]
        if experts and len(several) >= MOSTLY * len(experts):
            ground = f"several experts of the {SIDES[child]} are copies of one MLP of the {SIDES[1 - child]}"
            told.say("upcycled", ground)
            told.arrows.append((child, ground))


def _quantised(told: Anatomy, deltas: Sequence[Delta]) -> tuple[int | None, bool]:
    """Which side alone lies on a grid, and whether it is nothing but the other side rounded to it."""
    chosen = [deltas[k] for k in np.unique(np.linspace(0, len(deltas) - 1, LOOKED_AT).astype(int))]
    blocks = [(delta.met.first, delta.met.second) for delta in chosen]
    grids = [[lattice_of(pair[side]) for pair in blocks] for side in (0, 1)]
    usual = [_usual(found) for found in grids]
    for side, grid in zip(SIDES, usual, strict=True):
        if grid is not None:
            told.figures[f"grid_of_{side}"] = grid.words()
    if (usual[0] is None) == (usual[1] is None):
        return None, False
    child = 0 if usual[0] is not None else 1
    grid = usual[child]
    assert grid is not None
    images = [
        image(pair[child], found, pair[1 - child])
        for pair, found in zip(blocks, grids[child], strict=True)
        if found is not None
    ]
    share, spread = (float(np.median(one)) for one in zip(*images, strict=True))
    told.figures |= {"rounded_share": share, "rounded_spread": spread}
    ground = (
        f"the {SIDES[child]}'s weights lie on a grid ({grid.words()}); {share:.0%} of its entries are the "
        f"{SIDES[1 - child]}'s rounded to it"
    )
    told.say("quantised", ground)
    if share >= ROUNDED and EVEN[0] <= spread <= EVEN[1]:
        told.arrows.append((child, f"{ground}, whose values fill the grid's cells evenly"))
        return child, True
    return child, False


def _usual(found: Sequence[Lattice | None]) -> Lattice | None:
    """The commonest grid, if most blocks lie on one."""
    grids = [grid for grid in found if grid is not None]
    if len(grids) < MOSTLY * len(found):
        return None
    return max(grids, key=lambda one: (grids.count(one), one.group, -one.bits))


def _zeroed(told: Anatomy, deltas: Sequence[Delta], gridded: int | None) -> bool:
    """Zeros on one side only; True if nothing else differs. No direction if the other side alone lies on a grid."""
    for child in (0, 1):
        share = float(np.median([delta.zeros[child] for delta in deltas]))
        if share < EMPTIED:
            continue
        told.figures[f"zeros_of_{SIDES[child]}_only"] = share
        ground = f"{share:.0%} of the weights are zero in the {SIDES[child]} only"
        told.say("pruned", ground)
        if gridded != 1 - child and float(np.median([delta.filled[child] for delta in deltas])) > LARGE:
            told.arrows.append((child, f"{ground}, larger ones than what changed elsewhere"))
        return float(np.median([delta.equal + delta.zeros[child] for delta in deltas])) > 0.99
    return False


def _trained(told: Anatomy, deltas: Sequence[Delta]) -> None:
    """A small or large difference, dense or of low rank."""
    size = _median(deltas, "relative")
    ranks = [delta.rank for delta in deltas]
    low = [rank for rank in ranks if rank]
    changed = sum(rank != 0 for rank in ranks)
    if low and len(low) >= 0.9 * changed:
        rank = int(np.median(low))
        told.figures["delta_rank"] = rank
        where = "all" if changed == len(ranks) else f"{changed} of {len(ranks)}"
        what = (
            "one direction was removed or added in all layers"
            if one_direction(deltas)
            else "a merged adapter"
        )
        told.say(
            "fine-tuned", f"in {where} sampled blocks the difference has rank {rank}: {what}; no direction"
        )
    else:
        relation: Relation = (
            "fine-tuned" if size < CONTINUED else "continued" if size < FAR else "undetermined"
        )
        ground = f"a dense difference of relative size {size:.3f}; two descendants of one model read alike"
        if relation == "undetermined":
            ground = f"so large a difference ({size:.3f}) that no more than one initialisation may be common"
        told.say(relation, ground)
