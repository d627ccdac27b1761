"""Towers in place: is what stands beside the language model (a vision or speech encoder) the candidate's?

Of up to eight layers the same corner of every MLP matrix is compared: cosine of the same neuron, less its layer's mean,
in both models. Exact: swaps of neurons in all legs at once, under which nothing a tower computes changes; repeated
layers count once; where depths differ all sampled pairs of layers are tried, with Bonferroni's correction. Invariant to
scale of neurons; defeated by any rearrangement of neurons or channels, by retraining, by names that are not known.
It speaks for no tensor group of the language model and for no descent of it: many models stand on one public encoder.
So a small p is entered as the sign of partial reuse, keeps `independent` away and names the part. Source: as
identity-mlp (methods §4.3 P0).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from forensics import (
    Abstain,
    Checkpoint,
    Exact,
    Measurement,
    Reason,
    Scalar,
    Sign,
    SignKind,
    Sketch,
    SketchProbe,
    Table,
    TensorSpec,
    alignment,
    hookimpl,
)

KINDS = ("vision", "speech")
APART = 10_000
"""Between the numbers of a vision tower's layers and those of a speech tower's."""
SIDE = 128
"""Rows and columns of a corner."""
CLEAR = 1e-6
"""At this exact p neurons correspond."""
NULL = (
    "the towers' initialisations were drawn independently and neither training used the other's weights, so that the "
    "neurons of a layer are exchangeable"
)
SUMMARY = "In place, the MLP neurons of the {} agree at {:.2f} over {} layers; unrelated towers lie near 0{}."
REUSED = "{} (cosine of neurons in place); the same public encoder on both sides reads the same"


class Corners:
    """Reads its corners when it is made, for the reading pass hands on nothing of towers."""

    def __init__(self, probe: TowerIdentity, checkpoint: Checkpoint) -> None:
        self.probe = probe
        matrices = checkpoint.towers()
        self.depths = {k: 1 + max((m.layer for m in matrices if m.kind == k), default=-1) for k in KINDS}
        chosen = {k: set(alignment.nested_layers(depth, probe.layers)) for k, depth in self.depths.items()}
        self.blocks: dict[tuple[str, int, int], np.ndarray] = {}
        for matrix in (m for m in matrices if m.layer in chosen[m.kind]):
            block = checkpoint.tower_corner(matrix, SIDE)
            if block is not None and np.isfinite(block).all() and block.any():
                self.blocks[matrix.role, matrix.layer + APART * KINDS.index(matrix.kind), -1] = block

    def wants(self, spec: TensorSpec) -> bool:  # noqa: ARG002 - none of them
        """Nothing of the language model."""
        return False

    def see(self, spec: TensorSpec, rows: np.ndarray, start: int) -> None:
        """Never called."""

    def finish(self) -> Sketch:
        """Corners by role and layer, and how many layers there are of each kind."""
        if not self.blocks:
            raise Abstain(
                Reason.MISSING_TENSORS, "no vision or speech tower whose MLPs could be found by name"
            )
        facts: dict[str, Scalar] = {f"{kind}_layers": depth for kind, depth in self.depths.items()}
        return self.probe.sketch(alignment.packed(self.blocks), facts)


@dataclass(frozen=True, kw_only=True)
class TowerIdentity(SketchProbe):
    """Vision and speech towers, neuron by neuron."""

    id: ClassVar[str] = "tower-identity"
    version: ClassVar[str] = "1.0"
    title: ClassVar[str] = "Vision and speech towers in place"
    measures: ClassVar[str] = (
        "Whether MLP neurons of the towers beside the language model have the same weights in both, against an exact "
        "null of swapped neurons. Says nothing of the language model. Rearranged towers defeat it."
    )
    needs: ClassVar[str] = "a vision or speech tower with named MLP matrices"
    expected: ClassVar[str] = "one tower in both: 0.8 to 1; unrelated: within 0.05 of 0"
    layers: int = 8
    draws: int = 9999
    seed: int = 0

    def first_look(self) -> TowerIdentity:
        """Looks at two layers and draws fewer swaps."""
        return replace(self, layers=2, draws=999)

    def sketcher(self, checkpoint: Checkpoint) -> Corners:
        """A corner of up to 128 x 128 of every MLP matrix in up to `layers` layers of each tower."""
        return Corners(self, checkpoint)

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """Mean cosine of neurons in place, −1 to 1, the exact test, and which part it is that agrees."""
        first, second = _blocks(suspect), _blocks(candidate)
        placed = alignment.place(first, second, alignment.MLP)
        in_place = all(suspect.facts.get(f"{k}_layers") == candidate.facts.get(f"{k}_layers") for k in KINDS)
        pairs = placed.pairs(in_place=in_place)
        if not pairs:
            raise Abstain(Reason.NOT_COMPARABLE, "no tower matrices of one kind and shape in both")
        flips = alignment.neuron_flips(placed, (first, second), alignment.MLP)
        found = alignment.exact_in_place(
            placed, (first, second), flips, in_place=in_place, draws=self.draws, seed=self.seed
        )
        exact = None if found is None else Exact(p=found[0], null_hypothesis=NULL, method=found[1])
        by_layer = {i: float(placed.similarity[i, j]) for i, j in pairs}
        value = float(np.clip(np.mean(list(by_layer.values())), -1.0, 1.0))
        parts = _parts(placed, by_layer)
        odds = f", and this has probability at most {exact.p:.1g} if nothing is shared" if exact else ""
        return Measurement(
            value=value,
            quantity="mean cosine of the same neuron in both models' towers, −1 to 1",
            summary=SUMMARY.format(" and ".join(f"{kind} tower" for kind in parts), value, len(pairs), odds),
            layers=tuple(by_layer.get(i) for i in range(len(placed.mine))),
            exact=exact,
            facts={"layers_compared": len(pairs), "same_depth": in_place},
            tables=(_table(placed, pairs),),
            signs=_signs(parts, exact),
        )


def _blocks(sketch: Sketch) -> alignment.Blocks:
    """The sketch's corners."""
    blocks = alignment.unpacked(sketch.arrays)
    if blocks is None or {role for role, _, _ in blocks} - set(alignment.MLP):
        raise Abstain(Reason.INCOMPATIBLE_SKETCHES, "a sketch without corners, or whose arrays do not fit")
    return blocks


def _kind(layer: int) -> str:
    """Whose layer a number is."""
    return KINDS[min(layer // APART, 1)]


def _parts(placed: alignment.Placed, by_layer: Mapping[int, float]) -> dict[str, float]:
    """Mean agreement by kind of tower."""
    kinds = [_kind(placed.mine[i]) for i in by_layer]
    values = np.array(list(by_layer.values()))
    return {kind: float(values[[k == kind for k in kinds]].mean()) for kind in KINDS if kind in kinds}


def _signs(parts: Mapping[str, float], exact: Exact | None) -> tuple[Sign, ...]:
    """Partial reuse, where neurons correspond beyond chance."""
    if exact is None or exact.p > CLEAR:
        return ()
    said = " and ".join(
        f"the {kind} tower agrees with the candidate's at {v:.2f}" for kind, v in parts.items()
    )
    return (Sign(sign=SignKind.PARTIAL_REUSE, detail=REUSED.format(said)),)


def _table(placed: alignment.Placed, pairs: list[tuple[int, int]]) -> Table:
    """One row per pair of layers."""
    rows = tuple(
        (
            _kind(placed.mine[i]),
            placed.mine[i] % APART,
            placed.theirs[j] % APART,
            round(float(placed.similarity[i, j]), 4),
        )
        for i, j in pairs
    )
    columns = ("tower", "suspect layer", "candidate layer", "cosine of neurons in place")
    return Table(title="Towers compared in place", columns=columns, rows=rows)


@hookimpl
def forensics_probes() -> list[TowerIdentity]:
    """Offers this probe."""
    return [TowerIdentity()]
