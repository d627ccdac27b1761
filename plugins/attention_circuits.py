"""Attention circuits: whether attention matrices see shared tokens alike, in no particular basis.

For each of q, k, v (and o, from its output side) the kernel K = Z Zᵀ with Z = Ē diag(γ) Wᵀ over anchor tokens,
Ē their normed embedding rows and γ the gain in front of attention. K does not change under rotation or
permutation of the residual stream, gain folding, permutation of heads or an orthogonal change inside them; it
needs neither equal widths nor equal depths (methods §4.9). Independent models share the meaning of tokens, so
K is whitened by the embeddings' Gram matrix G, and projected out before kernels are correlated are G, whitened
G, each side's mean kernel over its layers, and the kernels Ē γ² Ēᵀ of what either layer's q, k, v are given.
Measured (unrelated twins gpt2, gemma 2 against 3, twins llama | continued for as long as pre-training, twice):
G projected out 0.41, 0.22, 0.10 | 0.65, 0.55; layer means too 0.21, 0.18, 0.06 | 0.56, 0.47; whitened as well
0.10, 0.07, 0.02 | 0.54, 0.45. Random matrices of width 1024 behind pasted gains 0.37, without what is given 0.07.
Anchors shared by half cost a copy 0.05.
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
    Series,
    Sketch,
    SketchProbe,
    Table,
    TensorSpec,
    alignment,
    hookimpl,
)

CIRCUITS = ("q_proj", "k_proj", "v_proj", "o_proj")
GIVEN = "input_norm"
"""Stands for the kernel of what q, k and v are given."""
SHARED_LEAST = 96
"""Fewer shared anchors than this say nothing."""
COLUMNS_MOST = 1 << 16
"""Inputs of o beyond this, many times what any model has, are not worth the memory of its responses."""
CIRCUITS_LEAST = 2
"""A layer is examined if this many of its four matrices can be used."""

SUMMARY = (
    "Over {} matched layers the attention matrices treat {} shared tokens alike to {:.2f}, beyond what the tokens "
    "mean; 1 is the same circuit, unrelated models lie near 0."
)

Floats = NDArray[np.float32]


class Kernels:
    """Accumulates the token kernels of the examined layers; keeps nothing large."""

    def __init__(self, probe: AttentionCircuits, checkpoint: Checkpoint) -> None:
        self.probe, self.checkpoint = probe, checkpoint
        shape = checkpoint.architecture
        anchors = checkpoint.anchors(probe.anchors)
        if anchors is None:
            raise Abstain(Reason.MISSING_TENSORS, "no tokenizer or no token embeddings to anchor kernels on")
        self.hashes, self.inputs = alignment.usable_anchors(
            anchors.hashes, anchors.rows, subtract_mean=shape.norm == "layer"
        )
        if len(self.hashes) < SHARED_LEAST:
            raise Abstain(Reason.TOO_SMALL, f"{len(self.hashes)} usable anchors, {SHARED_LEAST} needed")
        self.gram = self.inputs @ self.inputs.T
        self.white = alignment.whitener(self.gram, probe.ridge)
        self.examined = alignment.evenly_spaced(shape.layers, probe.layers)
        self.gained: tuple[int, Floats] | None = None
        self.growing: dict[TensorSpec, Floats] = {}
        self.seen: dict[TensorSpec, int] = {}
        self.packed: dict[tuple[int, str], NDArray[np.float16]] = {}

    def wants(self, spec: TensorSpec) -> bool:
        """Attention matrices of the examined layers, where they meet the residual stream's width."""
        residual = spec.rows if spec.role == "o_proj" else spec.columns
        return (
            spec.role in CIRCUITS
            and spec.layer in self.examined
            and spec.expert is None
            and residual == self.inputs.shape[1]
            and spec.columns <= COLUMNS_MOST
        )

    def see(self, spec: TensorSpec, rows: Floats, start: int) -> None:
        """Adds a block's part of the kernel (q, k, v) or of the output-side responses (o)."""
        stop = start + len(rows)
        with np.errstate(all="ignore"):
            if spec.role == "o_proj":
                part = self.inputs[:, start:stop] @ rows
            else:
                responses = self._gained(spec.layer or 0) @ rows.T
                part = responses @ responses.T
            if spec in self.growing:
                self.growing[spec] += part
            else:
                self.growing[spec] = part
        self.seen[spec] = self.seen.get(spec, 0) + len(rows)
        if self.seen[spec] == spec.rows:
            self._close(spec)

    def _gained(self, layer: int) -> Floats:
        """Anchor inputs times the gain in front of attention, (anchors, width); ones where there is no norm."""
        if self.gained is None or self.gained[0] != layer:
            gain = self.checkpoint.vector("input_norm", layer)
            if gain is None or len(gain) != self.inputs.shape[1]:
                gain = np.ones(1, np.float32)
            self.gained = (layer, self.inputs * gain)
            self._keep(layer, GIVEN, self.gained[1] @ self.gained[1].T)
        return self.gained[1]

    def _close(self, spec: TensorSpec) -> None:
        """Keeps a finished kernel."""
        grown = self.growing.pop(spec)
        with np.errstate(all="ignore"):
            self._keep(spec.layer or 0, spec.role, grown @ grown.T if spec.role == "o_proj" else grown)

    def _keep(self, layer: int, role: str, kernel: Floats) -> None:
        """Packs a kernel, whitened, if it is finite and not empty."""
        with np.errstate(all="ignore"):
            packed = alignment.pack(self.white @ kernel @ self.white)
        if np.isfinite(packed).all() and packed.any():
            self.packed[layer, role] = packed

    def finish(self) -> Sketch:
        """Hashes (n,), packed G and whitened G (2, p), kernels (layers, 5, p) of q, k, v, o and input, layers."""
        layers = [
            layer
            for layer in self.examined
            if sum((layer, role) in self.packed for role in CIRCUITS) >= CIRCUITS_LEAST
        ]
        if len(layers) < 2:
            raise Abstain(Reason.TOO_SMALL, f"{len(layers)} layers with usable attention matrices, 2 needed")
        white = self.white @ self.gram @ self.white
        embedding = np.stack([alignment.pack(self.gram), alignment.pack(white)])
        if not embedding.any():
            raise Abstain(Reason.NOT_INFORMATIVE, "the anchor tokens' embeddings are all alike")
        nothing = np.zeros_like(embedding[0])
        kernels = [
            [self.packed.get((layer, role), nothing) for role in (*CIRCUITS, GIVEN)] for layer in layers
        ]
        return self.probe.sketch(
            {
                "hashes": self.hashes,
                "embedding": embedding,
                "kernels": np.array(kernels, np.float16),
                "layers": np.array(layers, np.int32),
            },
            {
                "width": self.checkpoint.architecture.width,
                "layers_dropped": len(self.examined) - len(layers),
            },
        )


@dataclass(frozen=True, kw_only=True)
class AttentionCircuits(SketchProbe):
    """Correlates token kernels of attention matrices, layers matched by assignment."""

    id: ClassVar[str] = "attention-circuits"
    version: ClassVar[str] = "1"
    title: ClassVar[str] = "Attention circuits seen from shared tokens"
    measures: ClassVar[str] = (
        "How alike the attention matrices of matched layers transform shared tokens, beyond what the meaning of "
        "tokens explains; judged against unrelated models. Full retraining of attention defeats it."
    )
    needs: ClassVar[str] = "attention matrices, token embeddings, tokenizer"
    expected: ClassVar[str] = (
        "Derived: 0.45 to 1, usually above 0.8, in whatever basis; unrelated: below 0.1, below 0.2 with pasted "
        "embeddings and norms."
    )
    layers: int = 12
    anchors: int = 352
    ridge: float = 0.3
    """Of whitening, in root mean squares of the embeddings' singular values."""

    def first_look(self) -> AttentionCircuits:
        """Looks at two layers, the fewest that make a reading."""
        return replace(self, layers=2)

    def sketcher(self, checkpoint: Checkpoint) -> Kernels:
        """Kernels of up to `layers` evenly spaced layers over up to `anchors` tokens."""
        return Kernels(self, checkpoint)

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """Mean over the suspect's matched layers of the mean correlation over q, k, v and o, in [−1, 1]."""
        if not all(alignment.holds_kernels(side.arrays) for side in (suspect, candidate)):
            raise Abstain(
                Reason.INCOMPATIBLE_SKETCHES, "a sketch without kernels, or whose arrays do not fit"
            )
        left, right = alignment.shared_positions(suspect.arrays["hashes"], candidate.arrays["hashes"])
        if len(left) < SHARED_LEAST:
            raise Abstain(Reason.NO_SHARED_TOKENS, f"{len(left)} shared anchors, {SHARED_LEAST} needed")
        sides = [alignment.layer_kernels(s.arrays, k) for s, k in ((suspect, left), (candidate, right))]
        per_circuit = alignment.circuit_correlations(sides[0], sides[1])
        there = np.isfinite(per_circuit)
        if not there.any():
            raise Abstain(
                Reason.NOT_INFORMATIVE, "attention is the same in all layers, or has no part in common"
            )
        counts = there.sum(axis=0)
        sums = np.where(there, per_circuit, 0.0).sum(axis=0)
        similarity = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
        partner = alignment.match_layers(similarity)
        matched = {i: int(j) for i, j in enumerate(partner) if j >= 0 and counts[i, j]}
        by_layer = {i: float(similarity[i, j]) for i, j in matched.items()}
        value = float(np.mean(list(by_layer.values())))
        facts: dict[str, Scalar] = {
            "width": min(int(side.facts.get("width") or 0) for side in (suspect, candidate)),
            "layers_dropped": sum(
                int(side.facts.get("layers_dropped") or 0) for side in (suspect, candidate)
            ),
            "shared_anchors": len(left),
            "layers_matched": len(matched),
            "matched_in_order": list(matched.values()) == sorted(matched.values()),
        }
        return Measurement(
            value=value,
            quantity="mean correlation of token kernels over q, k, v, o and matched layers, −1 to 1",
            summary=SUMMARY.format(len(matched), len(left), value),
            group=Group.ATTENTION,
            layers=tuple(by_layer.get(i) for i in range(len(similarity))),
            facts=facts,
            tables=(_table(suspect, candidate, per_circuit, matched),),
            series=(_series(suspect, by_layer),),
        )


def _table(
    suspect: Sketch, candidate: Sketch, per_circuit: NDArray[np.float64], matched: dict[int, int]
) -> Table:
    """One row per matched pair of layers."""
    mine, theirs = (side.arrays["layers"].astype(int).tolist() for side in (suspect, candidate))
    rows = tuple(
        (mine[i], theirs[j], *(round(float(c), 4) if np.isfinite(c) else None for c in per_circuit[:, i, j]))
        for i, j in matched.items()
    )
    columns = ("suspect layer", "candidate layer", "q", "k", "v", "o")
    return Table(title="Matched layers: correlation of token kernels", columns=columns, rows=rows)


def _series(suspect: Sketch, by_layer: dict[int, float]) -> Series:
    """The reading over depth."""
    numbers = suspect.arrays["layers"].astype(int).tolist()
    return Series(
        panel="Attention circuits",
        name="correlation over q, k, v, o",
        x_label="layer of the suspect",
        y_label="correlation of token kernels",
        x=tuple(float(numbers[i]) for i in by_layer),
        y=tuple(by_layer.values()),
    )


@hookimpl
def forensics_probes() -> list[AttentionCircuits]:
    """Offers this probe."""
    return [AttentionCircuits()]
