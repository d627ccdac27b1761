"""Attention channels: how much of each residual channel queries, keys and values read, in place.

c_j = log Σ_r w_rj² / ‖w_r‖² over the rows r of W_q, W_k or W_v, less what the same model's norm gain and shift of the
layer and its embeddings' size in channel j explain linearly; then normal scores over channels, and their
correlation. It needs no shared vocabulary, and stays under rescaling of head dimensions and permutation of heads.
An unrelated model is as likely as its copy with permuted channels, one permutation for all layers (methods §4.2,
fact 1), which gives an exact test: of layers in place where both have as many, else of the curves' means over layers.
Each side is freed of its own nuisances alone, which keeps the test exact.
Known defeats: permuted or rotated channels (attention-circuits sees through both); mixing inside heads weakens it.
Trained over another's pasted embeddings and norms, models agree at up to 0.25 and z 8, so a p-value below 10⁻³ is
told only above `CLEAR`. Measured: continued for as long as pre-training 0.6 to 0.75; unrelated at most 0.12.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from forensics import (
    Abstain,
    Checkpoint,
    Exact,
    Group,
    Measurement,
    Reason,
    Sketch,
    SketchProbe,
    Table,
    TensorSpec,
    alignment,
    hookimpl,
)

READERS = ("q_proj", "k_proj", "v_proj")
WIDTH_LEAST = 32
ANCHORS = 352
"""Embedding rows from which the size of each channel is taken."""
CLEAR = 0.4
"""Below this agreement, which pasted embeddings and norms stay under, no p-value smaller than `UNCLEAR` is told."""
UNCLEAR = 1e-3
TINY = 1e-30
NULL = (
    "the initialisations were drawn independently and neither training used the other's weights, so that the "
    "channels of the residual stream are exchangeable, in all layers by one permutation"
)

ODDS = ", and agreement in place this strong has probability at most {:.1g}"

Floats = NDArray[np.float64]


class Channels:
    """Accumulates what each matrix reads of each channel: one number per channel."""

    def __init__(self, probe: AttentionChannels, checkpoint: Checkpoint) -> None:
        self.probe, self.checkpoint = probe, checkpoint
        shape = checkpoint.architecture
        self.width = shape.width
        if self.width < WIDTH_LEAST:
            raise Abstain(Reason.TOO_SMALL, f"{self.width} channels, {WIDTH_LEAST} needed")
        self.examined = alignment.nested_layers(shape.layers, probe.layers)
        self.read: dict[tuple[int, str], Floats] = {}
        anchors = checkpoint.anchors(ANCHORS)
        usable = anchors is not None and anchors.rows.shape[1:] == (self.width,) and len(anchors.rows) > 1
        self.size = anchors.rows.astype(np.float64).std(axis=0) if anchors is not None and usable else None

    def wants(self, spec: TensorSpec) -> bool:
        """Queries, keys and values of the examined layers."""
        return (
            spec.role in READERS
            and spec.layer in self.examined
            and spec.expert is None
            and spec.columns == self.width
        )

    def see(self, spec: TensorSpec, rows: NDArray[np.float32], start: int) -> None:  # noqa: ARG002
        """Adds the block's rows, each scaled to unit length."""
        with np.errstate(all="ignore"):
            squares = rows * rows
            lengths = squares.sum(axis=1)
            weights = np.where(lengths > TINY, 1.0 / lengths, 0.0).astype(np.float32)
            place = (spec.layer or 0, spec.role)
            self.read[place] = self.read.get(place, 0.0) + (weights @ squares).astype(np.float64)

    def _freed(self, layer: int, energies: Floats) -> Floats | None:
        """Normal scores of log energies without what its own gain, shift and embeddings explain; 0 where dead."""
        if not np.isfinite(energies).all() or not energies.any():
            return None
        known = [np.ones(self.width)]
        vectors = [self.checkpoint.vector(role, layer) for role in ("input_norm", "input_norm_bias")]
        known += [
            np.log(np.abs(vector.astype(np.float64)) + 1e-6)
            for vector in (*vectors, self.size)
            if vector is not None and vector.shape == (self.width,) and np.isfinite(vector).all()
        ]
        alive = energies > 0.0
        if np.count_nonzero(alive) < WIDTH_LEAST:
            return None
        design, curve = np.stack(known, axis=1)[alive], np.log(energies[alive])
        left = curve - design @ np.linalg.lstsq(design, curve, rcond=None)[0]
        scores = np.zeros(self.width)
        scores[alive] = alignment.normal_scores(np.round(left, 9))
        return scores

    def finish(self) -> Sketch:
        """`curves` (layers, 3, width) of q, k, v, zeros for none, and `layers`."""
        curves = np.zeros((len(self.examined), len(READERS), self.width), np.float32)
        for (layer, role), energies in self.read.items():
            freed = self._freed(layer, energies)
            if freed is not None:
                curves[self.examined.index(layer), READERS.index(role)] = freed
        there = curves.any(axis=(1, 2))
        if not there.any():
            raise Abstain(Reason.MISSING_TENSORS, "no queries, keys or values that read the residual stream")
        return self.probe.sketch(
            {"curves": curves[there], "layers": np.array(self.examined, np.int32)[there]},
            {"depth": self.checkpoint.architecture.layers},
        )


@dataclass(frozen=True, kw_only=True)
class AttentionChannels(SketchProbe):
    """Correlates what attention reads of each residual channel, with an exact p-value."""

    id: ClassVar[str] = "attention-channels"
    version: ClassVar[str] = "1.0"
    title: ClassVar[str] = "Channels that attention reads"
    measures: ClassVar[str] = (
        "Whether queries, keys and values read the same residual channels, beyond gains and embeddings, against an "
        "exact null of permuted channels; defeated by permuting or rotating the residual stream."
    )
    needs: ClassVar[str] = "attention matrices, equal widths"
    blind_to: ClassVar[tuple[str, ...]] = ("permute-residual", "rotate-residual")
    expected: ClassVar[str] = (
        "derived in place: 0.5 to 1; unrelated: within 0.12 of 0, 0.26 with pasted embeddings"
    )

    layers: int = 8
    draws: int = 999
    seed: int = 0

    def first_look(self) -> AttentionChannels:
        """Looks at two layers."""
        return replace(self, layers=2)

    def sketcher(self, checkpoint: Checkpoint) -> Channels:
        """One curve over channels per matrix."""
        return Channels(self, checkpoint)

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """Mean correlation over q, k, v and layers matched by assignment, and the test in place."""
        sides = [_curves(side) for side in (suspect, candidate)]
        if sides[0].shape[2] != sides[1].shape[2]:
            detail = f"{sides[0].shape[2]} and {sides[1].shape[2]} channels cannot be paired by position"
            raise Abstain(Reason.NOT_COMPARABLE, detail)
        similarity = _similarity(*sides)
        partner = alignment.match_layers(similarity)
        if not np.isfinite(similarity).any():
            raise Abstain(Reason.NOT_COMPARABLE, "the two models have no matrix of one kind")
        pairs = [(i, int(j)) for i, j in enumerate(partner) if j >= 0 and np.isfinite(similarity[i, j])]
        matched = {i: float(similarity[i, j]) for i, j in pairs}
        value = float(np.mean(list(matched.values())))
        exact, z = _tested(self, suspect, candidate, value)
        mine, theirs = (side.arrays["layers"].astype(int).tolist() for side in (suspect, candidate))
        rows = tuple((mine[i], theirs[j], round(matched[i], 4)) for i, j in pairs)
        columns = ("suspect layer", "candidate layer", "correlation")
        return Measurement(
            value=value,
            quantity="mean correlation over channels of what q, k and v read, −1 to 1",
            summary=(
                f"Over {len(matched)} layers attention reads the same residual channels at {value:.2f}; unrelated "
                f"models lie near 0{ODDS.format(exact.p) if exact else ''}."
            ),
            group=Group.ATTENTION,
            layers=tuple(matched.get(i) for i in range(len(similarity))),
            exact=exact,
            facts={"width": sides[0].shape[2], "layers_matched": len(matched), "z": z},
            tables=(Table(title="Matched layers: channels read", columns=columns, rows=rows),),
        )


def _curves(sketch: Sketch) -> Floats:
    """The sketch's curves, float64; abstains where the arrays do not fit."""
    curves, layers = (sketch.arrays.get(name) for name in ("curves", "layers"))
    fits = curves is not None and layers is not None and curves.ndim == 3 and layers.shape == curves.shape[:1]
    if curves is None or not fits or curves.shape[1] != len(READERS) or not np.isfinite(curves).all():
        raise Abstain(Reason.INCOMPATIBLE_SKETCHES, "a sketch without curves, or whose arrays do not fit")
    return curves.astype(np.float64)


def _similarity(first: Floats, second: Floats) -> Floats:
    """Mean correlation of q, k and v (layers, layers), over those both have; NaN where there is none."""
    total, count = np.zeros((len(first), len(second))), np.zeros((len(first), len(second)))
    for reader in range(len(READERS)):
        a, b = first[:, reader], second[:, reader]
        lengths = np.outer(np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1))
        total += np.where(lengths > 0.0, a @ b.T / np.maximum(lengths, TINY), 0.0)
        count += lengths > 0.0
    return np.where(count > 0, np.clip(total / np.maximum(count, 1), -1.0, 1.0), np.nan)


def _tested(
    probe: AttentionChannels, suspect: Sketch, candidate: Sketch, value: float
) -> tuple[Exact | None, float]:
    """The test of layers in place, or of mean curves where depths differ, and its z; pairing looks at no reading.

    Channels dead on either side are left out (permuting the others is a subgroup). None where both sides stand sorted
    along a trend, as tools that prune by importance leave them, for then channels are not exchangeable.
    """
    first, second = _curves(suspect), _curves(candidate)
    in_place = suspect.facts.get("depth") == candidate.facts.get("depth")
    _, mine, theirs = np.intersect1d(
        suspect.arrays["layers"], candidate.arrays["layers"], return_indices=True
    )
    width = first.shape[-1]
    if in_place and len(mine):
        first, second = first[mine].reshape(-1, width), second[theirs].reshape(-1, width)
    else:
        first, second = first.mean(axis=0), second.mean(axis=0)
    alive = first.any(axis=0) & second.any(axis=0)
    first, second = first[:, alive], second[:, alive]
    if np.count_nonzero(alive) < WIDTH_LEAST or (_sorted(first) and _sorted(second)):
        return None, 0.0
    rng = np.random.Generator(np.random.PCG64(probe.seed))
    test = alignment.joint_permutation_test(first, second, draws=probe.draws, rng=rng)
    method = test.method("joint permutations of channels", "swaps of channels")
    method += "; layers in place" if in_place else "; means over layers, since depths differ"
    if value < CLEAR and test.p < UNCLEAR:
        method += (
            f"; told no smaller than {UNCLEAR}, since pasted embeddings could explain so little agreement"
        )
    p = test.p if value >= CLEAR else max(test.p, UNCLEAR)
    return Exact(p=p, null_hypothesis=NULL, method=method), test.z


def _sorted(curves: Floats) -> bool:
    """Whether any kind of matrix's curve follows the channels' order more than chance allows."""
    return any(alignment.stand_sorted(curve) for curve in (*curves[:3], curves.mean(axis=0)))


@hookimpl
def forensics_probes() -> list[AttentionChannels]:
    """Offers this probe."""
    return [AttentionChannels()]
