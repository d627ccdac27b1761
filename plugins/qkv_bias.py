"""Biases of queries, keys and values, coordinate by coordinate and with their signs.

A head dimension is not exchangeable: under rotary embeddings its index carries a frequency, and the magnitudes of
Q and K biases follow that frequency in every model, so magnitudes, curves of them and plain permutations are
false-positive traps (methods §4.2, fact 4). Signs are free: turning a rotary pair by 180° in the queries and the keys
of one KV group changes nothing a model computes, nor does negating one value dimension together with what reads it.
So the test compares signed biases and flips exactly these signs. Magnitudes enter as scores of their ranks, which
no such flip changes, so that a few huge biases cannot decide alone.

Permutations of whole KV groups are symmetries as well. They are left out: every subgroup gives an exact test, and
sign flips alone have a rigorous closed bound and need no assumption about heads resembling each other. For the same
reason groups are not searched for: agreement after a search has no exact p, and neuron-match sees what was permuted.
Models of different depth are paired by one kind of bias and tested on the other (`alignment.cross_depth_pairs`).
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
    Sketch,
    Sketcher,
    SketchProbe,
    Table,
    TensorSpec,
    alignment,
    hookimpl,
)

KINDS = ("q_bias", "k_bias", "v_bias")
FEWEST_UNITS = 16
PANEL = "Signed agreement of biases"
SCATTER = "Biases coordinate by coordinate"
SCATTERED = 200
"""Coordinates per kind of bias that are kept as points for a figure."""
NULL = (
    "the initialisations were drawn independently and neither training used the other's weights, so that each rotary "
    "pair of a KV group (Q and K together) and each value dimension is as likely with either sign"
)
ABSENT = (
    "has no Q, K or V biases; most architectures have none, and biases can be dropped or never added, "
    "so absence alone says nothing about descent"
)

CROSSED = (
    "; depths differ: layers paired by Q and K for the test of V, and by V for that of Q and K, "
    "the smaller p doubled"
)

Floats = NDArray[np.float64]


class Biases:
    """Takes the bias vectors before the pass; wants nothing of it."""

    def __init__(self, probe: QkvBias, checkpoint: Checkpoint) -> None:
        self._probe = probe
        shape = checkpoint.architecture
        if min(shape.heads, shape.kv_heads, shape.head_dim) < 1 or shape.heads % shape.kv_heads:
            detail = f"{shape.heads} heads over {shape.kv_heads} KV heads cannot be grouped"
            raise Abstain(Reason.UNSUPPORTED, detail)
        rotary = alignment.rotary_dimensions(
            checkpoint.config, declared=shape.declared, rope=shape.rope, head_dim=shape.head_dim
        )
        self._facts: dict[str, Scalar] = {
            "width": shape.width, "layers": shape.layers, "heads": shape.heads, "kv_heads": shape.kv_heads,
            "head_dim": shape.head_dim, "rotary": rotary,
        }  # fmt: skip
        sizes = {"q_bias": shape.heads * shape.head_dim}
        self._found = {
            (kind, layer): bias
            for kind in KINDS
            for layer in range(shape.layers)
            if (bias := checkpoint.vector(kind, layer)) is not None
            and bias.size == sizes.get(kind, shape.kv_heads * shape.head_dim)
        }

    def wants(self, spec: TensorSpec) -> bool:  # noqa: ARG002
        """Nothing: biases are offered before the pass."""
        return False

    def see(self, spec: TensorSpec, rows: NDArray[np.float32], start: int) -> None:
        """Never called, since nothing is wanted."""

    def finish(self) -> Sketch:
        """The biases stacked by kind with their layers; abstains where there are none to use."""
        if not self._found:
            raise Abstain(Reason.MISSING_TENSORS, f"the checkpoint {ABSENT}")
        usable = {place: bias for place, bias in self._found.items() if np.isfinite(bias).all()}
        if not usable:
            raise Abstain(Reason.NOT_FINITE, "every Q, K and V bias vector holds NaN or infinity")
        usable = {place: bias for place, bias in usable.items() if bias.any()}
        if not usable:
            detail = "every Q, K and V bias is zero: they were never trained, or were folded away"
            raise Abstain(Reason.NOT_INFORMATIVE, detail)
        return self._probe.sketch(alignment.stack(usable, KINDS), self._facts)


def _matches(suspect: Sketch, candidate: Sketch) -> list[list[alignment.BiasMatch]]:
    """Every bias both models have, in sets that are tested apart.

    In equal depth one set, paired by layer; otherwise V where Q and K agree best, and Q and K where V does.
    """
    sides = [{kind: alignment.unstack(s.arrays, kind) for kind in KINDS} for s in (suspect, candidate)]
    if suspect.facts.get("layers") == candidate.facts.get("layers"):
        shared = [
            (kind, n, n) for kind in KINDS for n in sorted(sides[0][kind].keys() & sides[1][kind].keys())
        ]
        sets = [shared]
    else:
        sets = list(alignment.cross_depth_pairs(*sides))
    return [
        [alignment.match_biases(k, i, sides[0][k][i], sides[1][k][j]) for k, i, j in found]
        for found in sets
        if found
    ]


def _shown(matches: list[alignment.BiasMatch]) -> tuple[Table, tuple[Series, ...]]:
    """One row and, over several layers, one line per kind of bias."""
    rows, lines = [], []
    for kind in dict.fromkeys(match.kind for match in matches):
        of_kind = [match for match in matches if match.kind == kind]
        raw, size = (float(np.mean([getattr(m, what) for m in of_kind])) for what in ("raw", "magnitudes"))
        rows.append((kind, len(of_kind), alignment.pooled(of_kind), raw, size))
        x, y = tuple(float(m.layer) for m in of_kind), tuple(alignment.pooled([m]) for m in of_kind)
        line = Series(panel=PANEL, name=kind, x_label="layer", y_label="signed correlation", x=x, y=y)
        lines += [line] if len(of_kind) > 1 else []
    columns = ("bias", "layers", "signed scores", "signed values", "magnitudes (no evidence)")
    return Table(title=PANEL, columns=columns, rows=tuple(rows)), tuple(lines)


def _points(matches: list[alignment.BiasMatch]) -> tuple[Series, ...]:
    """Per kind of bias the signed scores of both sides, at coordinates evenly spaced over all layers."""
    clouds = []
    for kind in dict.fromkeys(match.kind for match in matches):
        sides = [
            np.concatenate([getattr(match, side) for match in matches if match.kind == kind])
            for side in ("first", "second")
        ]
        kept = alignment.evenly_spaced(len(sides[0]), SCATTERED)
        y, x = (tuple(round(float(side[at]), 3) for at in kept) for side in sides)
        clouds.append(
            Series(
                panel=f"{SCATTER}: {kind}",
                name="candidate",
                x_label=f"{kind} of the other, signed score",
                y_label=f"{kind} of the suspect",
                x=x,
                y=y,
                mark="points",
            )
        )
    return tuple(clouds)


def _common_shape(suspect: Sketch, candidate: Sketch) -> tuple[int, int, int | None]:
    """(KV heads, head dimensions, rotated dimensions) of both; abstains where heads or layers have no counterpart."""
    for what in ("heads", "kv_heads", "head_dim"):
        a, b = suspect.facts.get(what), candidate.facts.get(what)
        if a != b:
            detail = f"{what} differ ({a} and {b}), so biases cannot be paired by position"
            raise Abstain(Reason.NOT_COMPARABLE, detail)
    rotary, other = suspect.facts.get("rotary"), candidate.facts.get("rotary")
    kv_heads, head_dim = int(str(suspect.facts["kv_heads"])), int(str(suspect.facts["head_dim"]))
    return kv_heads, head_dim, rotary if isinstance(rotary, int) and rotary == other else None


@dataclass(frozen=True, kw_only=True)
class QkvBias(SketchProbe):
    """Signed agreement of Q, K and V biases with an exact p-value."""

    id: ClassVar[str] = "qkv-bias"
    version: ClassVar[str] = "1.0"
    title: ClassVar[str] = "Biases of queries, keys and values"
    measures: ClassVar[str] = (
        "Whether the signed biases of Q, K and V agree coordinate by coordinate, against an exact null of sign flips "
        "that respects rotary pairs; defeated by permuting heads or value dimensions, or by dropping biases."
    )
    needs: ClassVar[str] = "Q, K or V biases in both, with equal heads; all of them where depths differ"
    blind_to: ClassVar[tuple[str, ...]] = ("permute-heads",)
    expected: ClassVar[str] = "derived: 0.5 to 1; unrelated: within 0.1 of 0, however alike the magnitudes"

    draws: int = 9999
    seed: int = 0

    def first_look(self) -> QkvBias:
        """Reads the same, and draws fewer permutations."""
        return replace(self, draws=999)

    def sketcher(self, checkpoint: Checkpoint) -> Sketcher:
        """Keeps every bias vector; they are small."""
        return Biases(self, checkpoint)

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """Pooled signed correlation, and the sign-flip test of its sum."""
        kv_heads, head_dim, rotary = _common_shape(suspect, candidate)
        sets = _matches(suspect, candidate)
        if not sets:
            raise Abstain(
                Reason.NOT_COMPARABLE, "the two models have no bias of one kind in layers that answer"
            )
        units, tests = alignment.sign_units(head_dim, rotary), []
        rng = np.random.Generator(np.random.PCG64(self.seed))
        for matches in sets:
            products = [(match.layer, match.kind == "v_bias", match.products) for match in matches]
            flips = alignment.free_flips(products, kv_heads, units)
            if np.count_nonzero(flips) >= FEWEST_UNITS:
                tests.append(alignment.sign_flip_test(flips, draws=self.draws, rng=rng))
        if not tests:
            raise Abstain(Reason.TOO_SMALL, f"fewer than {FEWEST_UNITS} signs can be flipped freely")
        best = min(tests, key=lambda test: test.p)
        matches = [match for found in sets for match in found]
        return _measurement(suspect, candidate, matches, replace(best, p=min(1.0, best.p * len(sets))))


def _measurement(
    suspect: Sketch, candidate: Sketch, matches: list[alignment.BiasMatch], test: alignment.SymmetryTest
) -> Measurement:
    """The reading in words, figures and numbers."""
    value, (table, lines) = alignment.pooled(matches), _shown(matches)
    depth = int(str(suspect.facts["layers"]))
    by_layer = [[m for m in matches if m.layer == layer] for layer in range(depth)]
    method = test.method("joint flips of independent signs", "signs (or bundles of them)")
    crossed = suspect.facts.get("layers") != candidate.facts.get("layers")
    method += CROSSED if crossed else ""
    widths = [s.facts.get("width") for s in (suspect, candidate)]
    return Measurement(
        value=value,
        quantity="signed correlation of Q, K and V bias scores, pooled over coordinates, −1 to 1",
        summary=(
            f"Over {len(matches)} bias vectors the signed biases agree at {value:.2f}; unrelated models lie near 0, "
            f"and agreement this strong has probability at most {test.p:.1g} if nothing is shared."
        ),
        group=Group.NORM_AND_BIAS,
        layers=tuple(alignment.pooled(found) if found else None for found in by_layer),
        exact=Exact(p=test.p, null_hypothesis=NULL, method=method),
        facts={
            "width": min(w for w in widths if isinstance(w, int)),
            "bias_vectors": len(matches),
            "bias_coordinates": sum(match.products.size for match in matches),
            "paired_by": "agreement in the other kind (depths differ)" if crossed else "layer",
            "independent_signs": test.units,
            "z": test.z,
            "magnitudes_only_no_evidence": float(np.mean([m.magnitudes for m in matches])),
        },
        tables=(table,),
        series=(*_points(matches), *lines),
    )


@hookimpl
def forensics_probes() -> list[SketchProbe]:
    """Offers the probe."""
    return [QkvBias()]
