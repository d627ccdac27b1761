"""Residual basis: whether two models write shared tokens into the same channels of the residual stream.

On anchor tokens' embedding rows (unit length, mean removed) Ũ is the polar factor of EᵀF. Exact track: t = tr Ũ in
place, against flips of channel signs where both have RMSNorm, against permutations of channels otherwise; that
independent models share the geometry of tokens cannot disturb it. Searched track: the signed permutation with the
largest Σ|Ũ|; the value is how far its mean |Ũ| lies between what chance reaches and a copy. Invariant under re-ordering
and negating channels; defeated by new embeddings and by a dense rotation. Sources: methods §1.5, §4.2, §4.3 P1.
"""

from __future__ import annotations

import math
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
    Sign,
    SignKind,
    Sketch,
    SketchProbe,
    TensorSpec,
    alignment,
    hookimpl,
)

SHARED_LEAST = 64
"""Fewer shared anchors than this say nothing."""
BYTES_MOST = 8 << 20
"""Of a sketch: fewer anchors are kept of wider models, always those of the smallest hashes."""
WIDTH_LEAST, WIDTH_MOST = 16, 1 << 15
TAMPERED_EXCESS, TAMPERED_SHARE, TAMPERED_LN = 0.5, 0.5, -50.0
"""A re-ordered basis is a sign of tampering if matched this well, moved in this share, improbable to this degree."""
NULL = (
    "the initialisations were drawn independently and training treats all residual channels alike, "
    "so that {} changes nothing"
)

Floats = NDArray[np.float32]


class Rows:
    """Keeps anchors' embedding rows, scaled to a root mean square of one; needs nothing of the pass."""

    def __init__(self, probe: ResidualBasis, checkpoint: Checkpoint) -> None:
        self.probe, self.architecture = probe, checkpoint.architecture
        anchors = checkpoint.anchors(probe.anchors)
        if anchors is None:
            raise Abstain(Reason.MISSING_TENSORS, "no tokenizer or no token embeddings")
        width = anchors.rows.shape[1]
        if not WIDTH_LEAST <= width <= WIDTH_MOST:
            raise Abstain(Reason.TOO_SMALL, f"embeddings {width} wide, {WIDTH_LEAST} needed")
        hashes, first = np.unique(anchors.hashes, return_index=True)
        rows = np.asarray(anchors.rows[first], np.float64)
        with np.errstate(all="ignore"):
            size = np.sqrt(np.mean(rows**2, axis=1, keepdims=True))
            scaled = (rows / size).astype(np.float16)
        usable = np.isfinite(scaled).all(axis=1) & (size[:, 0] > 1e-12)
        most = BYTES_MOST // (2 * width + 8)
        self.hashes, self.rows = hashes[usable][:most], scaled[usable][:most]
        if len(self.hashes) < SHARED_LEAST:
            raise Abstain(Reason.TOO_SMALL, f"{len(self.hashes)} usable anchors, {SHARED_LEAST} needed")

    def wants(self, spec: TensorSpec) -> bool:  # noqa: ARG002 - whatever it is
        """Nothing: anchors are at hand before the pass."""
        return False

    def see(self, spec: TensorSpec, rows: Floats, start: int) -> None:
        """Never called."""

    def finish(self) -> Sketch:
        """Hashes (n,) and rows (n, width) in float16."""
        return self.probe.sketch(
            {"hashes": self.hashes, "rows": self.rows},
            {"width": int(self.rows.shape[1]), "norm": self.architecture.norm},
        )


@dataclass(frozen=True, kw_only=True)
class ResidualBasis(SketchProbe):
    """Compares the basis of the residual stream on shared tokens."""

    id: ClassVar[str] = "residual-basis"
    version: ClassVar[str] = "1.0"
    title: ClassVar[str] = "Basis of the residual stream"
    measures: ClassVar[str] = (
        "Whether shared tokens are written into the same residual channels, in place (exact by sign flips or "
        "permutations) or re-ordered and negated (judged against unrelated models); new embeddings or a dense "
        "rotation defeat it."
    )
    needs: ClassVar[str] = "token embeddings, tokenizer"
    blind_to: ClassVar[tuple[str, ...]] = ("permute-residual", "flip-residual", "rotate-residual")
    expected: ClassVar[str] = (
        "Derived: 0.3 to 1, also with channels re-ordered or negated; unrelated and densely rotated: below 0."
    )
    anchors: int = 512
    draws: int = 9999
    seed: int = 0

    def first_look(self) -> ResidualBasis:
        """Reads the same, and draws fewer."""
        return replace(self, draws=999)

    def sketcher(self, checkpoint: Checkpoint) -> Rows:
        """Keeps the rows of up to `anchors` tokens."""
        return Rows(self, checkpoint)

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """Excess of the matched |Ũ| over chance, and the exact test of the trace."""
        sides = [_arrays(side) for side in (suspect, candidate)]
        left, right = alignment.shared_positions(sides[0][0], sides[1][0])
        if len(left) < SHARED_LEAST:
            raise Abstain(Reason.NO_SHARED_TOKENS, f"{len(left)} shared anchors, {SHARED_LEAST} needed")
        first, second = sides[0][1][left], sides[1][1][right]
        polar = alignment.polar_factor(first, second)
        rng = np.random.Generator(np.random.PCG64(self.seed))
        match = alignment.signed_permutation(polar, rng=rng) if polar is not None else None
        if polar is None or match is None:
            raise Abstain(Reason.TOO_SMALL, "too few independent anchor rows for a basis of this width")
        flips = all(side.facts.get("norm") == "rms" for side in (suspect, candidate))
        test = alignment.trace_test(polar, flips=flips, draws=self.draws, rng=rng)
        facts: dict[str, Scalar] = {
            "width": min(first.shape[1], second.shape[1]),
            "shared_anchors": len(left),
            "rank": polar.rank,
            "trace": float(polar.diagonal().sum()),
            "z": test.z,
            "matched_alpha": match.alpha,
            "chance_alpha": match.floor,
            "haar_model_bound_log10": max(-1e6, match.ln_bound / math.log(10.0)),
            "clear_matches": float(np.mean(match.clear)),
            "moved_among_clear": match.moved,
        }
        held = alignment.explained(first, second)
        if held is not None:
            facts["dense_rotation_held_out_no_evidence"] = held
        if not flips and all(_sorted(rows) for rows in (first, second)):
            facts["channels_sorted_so_no_exact_p"] = True
        return _measurement(match, test, facts, flips=flips, equal=first.shape[1] == second.shape[1])


def _arrays(side: Sketch) -> tuple[NDArray[np.uint64], NDArray[np.float16]]:
    """Hashes and rows of a sketch; abstains where they do not fit together."""
    hashes, rows = side.arrays.get("hashes"), side.arrays.get("rows")
    fits = (
        hashes is not None and rows is not None and hashes.ndim == 1 and rows.ndim == 2
        and hashes.dtype == np.uint64 and rows.dtype == np.float16 and len(hashes) == len(rows)
        and WIDTH_LEAST <= rows.shape[1] <= WIDTH_MOST and rows.nbytes <= BYTES_MOST
    )  # fmt: skip
    if not fits or hashes is None or rows is None or not np.isfinite(rows).all():
        raise Abstain(
            Reason.INCOMPATIBLE_SKETCHES, "a sketch without anchor rows, or whose arrays do not fit"
        )
    return hashes.astype(np.uint64), rows.astype(np.float16)


def _sorted(rows: NDArray[np.float16]) -> bool:
    """Whether channels stand in order of their energy, as pruning tools may leave them: then none may be permuted."""
    return alignment.stand_sorted(np.sum(rows.astype(np.float64) ** 2, axis=0))


def _exact(test: alignment.SymmetryTest, *, flips: bool) -> Exact:
    """The test of the trace, with its null and method in words."""
    drawn, subgroup = "joint permutations of channels", "swaps of two channels"
    if flips:
        drawn, subgroup = "joint flips of channel signs", "signs of channels (or bundles of them)"
    symmetry = "negating channels" if flips else "permuting channels"
    return Exact(p=test.p, null_hypothesis=NULL.format(symmetry), method=test.method(drawn, subgroup))


def _measurement(
    match: alignment.SignedMatch,
    test: alignment.SymmetryTest,
    facts: dict[str, Scalar],
    *,
    flips: bool,
    equal: bool,
) -> Measurement:
    """The reading in words and numbers."""
    value = float(np.clip(match.excess, -1.0, 1.0))
    tampered = (
        equal and value >= TAMPERED_EXCESS and match.moved >= TAMPERED_SHARE and match.ln_bound <= TAMPERED_LN
    )
    detail = (
        f"the residual channels match at {value:.2f}, but {match.moved:.0%} of the clear ones elsewhere or negated: "
        "no training re-orders the residual stream"
    )
    exact = "channels_sorted_so_no_exact_p" not in facts
    in_place = f"; agreement in place has p at most {test.p:.1g} if nothing is shared" if exact else ""
    return Measurement(
        value=value,
        quantity="matched agreement of residual channels between chance (0) and a copy (1)",
        summary=(
            f"On {facts['shared_anchors']} shared tokens the residual channels agree to {value:.2f} in the best order "
            f"and signs (a copy 1, unrelated below 0){in_place}. Pasted embeddings read as a copy does."
        ),
        group=Group.EMBEDDING,
        exact=_exact(test, flips=flips) if exact else None,
        facts=facts,
        signs=(Sign(sign=SignKind.TAMPERING, detail=detail),) if tampered else (),
    )


@hookimpl
def forensics_probes() -> list[SketchProbe]:
    """Offers the probe."""
    return [ResidualBasis()]
