"""Identity in place: are the coordinates of MLP and attention matrices the same, entry by entry.

Two probes on disjoint tensors, so that each gives an exact p-value of its own; each keeps blocks of its own matrices
only, and both together cost what one would. Value: mean over layers and matrices of the mean cosine of units (head
dimensions; neurons less their mean), same index on both sides. Exact: attention by sign flips of rotary pairs (Q with
K) and of value dimensions (V with O), MLP by swaps of neurons in all legs and experts at once; copied layers count
once. Where depths differ all sampled pairs of layers are tried, with Bonferroni's correction. Both symmetries act
inside one layer, so pasted embeddings and norms leave the null as it is. Two trainings from one initialisation do
break it: a tiny p at a modest value is entered as that sign (measured: 0.31 to 0.43 there, 0.80 and more in
descendants in place, within 0.03 of 0 for the unrelated and for permuted descendants). Source: methods §4.3 P0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from forensics import (
    Abstain,
    Checkpoint,
    Exact,
    Group,
    Measurement,
    Reason,
    Sign,
    SignKind,
    Sketch,
    SketchProbe,
    Table,
    alignment,
    hookimpl,
)

MODEST = 0.6
"""Below this value agreement in place may be no more than a shared initialisation."""
CLEAR = 1e-6
"""At this exact p coordinates correspond."""
NULL = "the initialisations were drawn independently and neither training used the other's weights, so that "
DEFEATS = "Blind by design to whatever moves coordinates: permuted, rotated or sign-flipped neurons, heads or channels."
SUMMARY = (
    "In place, the {} matrices of {} layers agree at {:.2f}; unrelated models and permuted copies lie near 0"
)
ODDS = ", and agreement this strong has probability at most {:.1g} if nothing is shared"
FIGURES = ("equal entries", "equal signs", "relative delta")

Sides = tuple["alignment.Blocks", "alignment.Blocks"]


@dataclass(kw_only=True)
class Corners(alignment.BlockSampler):
    """Cuts blocks out of matrices as they go by."""

    probe: InPlace
    rotary: int | None

    def finish(self) -> Sketch:
        """The blocks, exactly, and the geometry of heads."""
        blocks, shape = self.whole(), self.shape
        if not blocks:
            raise Abstain(Reason.MISSING_TENSORS, "no usable matrix of that kind in the sampled layers")
        return self.probe.sketch(
            alignment.packed(blocks),
            {
                "depth": shape.layers, "width": shape.width, "heads": shape.heads, "kv_heads": shape.kv_heads,
                "head_dim": shape.head_dim, "rotary": self.rotary,
            },
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class InPlace(SketchProbe):
    """What the two probes have in common."""

    roles: ClassVar[tuple[str, ...]]
    group: ClassVar[Group]
    matrices: ClassVar[str]
    null: ClassVar[str]
    same: ClassVar[tuple[str, ...]]
    """Sizes that must be equal for coordinates to have a counterpart."""

    layers: int = 8
    experts: int = 2
    draws: int = 9999
    seed: int = 0

    def first_look(self) -> InPlace:
        """Looks at two layers and draws fewer flips."""
        return replace(self, layers=2, draws=999)

    def sketcher(self, checkpoint: Checkpoint) -> Corners:
        """A corner of up to 128 x 128 (whole heads) of every such matrix in up to `layers` layers."""
        shape = checkpoint.architecture
        return Corners(
            shape=shape,
            roles=self.roles,
            layers=alignment.nested_layers(shape.layers, self.layers),
            experts=self.experts,
            probe=self,
            rotary=alignment.rotary_dimensions(
                checkpoint.config, declared=shape.declared, rope=shape.rope, head_dim=shape.head_dim
            ),
        )

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """Mean cosine in place, −1 to 1, and the exact test."""
        sides = _blocks(suspect, self.roles), _blocks(candidate, self.roles)
        for what in self.same:
            a, b = _number(suspect, what), _number(candidate, what)
            if a != b:
                raise Abstain(Reason.NOT_COMPARABLE, f"{what} {a} and {b}: coordinates have no counterpart")
        placed = alignment.place(*sides, self.roles)
        in_place = _number(suspect, "depth") == _number(candidate, "depth")
        pairs = placed.pairs(in_place=in_place)
        if not pairs:
            raise Abstain(Reason.NOT_COMPARABLE, f"no {self.matrices} matrices of equal shape to compare")
        flips = self.flips(placed, sides, _heads(suspect, candidate))
        found = alignment.exact_in_place(
            placed, sides, flips, in_place=in_place, draws=self.draws, seed=self.seed
        )
        exact = (
            None if found is None else Exact(p=found[0], null_hypothesis=NULL + self.null, method=found[1])
        )
        by_layer = {i: float(placed.similarity[i, j]) for i, j in pairs}
        value = float(np.clip(np.mean(list(by_layer.values())), -1.0, 1.0))
        met = alignment.met(*sides, [(placed.mine[i], placed.theirs[j]) for i, j in pairs], self.roles)
        said = SUMMARY.format(self.matrices, len(pairs), value)
        return Measurement(
            value=value,
            quantity="mean cosine of the same head dimension or neuron in both models, −1 to 1",
            summary=f"{said}{ODDS.format(exact.p) if exact else ''}.",
            group=self.group,
            layers=tuple(by_layer.get(i) for i in range(len(placed.mine))),
            exact=exact,
            facts={"width": _number(suspect, "width"), "layers_compared": len(pairs), "same_depth": in_place},
            tables=(_table(placed, pairs, sides),),
            signs=_signs(value, exact, met),
        )  # fmt: skip

    def flips(self, placed: alignment.Placed, sides: Sides, heads: alignment.Heads) -> alignment.Flips | None:
        """What a pair of layers contributes per independent symmetry, or None where there are none."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class IdentityAttention(InPlace):
    """Attention matrices, head dimension by head dimension."""

    id: ClassVar[str] = "identity-attention"
    version: ClassVar[str] = "1.0"
    title: ClassVar[str] = "Attention matrices in place"
    measures: ClassVar[str] = (
        "Whether the same head dimensions of Q, K, V and O point the same way in both models, against an exact null "
        f"of sign flips that change nothing a model computes. {DEFEATS}"
    )
    needs: ClassVar[str] = "attention matrices; equal width and heads"
    blind_to: ClassVar[tuple[str, ...]] = (
        "permute-heads",
        "permute-residual",
        "flip-residual",
        "rotate-residual",
        "scale-gains",
    )
    expected: ClassVar[str] = (
        "derived in place: 0.8 to 1; one initialisation: 0.3 to 0.45; unrelated: within 0.03 of 0"
    )
    roles: ClassVar[tuple[str, ...]] = alignment.ATTENTION
    group: ClassVar[Group] = Group.ATTENTION
    matrices: ClassVar[str] = "attention"
    null: ClassVar[str] = (
        "each rotary pair of a KV group and each value dimension is as likely with either sign"
    )
    same: ClassVar[tuple[str, ...]] = ("width", "heads", "kv_heads", "head_dim")

    def flips(self, placed: alignment.Placed, sides: Sides, heads: alignment.Heads) -> alignment.Flips | None:
        """Sign flips."""
        return alignment.attention_flips(placed, sides, heads)


@dataclass(frozen=True, kw_only=True)
class IdentityMlp(InPlace):
    """MLP matrices, neuron by neuron."""

    id: ClassVar[str] = "identity-mlp"
    version: ClassVar[str] = "1.0"
    title: ClassVar[str] = "MLP neurons in place"
    measures: ClassVar[str] = (
        "Whether the same MLP neurons have the same weights in both models, against an exact null of swapped "
        f"neurons. {DEFEATS}"
    )
    needs: ClassVar[str] = "MLP matrices (experts or not); equal width"
    blind_to: ClassVar[tuple[str, ...]] = (
        "permute-neurons",
        "permute-residual",
        "flip-residual",
        "rotate-residual",
        "scale-gains",
    )
    expected: ClassVar[str] = (
        "derived in place: 0.8 to 1; one initialisation: 0.3 to 0.45; unrelated: within 0.01 of 0"
    )
    roles: ClassVar[tuple[str, ...]] = alignment.MLP
    group: ClassVar[Group] = Group.MLP
    matrices: ClassVar[str] = "MLP"
    null: ClassVar[str] = "the neurons of a layer are exchangeable"
    same: ClassVar[tuple[str, ...]] = ("width",)

    def flips(
        self,
        placed: alignment.Placed,
        sides: Sides,
        heads: alignment.Heads,  # noqa: ARG002 - attention's
    ) -> alignment.Flips | None:
        """Swaps of neurons."""
        return alignment.neuron_flips(placed, sides, self.roles)


def _blocks(sketch: Sketch, roles: tuple[str, ...]) -> alignment.Blocks:
    """The sketch's blocks of these roles."""
    blocks = alignment.unpacked(sketch.arrays)
    if blocks is None or {role for role, _, _ in blocks} - set(roles):
        raise Abstain(Reason.INCOMPATIBLE_SKETCHES, "a sketch without blocks, or whose arrays do not fit")
    return blocks


def _number(sketch: Sketch, what: str) -> int:
    """A fact that should be a whole number; −1 where it is none."""
    found = sketch.facts.get(what)
    return found if isinstance(found, int) and not isinstance(found, bool) else -1


def _heads(suspect: Sketch, candidate: Sketch) -> alignment.Heads:
    """Geometry of heads; rotated dimensions only where both agree."""
    rotary = _number(suspect, "rotary")
    return alignment.Heads(
        heads=_number(suspect, "heads"),
        kv_heads=_number(suspect, "kv_heads"),
        head_dim=_number(suspect, "head_dim"),
        rotary=rotary if rotary >= 0 and rotary == _number(candidate, "rotary") else None,
    )


def _signs(value: float, exact: Exact | None, met: list[alignment.Met]) -> tuple[Sign, ...]:
    """Certain but modest agreement of all units alike: what two trainings from one initialisation leave."""
    if exact is None or exact.p > CLEAR or value >= MODEST or not alignment.agree_alike(met):
        return ()
    detail = f"coordinates correspond, yet agree at {value:.2f} only, as after two trainings from one initialisation"
    return (Sign(sign=SignKind.SHARED_INITIALISATION, detail=detail),)


def _table(placed: alignment.Placed, pairs: list[tuple[int, int]], sides: Sides) -> Table:
    """One row per pair of layers: cosine in place of each matrix, then equal entries and signs, and relative delta."""
    columns = ("suspect layer", "candidate layer", *placed.products, *FIGURES)
    rows = alignment.plain_rows(placed, pairs, sides)
    return Table(title="Cosine of the same units in place", columns=columns, rows=rows)


@hookimpl
def forensics_probes() -> list[SketchProbe]:
    """Offers both."""
    return [IdentityAttention(), IdentityMlp()]
