"""Delta anatomy: once coordinates correspond, what was done to the weights, and which side can only be the child.

Reads corners of every big matrix in place. Where the same units do not point the same way (unrelated models, but
also permuted or rotated copies) it abstains: nothing can be said of a difference between things that are not paired.
Otherwise it tells identical, cast, quantised, pruned, expanded, upcycled, adapter merged (rank), fine-tuned or
continued, with grounds, and a direction only where information was lost (see `alignment.anatomy`). It explains and
never weighs: no tensor group, no exact p-value, no calibration. Two siblings look like fine-tunes of each other.

With several candidates it also says whether the suspect is a merge of some of them (`alignment.mixture`), and of which
of them it shares no more than it shares with another one (`alignment.ties`). Source: methods §4.3 P7.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from forensics import (
    Abstain,
    Checkpoint,
    Kinship,
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
NOT_TWO = "{} of {} candidates correspond to the suspect in place; a merge is told from two or more"
DIRECTIONS = {
    "suspect-from-candidate": "The suspect is the later one: ",
    "candidate-from-suspect": "The candidate is the later one: ",
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
    version: ClassVar[str] = "1.1"
    title: ClassVar[str] = "What was changed, and in which direction"
    measures: ClassVar[str] = (
        "What the difference between two models in place is the mark of (cast, quantised, pruned, adapter, training, "
        "copied layers or experts) and whether lost information shows a direction; of several candidates, whether the "
        "suspect is a merge. An explanation without weight; silent where coordinates do not correspond, as after any "
        "permutation or rotation."
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
        told, deltas = _anatomy(suspect, candidate)
        direction = told.direction()
        why = tuple(ground for _, ground in told.arrows) if direction != "undetermined" else ()
        size = float(np.median([delta.relative for delta in deltas]))
        facts: dict[str, Scalar] = {
            "width": _number(suspect, "width"), "relation": told.relation, "direction": direction,
            "grounds": "; ".join(told.grounds), "grounds_of_direction": "; ".join(why),
            "blocks_that_correspond": len(deltas),
            "layers_that_correspond": len({delta.met.layers[0] for delta in deltas}), "relative_delta": size,
            **told.figures,
        }  # fmt: skip
        said = f"In place the difference reads {told.relation}: {told.grounds[0]}."
        kinship = Kinship(
            relation=told.relation, grounds=tuple(told.grounds), direction=direction, direction_grounds=why
        )
        return Measurement(
            value=float(np.clip(1.0 - size, 0.0, 1.0)),
            quantity="one minus Σ|X−Y| / Σ(|X|+|Y|), median over sampled blocks, 0 to 1; an explanation, not evidence",
            summary=f"{said} {DIRECTIONS[direction]}{'; '.join(why)}",
            facts=facts,
            tables=(_table(deltas),),
            kinship=(kinship,),
        )

    def compare_all(self, suspect: Sketch, candidates: Mapping[str, Sketch]) -> Measurement:
        """Share of the distance to the nearest candidate that a mixture of some explains, 0 to 1, and whose it is."""
        mine, laid = _blocks(suspect), _laid(suspect, candidates)
        names = alignment.covering(mine, laid)
        found = alignment.distances(mine, [laid[name] for name in names]) if len(names) > 1 else None
        if found is None:
            raise Abstain(Reason.NOT_COMPARABLE, NOT_TWO.format(len(names), len(candidates)))
        made = alignment.mixture(found)

        def child_of(child: int | None, parent: int) -> bool:
            one = suspect if child is None else candidates[names[child]]
            return _is_child(one, candidates[names[parent]])

        return Measurement(
            value=0.0 if made is None else float(np.clip(made.gain, 0.0, 1.0)),
            quantity="share of the distance to the nearest candidate that a mixture explains, 0 to 1; not evidence",
            summary=alignment.told(made, names),
            facts={"candidates_that_correspond": len(names), "mixture": made.kind if made else "none"},
            tables=tuple(alignment.tie_tables(found, made, names)),
            kinship=alignment.ties(found, made, names, child_of),
        )


def _blocks(sketch: Sketch) -> alignment.Blocks:
    """The sketch's blocks."""
    blocks = alignment.unpacked(sketch.arrays)
    if blocks is None:
        raise Abstain(Reason.INCOMPATIBLE_SKETCHES, "a sketch without blocks, or whose arrays do not fit")
    return blocks


def _paired(first: Sketch, second: Sketch) -> tuple[alignment.Placed, list[alignment.Met], int, bool]:
    """Both models' blocks by place, those whose units point the same way, the number compared, whether in place."""
    blocks = _blocks(first), _blocks(second)
    if _number(first, "width") != _number(second, "width"):
        raise Abstain(Reason.NOT_COMPARABLE, "widths differ, so coordinates cannot be paired by position")
    in_place = _number(first, "depth") == _number(second, "depth")
    placed = alignment.place(*blocks, ROLES)
    agree, met = _agreeing(placed, *blocks, in_place=in_place)
    if len(agree) <= SHARE_LEAST * met:
        raise Abstain(Reason.NOT_COMPARABLE, NOT_PAIRED.format(len(agree), met))
    return placed, agree, met, in_place


def _anatomy(suspect: Sketch, candidate: Sketch) -> tuple[alignment.Anatomy, list[alignment.Delta]]:
    """The relation of two models whose coordinates correspond; `raise Abstain` of others."""
    _, agree, met, _ = _paired(suspect, candidate)
    deltas = [alignment.delta_of(pair) for pair in agree]
    outline = alignment.Outline(
        depths=(_number(suspect, "depth"), _number(candidate, "depth")),
        neurons=(_number(suspect, "neurons"), _number(candidate, "neurons")),
        copies=(alignment.copies(_blocks(suspect), ROLES), alignment.copies(_blocks(candidate), ROLES)),
        blocks=met,
    )
    return alignment.anatomy(deltas, outline), deltas


def _laid(suspect: Sketch, candidates: Mapping[str, Sketch]) -> dict[str, alignment.Blocks]:
    """Of every candidate that corresponds to the suspect: its blocks, each where its counterpart stands."""
    laid: dict[str, alignment.Blocks] = {}
    for name, candidate in candidates.items():
        try:
            placed, _, _, in_place = _paired(suspect, candidate)
        except Abstain:
            continue
        laid[name] = alignment.laid_over(_blocks(suspect), _blocks(candidate), placed, in_place=in_place)
    return laid


def _is_child(one: Sketch, other: Sketch) -> bool:
    """Whether lost information shows that the one was made from the other."""
    try:
        told, _ = _anatomy(one, other)
    except Abstain:
        return False
    return told.direction() == "suspect-from-candidate"


def _number(sketch: Sketch, what: str) -> int:
    """A fact that should be a whole number; −1 where it is none."""
    found = sketch.facts.get(what)
    return found if isinstance(found, int) and not isinstance(found, bool) else -1


def _agreeing(
    placed: alignment.Placed, first: alignment.Blocks, second: alignment.Blocks, *, in_place: bool
) -> tuple[list[alignment.Met], int]:
    """All pairs of blocks whose units point the same way, and the number compared."""
    agree: list[alignment.Met] = []
    met = 0
    for i, j in placed.pairs(in_place=in_place):
        known = {role: cosine[i, j] for role, cosine in placed.products.items()}
        cosines = {role: float(cosine.mean()) for role, cosine in known.items() if np.isfinite(cosine).all()}
        roles = [role for role, cosine in cosines.items() if cosine >= CORRESPOND]
        layers = placed.mine[i], placed.theirs[j]
        agree += alignment.met(first, second, [layers], roles)
        met += len(alignment.met(first, second, [layers], tuple(cosines)))
    return agree, met


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
