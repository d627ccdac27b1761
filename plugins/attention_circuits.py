"""Attention circuits: whether attention matrices see shared tokens alike, in no particular basis.

For each of q, k, v (and o, from its output side) the kernel K = Z Zᵀ with Z = Ē diag(γ) Wᵀ over anchor tokens,
Ē their normed embedding rows and γ the gain in front of attention. K does not change under rotation or
permutation of the residual stream, gain folding, permutation of heads or an orthogonal change inside them; it
needs neither equal widths nor equal depths (methods §4.9). Independent models share the meaning of tokens, so
K is whitened by the embeddings' Gram matrix G, and G, whitened G and each side's mean kernel over its layers are
projected out before kernels are correlated. Measured (width 96 to 128; unrelated twins gpt2, gemma 2 against 3,
twins llama | descendants continued for as long as pre-training, two families):
G projected out 0.41, 0.22, 0.10 | 0.65, 0.55; layer means too 0.21, 0.18, 0.06 | 0.56, 0.47; whitened as well
0.10, 0.07, 0.02 | 0.54, 0.45. Anchors shared by half cost a copy 0.05.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
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
SHARED_LEAST = 96
"""Fewer shared anchors than this say nothing."""
CIRCUITS_LEAST = 2
"""A layer is examined if this many of its four matrices can be used."""
LAYERS_FOR_MEAN = 3
"""From this many layers on, what all layers of a model have in common is projected out."""

Floats = NDArray[np.float32]
Kernel = NDArray[np.float32]


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
            self.growing[spec] = self.growing[spec] + part if spec in self.growing else part
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
        return self.gained[1]

    def _close(self, spec: TensorSpec) -> None:
        """Packs a finished kernel, whitened, if it is finite and not empty."""
        grown = self.growing.pop(spec)
        with np.errstate(all="ignore"):
            kernel = grown @ grown.T if spec.role == "o_proj" else grown
            packed = alignment.pack(self.white @ kernel @ self.white)
        if np.isfinite(packed).all() and packed.any():
            self.packed[spec.layer or 0, spec.role] = packed

    def finish(self) -> Sketch:
        """Hashes (n,), packed G and whitened G (2, p), packed kernels (layers, 4, p), layer numbers."""
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
        "Derived: above 0.5, usually above 0.9, whatever basis; unrelated: about 0 to 0.15."
    )
    layers: int = 12
    anchors: int = 384
    ridge: float = 0.3
    """Of whitening, in root mean squares of the embeddings' singular values."""

    def sketcher(self, checkpoint: Checkpoint) -> Kernels:
        """Kernels of up to `layers` evenly spaced layers over up to `anchors` tokens."""
        return Kernels(self, checkpoint)

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """Mean over the suspect's matched layers of the mean correlation over q, k, v and o, in [−1, 1]."""
        _check(suspect)
        _check(candidate)
        left, right = alignment.shared_positions(suspect.arrays["hashes"], candidate.arrays["hashes"])
        if len(left) < SHARED_LEAST:
            raise Abstain(Reason.NO_SHARED_TOKENS, f"{len(left)} shared anchors, {SHARED_LEAST} needed")
        per_circuit = _correlations(_flat(suspect, left), _flat(candidate, right))
        there = np.isfinite(per_circuit)
        if not there.any():
            detail = (
                "no kind of attention matrix has anything of its own on both sides beyond what tokens mean"
            )
            raise Abstain(Reason.NOT_INFORMATIVE, detail)
        return _measurement(suspect, candidate, per_circuit, len(left))


def _check(sketch: Sketch) -> None:
    """Abstains unless the sketch's arrays fit each other."""
    arrays = sketch.arrays
    if {"hashes", "embedding", "kernels", "layers"} - set(arrays):
        raise Abstain(Reason.INCOMPATIBLE_SKETCHES, "a sketch without kernels")
    tokens, layers = len(arrays["hashes"]), len(arrays["layers"])
    pairs = tokens * (tokens - 1) // 2
    fits = arrays["embedding"].shape == (2, pairs) and arrays["kernels"].shape == (layers, 4, pairs)
    if not fits or not all(np.isfinite(arrays[n]).all() for n in ("embedding", "kernels")):
        raise Abstain(Reason.INCOMPATIBLE_SKETCHES, "a sketch whose kernels do not fit its anchors")


def _flat(sketch: Sketch, keep: NDArray[np.intp]) -> tuple[Kernel, Kernel]:
    """G and whitened G (2, p) and all other kernels (layers, 4, p), over the tokens `keep`."""
    tokens = len(sketch.arrays["hashes"])
    own = alignment.unpack(sketch.arrays["embedding"], tokens, keep)
    packed = sketch.arrays["kernels"]
    others = alignment.unpack(packed.reshape(-1, packed.shape[-1]), tokens, keep)
    return own, others.reshape(-1, 4, others.shape[-1])


def _correlations(suspect: tuple[Kernel, Kernel], candidate: tuple[Kernel, Kernel]) -> Kernel:
    """Correlations (4, suspect layers, candidate layers); NaN where a side has no such matrix of its own kind."""
    meaning = [*suspect[0], *candidate[0]]
    first, second = (
        alignment.project_out(kernels.reshape(-1, kernels.shape[-1]), meaning).reshape(kernels.shape)
        for kernels in (suspect[1], candidate[1])
    )
    found = np.full((4, len(first), len(second)), np.nan, np.float32)
    for c in range(4):
        sides = [first[:, c], second[:, c]]
        there = [np.flatnonzero(side.any(axis=1)) for side in sides]
        means = [
            side[rows].mean(axis=0)
            for side, rows in zip(sides, there, strict=True)
            if len(rows) >= LAYERS_FOR_MEAN
        ]
        left, right = (alignment.project_out(side, means) for side in sides)
        there = [np.flatnonzero(side.any(axis=1)) for side in (left, right)]
        found[c][np.ix_(*there)] = (left @ right.T)[np.ix_(*there)]
    return found


def _measurement(suspect: Sketch, candidate: Sketch, per_circuit: Kernel, shared: int) -> Measurement:
    """Matches layers and words the reading."""
    there = np.isfinite(per_circuit)
    similarity = np.where(there, per_circuit, 0.0).sum(axis=0) / np.maximum(there.sum(axis=0), 1)
    partner = alignment.match_layers(similarity)
    numbers = [int(n) for n in suspect.arrays["layers"]], [int(n) for n in candidate.arrays["layers"]]
    matched = [(i, int(j)) for i, j in enumerate(partner) if j >= 0]
    value = float(np.mean([similarity[i, j] for i, j in matched]))
    rows = tuple(
        (
            numbers[0][i],
            numbers[1][j],
            *(round(float(c), 4) if np.isfinite(c) else None for c in per_circuit[:, i, j]),
        )
        for i, j in matched
    )
    in_order = all(a[1] < b[1] for a, b in pairwise(matched))
    return Measurement(
        value=value,
        quantity="mean correlation of token kernels over q, k, v, o and matched layers, −1 to 1",
        summary=(
            f"Over {len(matched)} matched layers the attention matrices treat {shared} shared tokens alike to "
            f"{value:.2f}, beyond the tokens' own meaning; 1 is the same circuit, unrelated models lie near 0."
        ),
        group=Group.ATTENTION,
        layers=tuple(float(similarity[i, j]) if j >= 0 else None for i, j in enumerate(partner)),
        facts=_facts(suspect, candidate)
        | {
            "shared_anchors": shared,
            "layers_matched": len(matched),
            "matched_in_order": in_order,
        },
        tables=(
            Table(
                title="Matched layers: correlation of token kernels",
                columns=("suspect layer", "candidate layer", "q", "k", "v", "o"),
                rows=rows,
            ),
        ),
        series=(
            Series(
                panel="Attention circuits",
                name=candidate.subject[:12] or "candidate",
                x_label="layer of the suspect",
                y_label="correlation of token kernels",
                x=tuple(float(numbers[0][i]) for i, _ in matched),
                y=tuple(float(similarity[i, j]) for i, j in matched),
            ),
        ),
    )


def _facts(suspect: Sketch, candidate: Sketch) -> dict[str, Scalar]:
    """Side figures that both sketches give."""
    widths = [int(side.facts.get("width") or 0) for side in (suspect, candidate)]
    dropped = [int(side.facts.get("layers_dropped") or 0) for side in (suspect, candidate)]
    return {"width": min(widths), "layers_dropped": sum(dropped)}


@hookimpl
def forensics_probes() -> list[AttentionCircuits]:
    """Offers this probe."""
    return [AttentionCircuits()]
