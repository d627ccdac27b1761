"""Attention circuits: whether attention heads see shared tokens alike, in no particular basis.

For each of q, k, v (and o, from its output side) the kernel is Σ_h P_h, P_h the projection onto what head h
responds with, Z = W Ē diag(γ) W_hᵀ over anchor tokens: Ē their normed embedding rows, γ the gain in front of
attention, W whitening by the embeddings' Gram matrix G. It does not change under rotation or permutation of the
residual stream, gain folding, permutation of heads or any invertible map inside them; it needs neither equal widths
nor equal depths (methods §4.9). Latent attention reads as if its factors were multiplied out (alignment/responses);
heads as wide as what the anchors span are known by their strongest responses (alignment/subspaces). Independent
models share the meaning of tokens, so projected out before kernels are correlated are G, whitened G, and each side's
mean kernel over its layers.
Known defeats: retrained attention; a vocabulary of which nothing is shared (attention-channels needs none).
Measured on trained models 64 to 128 wide, Σ Z Zᵀ (version 1) | Σ P: continued for as long as pre-training 0.45 to
0.55 | 0.47 to 0.58; unrelated twins at most 0.11 | 0.02; pasted embeddings and norms 0.20 | 0.06; distilled from
scratch 0.08 | 0.03; one initialisation, trained apart 0.04 | 0.09; half of the weights pruned 0.95 | 0.84. Latent
attention, single heads, heads as wide as the model: continued 0.53 to 0.58, twins at most 0.004, pasted at most 0.03.
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
REPEATED = 0.3
"""So much better than the layer assigned, far above unrelated readings, must one be that has a partner already."""
SHARED_LEAST = 96
"""Fewer shared anchors than this say nothing."""
CIRCUITS_LEAST = 2
"""A layer is examined if this many of its four matrices can be used."""

SUMMARY = (
    "Over {} matched layers the attention heads see {} shared tokens alike to {:.2f}, beyond what the tokens "
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
        self.hashes, inputs = alignment.usable_anchors(
            anchors.hashes, anchors.rows, subtract_mean=shape.norm == "layer"
        )
        if len(self.hashes) < SHARED_LEAST:
            raise Abstain(Reason.TOO_SMALL, f"{len(self.hashes)} usable anchors, {SHARED_LEAST} needed")
        self.gram = inputs @ inputs.T
        self.white = alignment.whitener(self.gram, probe.ridge)
        self.span = min(len(self.hashes) - 1, inputs.shape[1])
        self.examined = alignment.nested_layers(shape.layers, probe.layers)
        whitened = (self.white @ inputs).astype(np.float32)
        self.responses = alignment.Responses(checkpoint=checkpoint, whitened=whitened, layers=self.examined)
        self.packed: dict[tuple[int, str], NDArray[np.float16]] = {}

    def wants(self, spec: TensorSpec) -> bool:
        """Attention matrices of the examined layers that can be used."""
        return self.responses.wants(spec)

    def see(self, spec: TensorSpec, rows: Floats, start: int) -> None:
        """Adds a block's responses; keeps the head subspaces of what is complete by it."""
        for circuit, parts in self.responses.see(spec, rows, start):
            kernels = [alignment.head_subspaces(seen, head_dim, self.span) for seen, head_dim in parts]
            found = [kernel for kernel in kernels if kernel is not None]
            if len(found) == len(parts):
                self._keep(spec.layer or 0, circuit, sum(found[1:], found[0]))

    def _keep(self, layer: int, role: str, kernel: Floats) -> None:
        """Packs a kernel if it is finite and not empty."""
        with np.errstate(all="ignore"):
            packed = alignment.pack(kernel)
        if np.isfinite(packed).all() and packed.any():
            self.packed[layer, role] = packed

    def finish(self) -> Sketch:
        """Hashes (n,), packed G and whitened G (2, p), kernels (layers, 4, p) of q, k, v and o, layers."""
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
        kernels = [[self.packed.get((layer, role), nothing) for role in CIRCUITS] for layer in layers]
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
    """Correlates what attention heads see of shared tokens, layers matched by assignment."""

    id: ClassVar[str] = "attention-circuits"
    version: ClassVar[str] = "2.0"
    title: ClassVar[str] = "Attention circuits seen from shared tokens"
    measures: ClassVar[str] = (
        "How alike the attention matrices of matched layers transform shared tokens, beyond what the meaning of "
        "tokens explains; judged against unrelated models. Full retraining of attention defeats it."
    )
    needs: ClassVar[str] = "attention matrices, token embeddings, tokenizer"
    expected: ClassVar[str] = (
        "Derived: 0.45 to 1, usually above 0.8, in whatever basis; unrelated: below 0.05, below 0.1 with pasted "
        "embeddings and norms or the same initialisation."
    )
    layers: int = 12
    anchors: int = 352
    ridge: float = 0.3
    """Of whitening, in root mean squares of the embeddings' singular values."""

    def first_look(self) -> AttentionCircuits:
        """Looks at two layers, the fewest that make a reading."""
        return replace(self, layers=2)

    def sketcher(self, checkpoint: Checkpoint) -> Kernels:
        """Kernels of up to `layers` layers spread over the depth over up to `anchors` tokens."""
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
        partner = alignment.match_repeated(similarity, REPEATED)
        matched = {i: int(j) for i, j in enumerate(partner) if j >= 0 and counts[i, j]}
        by_layer = {i: float(similarity[i, j]) for i, j in matched.items()}
        value = float(np.mean(list(by_layer.values())))
        facts: dict[str, Scalar] = {
            "width": min(int(side.facts.get("width") or 0) for side in (suspect, candidate)),
            "layers_dropped": sum(int(s.facts.get("layers_dropped") or 0) for s in (suspect, candidate)),
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
