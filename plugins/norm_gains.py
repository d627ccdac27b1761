"""Norm gains, channel by channel: centred, ranked, against an exact joint permutation of the residual stream.

Raw cosine of gains is near one for any two trained models, because gains start at one and stay positive; the centred
correlation of the same tensors separates 0.01 from 1.00 (methods §1.28 and §4.3 P4). Gains are compared as magnitudes,
since flipping a gain together with what it feeds changes nothing a model computes, and as normal scores of their
ranks, so that a handful of outlier channels cannot decide alone.
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
    Scalar,
    Series,
    Sign,
    SignKind,
    Sketch,
    Sketcher,
    SketchProbe,
    Table,
    TensorSpec,
    alignment,
    hookimpl,
)

KINDS = ("input_norm", "attn_post_norm", "mlp_norm", "mlp_post_norm", "final_norm")
LEAST_WIDTH = 16
PANEL = "Agreement of norm gains over channels"
TRAINED_DISPERSION = 3.0
"""A matrix of independent normal entries has dispersion 1 (`alignment.dispersion`)."""
NULL = (
    "the initialisations were drawn independently and neither training used the other's weights, "
    "so that channels of the residual stream are exchangeable"
)
FOLDED = (
    "; its attention weights look trained, and training does not leave every gain constant: gains may have been folded "
    "into the weights, as is done before a rotation (possible tampering)"
)

Rows = NDArray[np.float64]


class Gains:
    """Takes the gains before the pass, and watches one query matrix to see whether the rest is trained."""

    def __init__(self, probe: NormGains, checkpoint: Checkpoint) -> None:
        self._probe = probe
        self._layers = checkpoint.architecture.layers
        self._energies: list[NDArray[np.float32]] = []
        self._columns = 0
        places = [(kind, layer) for kind in KINDS[:-1] for layer in range(self._layers)] + [(KINDS[-1], -1)]
        read = {(k, n): checkpoint.vector(k, None if n < 0 else n) for k, n in places}
        found = {place: gain for place, gain in read.items() if gain is not None and gain.size}
        if not found:
            raise Abstain(Reason.MISSING_TENSORS, "no norm gains: the norms have none or were not recognised")
        self._gains = {place: gain for place, gain in found.items() if np.isfinite(gain).all()}
        if not self._gains:
            raise Abstain(Reason.NOT_FINITE, "every vector of norm gains holds NaN or infinity")

    def wants(self, spec: TensorSpec) -> bool:
        """One query matrix, halfway up."""
        return spec.role == "q_proj" and spec.layer == self._layers // 2

    def see(self, spec: TensorSpec, rows: NDArray[np.float32], start: int) -> None:  # noqa: ARG002
        """Keeps the energy of each row."""
        self._columns = spec.columns
        self._energies.append(alignment.row_energies(rows))

    def finish(self) -> Sketch:
        """Gains of the commonest size stacked by kind, and how trained the watched matrix looks."""
        sizes = [gain.size for gain in self._gains.values()]
        width = max(sizes, key=lambda size: (sizes.count(size), size))
        arrays = alignment.stack({place: g for place, g in self._gains.items() if g.size == width}, KINDS)
        facts: dict[str, Scalar] = {"width": width, "layers": self._layers}
        facts["dispersion"] = alignment.dispersion(self._energies, self._columns)
        return self._probe.sketch(arrays, facts)


def _places(suspect: Sketch, candidate: Sketch, by_layer: bool) -> list[alignment.GainPlace]:
    """Equal depth: same kind and layer. Otherwise same kind, magnitudes averaged over layers."""
    places = []
    for kind in KINDS:
        sides = [alignment.unstack(sketch.arrays, kind) for sketch in (suspect, candidate)]
        if not by_layer:
            sides = [{-1: np.mean(np.abs(list(side.values())), axis=0)} if side else {} for side in sides]
        shared = sorted(sides[0].keys() & sides[1].keys())
        places += [alignment.GainPlace(kind, n, np.abs(sides[0][n]), np.abs(sides[1][n])) for n in shared]
    return places


def _varying(places: list[alignment.GainPlace], trained: bool) -> list[alignment.GainPlace]:
    """The norms whose gains vary in both; abstains where there is none, and says what that may mean."""
    kept = [place for place in places if not any(place.flat)]
    if kept:
        return kept
    sides = [all(place.flat[side] for place in places) for side in (0, 1)]
    who = "the suspect" if sides[0] else "the candidate" if sides[1] else "one side or the other"
    detail = f"the norm gains of {who} are constant, so nothing varies over channels"
    if not sides[0] or not trained:
        raise Abstain(Reason.NOT_INFORMATIVE, detail)
    sign = Sign(sign=SignKind.TAMPERING, detail=f"{detail}, although the weights look trained")
    raise Abstain(Reason.NOT_INFORMATIVE, detail + FOLDED, signs=(sign,))


def _signs(
    suspect: Sketch, candidate: Sketch, places: list[alignment.GainPlace], p: float
) -> tuple[Sign, ...]:
    """Traces of operations that change gains and not the function."""
    signs = []
    folded = [place for place in places if place.flat == (True, False)]
    if 2 * len(folded) > len(places):
        detail = f"{len(folded)} of {len(places)} norms have constant gains in the suspect alone"
        signs.append(Sign(sign=SignKind.TAMPERING, detail=detail))
    # a gain and the columns that read it may both change sign: the same function
    negative = [
        float(np.mean(np.concatenate([np.signbit(s.arrays[k]).ravel() for k in KINDS if k in s.arrays])))
        for s in (suspect, candidate)
    ]
    if p <= 1e-6 and negative[0] >= 0.05 and negative[1] <= 0.005:
        detail = f"{negative[0]:.0%} of the suspect's gains are negative where the candidate's same magnitudes are not"
        signs.append(Sign(sign=SignKind.TAMPERING, detail=detail))
    return tuple(signs)


def _shown(places: list[alignment.GainPlace], ranked: Rows) -> tuple[Table, tuple[Series, ...]]:
    """One row and, where there are layers, one line per kind of norm."""
    rows, lines = [], []
    for kind in dict.fromkeys(place.kind for place in places):
        at = [i for i, place in enumerate(places) if place.kind == kind]
        plain = [alignment.pearson(places[i].suspect, places[i].candidate) or 0.0 for i in at]
        cosine = float(np.mean([places[i].cosine for i in at]))
        rows.append((kind, len(at), float(ranked[at].mean()), float(np.mean(plain)), cosine))
        x, y = tuple(float(places[i].layer) for i in at), tuple(float(ranked[i]) for i in at)
        line = Series(panel=PANEL, name=kind, x_label="layer", y_label="rank correlation", x=x, y=y)
        lines += [line] if len(at) > 1 else []
    columns = ("norm", "compared", "centred rank correlation", "centred Pearson", "raw cosine (meaningless)")
    return Table(title=PANEL, columns=columns, rows=tuple(rows)), tuple(lines)


def _measurement(
    places: list[alignment.GainPlace],
    ranked: Rows,
    test: alignment.SymmetryTest,
    facts: dict[str, Scalar],
    depth: int,
) -> Measurement:
    """The reading without signs; `ranked` holds the correlation at each place, `depth` the layers to list."""
    value = float(np.clip(ranked.mean(), -1.0, 1.0))
    by_layer = [[r for r, at in zip(ranked, places, strict=True) if at.layer == n] for n in range(depth)]
    table, lines = _shown(places, ranked)
    cosine = float(np.mean([place.cosine for place in places]))
    method = test.method("joint permutations of the channels of all norms", "swaps within pairs of channels")
    return Measurement(
        value=value,
        quantity="mean rank correlation of norm gains over channels, −1 to 1",
        summary=(
            f"Over {len(places)} norms the gains of matching channels correlate at {value:.2f}; unrelated models "
            f"lie near 0, and agreement this strong has probability at most {test.p:.1g} if nothing is shared."
        ),
        group=Group.NORM_AND_BIAS,
        layers=tuple(float(np.mean(found)) if found else None for found in by_layer),
        exact=Exact(p=test.p, null_hypothesis=NULL, method=method),
        facts={**facts, "z": test.z, "raw_cosine_meaningless": cosine},
        tables=(table,),
        series=lines,
    )


@dataclass(frozen=True, kw_only=True)
class NormGains(SketchProbe):
    """Centred correlation of norm gains with an exact p-value."""

    id: ClassVar[str] = "norm-gains"
    version: ClassVar[str] = "1.0"
    title: ClassVar[str] = "Norm gains"
    measures: ClassVar[str] = (
        "Whether the same channels of the residual stream carry large and small norm gains in both models, against an "
        "exact permutation null; defeated by permuting or rotating the residual stream, or by folding gains away."
    )
    needs: ClassVar[str] = "norm gains of equal width"
    blind_to: ClassVar[tuple[str, ...]] = ("permute-residual", "rotate-residual", "fold-gains", "scale-gains")
    expected: ClassVar[str] = "derived: 0.5 to 1; unrelated: within 0.1 of 0, whatever the raw cosine"

    draws: int = 9999
    seed: int = 0

    def first_look(self) -> NormGains:
        """Reads the same, and draws fewer permutations."""
        return replace(self, draws=999)

    def sketcher(self, checkpoint: Checkpoint) -> Sketcher:
        """Keeps every gain vector; they are small."""
        return Gains(self, checkpoint)

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """Pooled correlation of normal scores, and the joint permutation test of its sum."""
        widths = [next(a.shape[1] for k, a in s.arrays.items() if k in KINDS) for s in (suspect, candidate)]
        if widths[0] != widths[1]:
            detail = f"residual streams of width {widths[0]} and {widths[1]}: channels have no counterpart"
            raise Abstain(Reason.NOT_COMPARABLE, detail)
        if widths[0] < LEAST_WIDTH:
            raise Abstain(Reason.TOO_SMALL, f"{widths[0]} channels are too few to correlate")
        by_layer = suspect.facts.get("layers") == candidate.facts.get("layers")
        places = _places(suspect, candidate, by_layer)
        if not places:
            raise Abstain(Reason.NOT_COMPARABLE, "the two models have no norm in the same place")
        dispersion = suspect.facts.get("dispersion")
        kept = _varying(places, isinstance(dispersion, float) and dispersion > TRAINED_DISPERSION)
        a = np.array([alignment.normal_scores(place.suspect) for place in kept])
        b = np.array([alignment.normal_scores(place.candidate) for place in kept])
        rng = np.random.Generator(np.random.PCG64(self.seed))
        test = alignment.joint_permutation_test(a, b, draws=self.draws, rng=rng)
        facts: dict[str, Scalar] = {
            "width": widths[0],
            "norms": len(kept),
            "norms_constant": len(places) - len(kept),
            "paired_by": "layer" if by_layer else "kind, averaged over layers (depths differ)",
        }
        depth = int(str(suspect.facts["layers"])) if by_layer else 0
        found = _measurement(kept, np.mean(a * b, axis=1), test, facts, depth)
        if all(alignment.stand_sorted(side.mean(axis=0)) for side in (a, b)):
            why = "both models' channels stand sorted by gain, as some pruning tools leave them"
            summary = (
                f"Gains correlate at {found.value:.2f}, but {why}: that would make strangers agree as well."
            )
            told = {**found.facts, "exact_withheld": why}
            return replace(found, exact=None, group=None, summary=summary, facts=told)
        return replace(found, signs=_signs(suspect, candidate, places, test.p))


@hookimpl
def forensics_probes() -> list[SketchProbe]:
    """Offers the probe."""
    return [NormGains()]
