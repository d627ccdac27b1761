"""Attention graph: whether heads stand to each other as the other model's do, without tokens, in no basis.

Each head's query-key and value-output circuits, norm gains folded in, have strongest directions in the residual stream.
How much these overlap between heads of different layers are numbers that no permuted, turned or flipped residual stream
changes, no map inside heads, and no vocabulary (alignment/head_graph). QK's overlaps find which head is which; OV's
overlaps, and those of QK with OV, are then correlated under that matching, and the other way round
(alignment/head_matching). Embeddings and tokenizers are not looked at.
The matching is searched, hence no exact p; what is correlated was not, so that unrelated models lie near 0.
Known defeats: retrained attention; heads gathered from several models. Measured on trained models 64 to 256 wide:
new vocabulary, turned and permuted 1.0; continued for as long as pre-training 0.27 to 0.54; unrelated at most 0.15.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from forensics import (
    Abstain,
    Checkpoint,
    Group,
    Measurement,
    Reason,
    Scalar,
    Sketch,
    SketchProbe,
    Table,
    TensorSpec,
    alignment,
    hookimpl,
)

MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj")
LAYERS_SHALLOW = 4  # examined however many heads a layer has
LAYER_MOST = 160_000_000
"""Numbers in a layer's attention beyond which it is not kept (0.64 GB): 8192 wide with grouped queries fits."""
HELD_MOST = 1 << 27
"""Numbers held of unfinished layers; what goes beyond is read once more at the end, layer by layer."""
EDGES_LEAST = 60.0  # free edges (of either circuit) in common; fewer scatter too much
WIDTH_LEAST = 32
SUMMARY = (
    "Over {} matched heads in {} layers, heads matched by one circuit stand to each other alike to {:.2f} by the "
    "others, whatever the vocabulary and basis; 1 is a copy, unrelated models lie near 0."
)

Floats = NDArray[np.float32]
Layer = dict[str, Floats]


class Heads:
    """Collects a layer's attention matrices, takes them apart into head legs and lets go of them."""

    def __init__(self, probe: AttentionGraph, checkpoint: Checkpoint) -> None:
        self.probe, self.checkpoint = probe, checkpoint
        shape = self.shape = checkpoint.architecture
        few = max(min(LAYERS_SHALLOW, probe.layers), min(probe.layers, probe.heads // max(1, shape.heads)))
        if shape.width < WIDTH_LEAST or shape.heads < 1 or shape.kv_heads < 1 or shape.heads % shape.kv_heads:
            raise Abstain(Reason.TOO_SMALL, f"{shape.heads} heads over {shape.width} channels")
        if few * shape.heads > alignment.GRAPH_HEADS:
            raise Abstain(Reason.TOO_LARGE, f"{few * shape.heads} heads, {alignment.GRAPH_HEADS} at most")
        self.examined = alignment.nested_layers(shape.layers, few)
        held = max((self._numbers(layer) for layer in self.examined), default=0)
        if held > LAYER_MOST:
            raise Abstain(Reason.TOO_LARGE, f"{held} numbers in a layer's attention, {LAYER_MOST} at most")
        self.growing: dict[int, Layer] = {}
        self.spare: list[Floats] = []
        self.left: dict[int, int] = {}
        self.late: set[int] = set()
        self.legs: dict[int, alignment.HeadLegs] = {}

    def wants(self, spec: TensorSpec) -> bool:
        """Attention matrices of the examined layers that meet the residual stream, where all four are there."""
        if spec.role not in MATRICES or spec.layer not in self.examined or spec.expert is not None:
            return False
        found = self._specs(spec.layer)
        return len(found) == len(MATRICES) and all(self._fits(one) for one in found)

    def _specs(self, layer: int) -> list[TensorSpec]:
        """The layer's attention matrices."""
        return [found for role in MATRICES if (found := self.checkpoint.find(role, layer)) is not None]

    def _numbers(self, layer: int) -> int:
        """How many numbers its attention matrices hold."""
        return sum(one.rows * one.columns for one in self._specs(layer))

    def _fits(self, spec: TensorSpec) -> bool:
        """Whether a matrix meets the residual stream."""
        residual = spec.rows if spec.role == "o_proj" else spec.columns
        return residual == self.shape.width and spec.rows > 0

    def see(self, spec: TensorSpec, rows: Floats, start: int) -> None:
        """Keeps a block with the gains in front of it (behind it, for the output) folded in."""
        layer = spec.layer or 0
        if layer in self.legs or layer in self.late:
            return
        if layer not in self.growing:
            specs = self._specs(layer)
            held = sum(one.size for layers in self.growing.values() for one in layers.values())
            self.left[layer] = sum(one.rows for one in specs)
            if self.growing and held + self._numbers(layer) > HELD_MOST:
                self.late.add(layer)
                return
            self.growing[layer] = {one.role: self._room(one) for one in specs}
        self._take(self.growing[layer], spec, rows, start)
        self.left[layer] -= len(rows)
        if not self.left[layer]:
            self._close(layer, self.growing.pop(layer))

    def _room(self, spec: TensorSpec) -> Floats:
        """Room for a matrix, of a finished layer where there is one: fresh pages cost more than filling them."""
        shape = (spec.rows, spec.columns)
        fitting = [number for number, one in enumerate(self.spare) if one.shape == shape]
        return self.spare.pop(fitting[0]) if fitting else np.empty(shape, np.float32)

    def _take(self, matrices: Layer, spec: TensorSpec, rows: Floats, start: int) -> None:
        """One block into its matrix; LayerNorm's removal of the mean belongs to what reads its output."""
        stop, out = start + len(rows), matrices[spec.role][start : start + len(rows)]
        with np.errstate(all="ignore"):
            if spec.role == "o_proj":
                gain = self._gain("attn_post_norm", spec.layer or 0)
                np.multiply(rows, 1.0 if gain is None else gain[start:stop, None], out=out)
                return
            gain = self._gain("input_norm", spec.layer or 0)
            np.multiply(rows, 1.0 if gain is None else gain, out=out)
            if self.shape.norm == "layer":
                out -= out.mean(axis=1, keepdims=True)

    def _gain(self, role: str, layer: int) -> Floats | None:
        """A norm's gain, if it fits the residual stream."""
        gain = self.checkpoint.vector(role, layer)
        return gain if gain is not None and len(gain) == self.shape.width else None

    def _close(self, layer: int, matrices: Layer) -> None:
        """Takes a whole layer apart."""
        output = matrices["o_proj"].T
        with np.errstate(all="ignore"):
            if self.shape.norm == "layer":
                output = output - output.mean(axis=1, keepdims=True)
            sizes = {"heads": self.shape.heads, "kv_heads": self.shape.kv_heads, "rank": self.probe.rank}
            found = alignment.head_legs({**matrices, "o_proj": output}, **sizes)
        self.spare = list(matrices.values())
        if found is not None:
            self.legs[layer] = found

    def finish(self) -> Sketch:
        """`overlap` (4, n, 4, n) of n heads, `spectra` (2, n, rank), `layer` and `group` (n,)."""
        for layer in sorted(self.late):
            specs = self._specs(layer)
            matrices = {one.role: self._room(one) for one in specs}
            for spec in specs:
                for start, rows in self.checkpoint.rows(spec):
                    self._take(matrices, spec, rows, start)
            self._close(layer, matrices)
        layers = sorted(self.legs)
        if len(layers) < 2:
            raise Abstain(Reason.TOO_SMALL, f"{len(layers)} layers with usable heads, 2 needed")
        heads, kv_heads = self.shape.heads, self.shape.kv_heads
        legs = [self.legs[layer] for layer in layers]
        return self.probe.sketch(
            {
                "overlap": alignment.overlaps(legs).astype(np.float16),
                "spectra": np.concatenate([one.spectra for one in legs], axis=1),
                "layer": np.repeat(np.array(layers, np.int32), heads),
                "group": np.tile(np.arange(heads, dtype=np.int32) * kv_heads // heads, len(layers)),
            },
            {"width": self.shape.width, "layers_dropped": len(self.examined) - len(layers)},
        )


@dataclass(frozen=True, kw_only=True)
class AttentionGraph(SketchProbe):
    """Correlates how heads overlap, heads matched by the one circuit and judged by the other."""

    id: ClassVar[str] = "attention-graph"
    version: ClassVar[str] = "1.0"
    title: ClassVar[str] = "Attention heads among each other"
    measures: ClassVar[str] = (
        "Whether attention heads overlap with each other as the other model's do, heads matched by one circuit and "
        "judged by the others, without vocabulary and in any basis; retrained attention defeats it."
    )
    needs: ClassVar[str] = "attention matrices of at least 2 layers"
    expected: ClassVar[str] = "derived: 0.25 to 1, in any basis and vocabulary; unrelated: within 0.15 of 0"

    layers: int = 6
    heads: int = 128
    """Heads for which layers are taken, at least 4 layers."""
    rank: int = 6
    """Directions kept of each circuit."""
    starts: int = 6
    """Starts of each search."""

    def first_look(self) -> AttentionGraph:
        """Looks at two layers, the fewest that make a graph."""
        return replace(self, layers=2)

    def sketcher(self, checkpoint: Checkpoint) -> Heads:
        """Overlaps of the heads of a few layers."""
        return Heads(self, checkpoint)

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """Mean of four correlations: by either matching, the other circuit's edges and those across."""
        first, second = _graph(suspect), _graph(candidate)
        edges = alignment.shared_edges(first, second)
        if edges < EDGES_LEAST:
            raise Abstain(Reason.TOO_SMALL, f"{edges:.0f} free edges between heads, {EDGES_LEAST:.0f} needed")
        circuits = (alignment.QK, alignment.OV)
        found = [alignment.match_heads(first, second, circuit, self.starts) for circuit in circuits]
        matches = [match for match in found if match is not None]
        if len(matches) < len(found):
            raise Abstain(Reason.NOT_INFORMATIVE, "heads cannot be matched by one of the circuits")
        value = float(np.mean([(match.other + match.across) / 2.0 for match in matches]))
        by_layer = np.mean([match.by_layer for match in matches], axis=0)
        paired = [int(np.count_nonzero(match.partner >= 0)) for match in matches]
        layers = tuple(float(one) if np.isfinite(one) else None for one in by_layer)
        facts: dict[str, Scalar] = {
            "width": min(int(side.facts.get("width") or 0) for side in (suspect, candidate)),
            "layers_dropped": sum(int(s.facts.get("layers_dropped") or 0) for s in (suspect, candidate)),
            "heads_matched": min(paired),
            "edges": round(edges),
            "same_partner": alignment.agreement(matches[0].partner, matches[1].partner),
        }
        return Measurement(
            value=value,
            quantity="mean correlation of overlaps between heads that the matching did not look at, −1 to 1",
            summary=SUMMARY.format(min(paired), sum(one is not None for one in layers), value),
            group=Group.ATTENTION,
            layers=layers,
            facts=facts,
            tables=(_table(matches),),
        )


def _graph(sketch: Sketch) -> alignment.HeadGraph:
    """The sketch's graph; abstains where the arrays do not fit."""
    if not alignment.holds_heads(sketch.arrays):
        raise Abstain(Reason.INCOMPATIBLE_SKETCHES, "a sketch without overlaps, or whose arrays do not fit")
    graph = alignment.graph_of_heads(sketch.arrays)
    if graph is None:
        raise Abstain(Reason.TOO_SMALL, "fewer than 2 layers with heads that do something")
    return graph


def _table(matches: list[alignment.HeadMatch]) -> Table:
    """One row per matching."""
    told = [[round(number, 4) for number in (one.own, one.other, one.across)] for one in matches]
    rows: list[tuple[Scalar, ...]] = [(name, *one) for name, one in zip(("QK", "OV"), told, strict=True)]
    columns = ("matched by", "same circuit (searched)", "other circuit", "across")
    return Table(title="Heads matched: correlation of their overlaps", columns=columns, rows=tuple(rows))


@hookimpl
def forensics_probes() -> list[AttentionGraph]:
    """Offers this probe."""
    return [AttentionGraph()]
