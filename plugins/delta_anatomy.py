"""Delta anatomy: once coordinates correspond, what was done to the weights, and which side can only be the child.

Reads corners of every big matrix in place. Where the same units do not point the same way (unrelated models, but
also permuted or rotated copies) it abstains: nothing can be said of a difference between things that are not paired.
Otherwise it tells identical, cast, quantised, pruned, expanded, upcycled, adapter merged (rank), fine-tuned or
continued, with grounds, and a direction only where information was lost (see `alignment.anatomy`). It explains and
never weighs: no tensor group, no exact p-value, no calibration. Two siblings look like fine-tunes of each other.
Merges need several candidates at once (`alignment.mixture`). Source: methods §4.3 P7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from forensics import (
    Abstain,
    Checkpoint,
    Measurement,
    Reason,
    Scalar,
    Sketch,
    SketchProbe,
    Table,
    alignment,
    hookimpl,
)

ROLES = (*alignment.ATTENTION, *alignment.MLP)
CORRESPOND = 0.55
"""Mean cosine in place from which a matrix counts as the same one; a shared initialisation leaves at most 0.45."""
SHARE_LEAST = 0.2
"""Of the matrices compared that must correspond: single ones of a shared initialisation may."""
ROWS_MOST = 60
NOT_PAIRED = (
    "coordinates do not correspond ({} of {} sampled matrices agree in place): unrelated, rearranged, or no more than "
    "one initialisation in common; see the probes that align"
)
DIRECTIONS = {
    "candidate-to-suspect": "The suspect is the later one: ",
    "suspect-to-candidate": "The candidate is the later one: ",
    "undetermined": "Which came first is undetermined.",
}


@dataclass(kw_only=True)
class Corners(alignment.BlockSampler):
    """Cuts blocks out of matrices as they go by."""

    probe: DeltaAnatomy
    neurons: int

    def finish(self) -> Sketch:
        """The blocks, exactly, and the sizes that pruning changes."""
        blocks = self.whole()
        if not blocks:
            raise Abstain(Reason.MISSING_TENSORS, "no usable matrix in the sampled layers")
        facts = {"depth": self.shape.layers, "width": self.shape.width, "neurons": self.neurons}
        return self.probe.sketch(alignment.packed(blocks), facts)


@dataclass(frozen=True, kw_only=True)
class DeltaAnatomy(SketchProbe):
    """Explains the difference of two models whose coordinates correspond."""

    id: ClassVar[str] = "delta-anatomy"
    version: ClassVar[str] = "1.0"
    title: ClassVar[str] = "What was changed, and in which direction"
    measures: ClassVar[str] = (
        "What the difference between two models in place is the mark of (cast, quantised, pruned, adapter, training, "
        "copied layers or experts) and whether lost information shows a direction. An explanation without weight; "
        "silent where coordinates do not correspond, as after any permutation or rotation."
    )
    needs: ClassVar[str] = "attention or MLP matrices, equal width"
    expected: ClassVar[str] = "derived in place: a relation with grounds; otherwise an abstention"

    layers: int = 8
    experts: int = 2

    def sketcher(self, checkpoint: Checkpoint) -> Corners:
        """A corner of up to 128 x 128 (whole heads) of every big matrix in up to `layers` layers."""
        shape = checkpoint.architecture
        return Corners(
            shape=shape,
            roles=ROLES,
            layers=alignment.nested_layers(shape.layers, self.layers),
            experts=self.experts,
            probe=self,
            neurons=max((spec.rows for spec in checkpoint.specs if spec.role == "up_proj"), default=0),
        )

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """One minus the median relative delta of the matrices that correspond, 0 to 1, and the story."""
        first, second = _blocks(suspect), _blocks(candidate)
        width, depths = _number(suspect, "width"), (_number(suspect, "depth"), _number(candidate, "depth"))
        if width != _number(candidate, "width"):
            raise Abstain(Reason.NOT_COMPARABLE, "widths differ, so coordinates cannot be paired by position")
        placed = alignment.place(first, second, ROLES)
        deltas, met = _deltas(placed, first, second, in_place=depths[0] == depths[1])
        if len(deltas) <= SHARE_LEAST * met:
            raise Abstain(Reason.NOT_COMPARABLE, NOT_PAIRED.format(len(deltas), met))
        outline = alignment.Outline(
            depths=depths,
            neurons=(_number(suspect, "neurons"), _number(candidate, "neurons")),
            copies=(alignment.copies(first, ROLES), alignment.copies(second, ROLES)),
            blocks=met,
        )
        told = alignment.anatomy(deltas, outline)
        direction = told.direction()
        why = "; ".join(ground for _, ground in told.arrows) if direction != "undetermined" else ""
        size = float(np.median([delta.relative for delta in deltas]))
        facts: dict[str, Scalar] = {
            "width": width,
            "relation": told.relation,
            "direction": direction,
            "grounds": "; ".join(told.grounds),
            "grounds_of_direction": why,
            "blocks_that_correspond": len(deltas),
            "layers_that_correspond": len({delta.met.layers[0] for delta in deltas}),
            "relative_delta": size,
            **told.figures,
        }
        return Measurement(
            value=float(np.clip(1.0 - size, 0.0, 1.0)),
            quantity="one minus Σ|X−Y| / Σ(|X|+|Y|), median over sampled blocks, 0 to 1; an explanation, not evidence",
            summary=f"In place the difference reads {told.relation}: {told.grounds[0]}. {DIRECTIONS[direction]}{why}",
            facts=facts,
            tables=(_table(deltas),),
        )


def _blocks(sketch: Sketch) -> alignment.Blocks:
    """The sketch's blocks."""
    blocks = alignment.unpacked(sketch.arrays)
    if blocks is None:
        raise Abstain(Reason.INCOMPATIBLE_SKETCHES, "a sketch without blocks, or whose arrays do not fit")
    return blocks


def _number(sketch: Sketch, what: str) -> int:
    """A fact that should be a whole number; −1 where it is none."""
    found = sketch.facts.get(what)
    return found if isinstance(found, int) and not isinstance(found, bool) else -1


def _deltas(
    placed: alignment.Placed, first: alignment.Blocks, second: alignment.Blocks, *, in_place: bool
) -> tuple[list[alignment.Delta], int]:
    """Differences of all blocks whose units point the same way, and the number compared."""
    deltas: list[alignment.Delta] = []
    met = 0
    for i, j in placed.pairs(in_place=in_place):
        known = {role: cosine[i, j] for role, cosine in placed.products.items()}
        cosines = {role: float(cosine.mean()) for role, cosine in known.items() if np.isfinite(cosine).all()}
        roles = [role for role, cosine in cosines.items() if cosine >= CORRESPOND]
        layers = placed.mine[i], placed.theirs[j]
        deltas += [alignment.delta_of(pair) for pair in alignment.met(first, second, [layers], roles)]
        met += len(alignment.met(first, second, [layers], tuple(cosines)))
    return deltas, met


def _table(deltas: list[alignment.Delta]) -> Table:
    """One row per block, the furthest apart first."""
    rows = [
        (
            delta.met.role, *delta.met.layers, *delta.met.experts, round(delta.relative, 4), round(delta.cosine, 4),
            round(delta.equal, 4), round(delta.zeros[0], 4), round(delta.zeros[1], 4), delta.rank,
        )
        for delta in sorted(deltas, key=lambda one: -one.relative)
    ]  # fmt: skip
    columns = (
        "matrix", "suspect layer", "candidate layer", "expert (-1: none)", "its expert", "relative delta", "cosine",
        "equal entries", "zero in suspect only", "zero in candidate only", "low rank of delta",
    )  # fmt: skip
    return Table(
        title="Differences in place",
        columns=columns,
        rows=tuple(rows[:ROWS_MOST]),
        omitted=max(0, len(rows) - ROWS_MOST),
    )


@hookimpl
def forensics_probes() -> list[DeltaAnatomy]:
    """Offers the probe."""
    return [DeltaAnatomy()]
