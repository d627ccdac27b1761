"""Spread of attention weights over depth: the published fingerprint, and what is left of it without the recipe.

Published form (arXiv 2507.03014): standard deviation of Q, K, V and O per layer, z-scored over layers, Pearson's r per
matrix, averaged; unequal depths are interpolated. Unrelated real models reach 0.93 (methods §5). The second form
removes what a recipe or a free rescaling puts there (methods §5.3): norm gains are folded into the matrices they feed,
each head's Q against K and V against O are balanced, the logarithm of the spread loses its cubic depth trend, and
depths must be equal. Neither form carries a p-value, and depth curves never speak for a group of tensors.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from forensics import (
    Abstain,
    Aspect,
    Checkpoint,
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

MATRICES = ("q_proj", "k_proj", "v_proj", "o_proj")
FEWEST_LAYERS = 4
NO_TREND = "fewer than 8 layers: a cubic trend would leave nothing"
OTHER_DEPTH = "depths differ: the detrended form does not interpolate"
UNBALANCED = "heads could not be told apart, or a layer has no energy: no gauge to balance in"

Floats = NDArray[np.float64]


class Spreads:
    """Takes moments of Q, K, V and O of every layer as they go by."""

    def __init__(self, probe: WeightStd, checkpoint: Checkpoint) -> None:
        self._probe = probe
        shape = checkpoint.architecture
        self._shape = shape
        self._layers = [n for n in range(shape.layers) if all(checkpoint.find(m, n) for m in MATRICES)]
        if len(self._layers) < FEWEST_LAYERS:
            detail = f"{len(self._layers)} layers with Q, K, V and O; a depth curve needs {FEWEST_LAYERS}"
            raise Abstain(
                Reason.TOO_SMALL if shape.layers < FEWEST_LAYERS else Reason.MISSING_TENSORS, detail
            )
        self._gains = {n: checkpoint.vector("input_norm", n) for n in self._layers}
        self._moments = {(m, n): alignment.Moments() for m in MATRICES for n in self._layers}
        heads = {
            "q_proj": shape.heads,
            "k_proj": shape.kv_heads,
            "v_proj": shape.kv_heads,
            "o_proj": shape.heads,
        }
        self._energies = {(m, n): np.zeros(max(1, heads[m])) for m, n in self._moments}

    def wants(self, spec: TensorSpec) -> bool:
        """Q, K, V and O of the layers that have all four."""
        return spec.expert is None and (spec.role, spec.layer) in self._moments

    def see(self, spec: TensorSpec, rows: NDArray[np.float32], start: int) -> None:
        """Adds a block to the spread of its matrix and to the energy of its heads."""
        layer = -1 if spec.layer is None else spec.layer
        energies = self._energies[spec.role, layer]
        outer = spec.role == "o_proj"
        with np.errstate(all="ignore"):  # hostile values surface as a spread that is not finite
            plain = alignment.column_energies(rows) if outer else alignment.row_energies(rows)
            self._moments[spec.role, layer].add(rows, plain)
            size, uneven = divmod(spec.columns if outer else spec.rows, energies.size)
            if uneven or not size:
                energies.fill(np.nan)
            elif outer:
                energies += plain.astype(np.float64).reshape(energies.size, size).sum(axis=1)
            else:
                head = np.arange(start, start + len(rows)) // size
                gain = self._gains[layer]
                fits = gain is not None and gain.size == spec.columns
                folded = alignment.row_energies(rows, gain) if fits else plain
                energies += np.bincount(head, weights=folded, minlength=energies.size)

    def finish(self) -> Sketch:
        """Spread (layers, 4), and balanced spread (layers, 2) where heads allow it."""
        stds = np.array([[self._moments[m, n].std for m in MATRICES] for n in self._layers])
        if not np.isfinite(stds).all():
            layer, matrix = np.argwhere(~np.isfinite(stds))[0]
            detail = f"{MATRICES[matrix]} of layer {self._layers[layer]} holds values that are not finite"
            raise Abstain(Reason.NOT_FINITE, detail)
        arrays: dict[str, NDArray[np.generic]] = {"std": stds, "layers": np.array(self._layers, np.int32)}
        balanced = np.array([self._balanced(n) for n in self._layers])
        if np.isfinite(balanced).all():
            arrays["balanced"] = balanced
        return self._probe.sketch(arrays, {"width": self._shape.width, "depth": self._shape.layers})

    def _balanced(self, layer: int) -> tuple[float, float]:
        """Log spread of Q with K, and of V with O, invariant to rescaling a head's one against its other.

        Scaling Q of a KV group by s and K by 1/s keeps the product of their energies, so both get its square root; the
        same for V and O. NaN or minus infinity where heads do not divide or are empty.
        """
        q, k, v, o = (self._energies[m, layer] for m in MATRICES)
        if q.size % k.size:
            return np.nan, np.nan
        q, o = q.reshape(k.size, -1).sum(axis=1), o.reshape(k.size, -1).sum(axis=1)
        with np.errstate(all="ignore"):
            qk, vo = np.log(np.mean(np.sqrt(q * k))) / 2.0, np.log(np.mean(np.sqrt(v * o))) / 2.0
        return float(qk), float(vo)


@dataclass(frozen=True, kw_only=True)
class WeightStd(SketchProbe):
    """Correlation of depth curves of the spread of attention weights."""

    id: ClassVar[str] = "weight-std"
    version: ClassVar[str] = "1.0"
    title: ClassVar[str] = "Spread of attention weights over depth"
    measures: ClassVar[str] = (
        "Correlation over depth of the standard deviations of Q, K, V and O (the published fingerprint), beside "
        "published real models; it reads the recipe as much as descent, and free rescaling of heads rewrites it."
    )
    needs: ClassVar[str] = "Q, K, V and O of at least 4 layers"
    aspect: ClassVar[Aspect | None] = Aspect.RECIPE
    blind_to: ClassVar[tuple[str, ...]] = ("noise", "scale-gains")
    expected: ClassVar[str] = (
        "derived: 0.99 or more; unrelated real models: median 0.44, one in a hundred above 0.91"
    )

    degree: int = 3

    def sketcher(self, checkpoint: Checkpoint) -> Sketcher:
        """Keeps one spread per layer and matrix."""
        return Spreads(self, checkpoint)

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """The published mean r as value; the detrended, balanced r beside it where it exists."""
        curves = [np.asarray(s.arrays["std"], np.float64) for s in (suspect, candidate)]
        for who, curve in zip(("suspect", "candidate"), curves, strict=True):
            for matrix, column in zip(MATRICES, curve.T, strict=True):
                if alignment.is_flat(column):
                    detail = (
                        f"the spread of {matrix} is the same in every layer of the {who}: there is no curve"
                    )
                    raise Abstain(Reason.NOT_INFORMATIVE, detail)
        length = max(len(curve) for curve in curves)
        resampled = [[alignment.resample(c, length) for c in curve.T] for curve in curves]
        rs = [alignment.pearson(a, b) or 0.0 for a, b in zip(*resampled, strict=True)]
        rest, note = self._detrended(suspect, candidate)
        found = [r for a, b in rest if (r := alignment.pearson(a, b)) is not None]
        facts: dict[str, Scalar] = {
            "width": min(int(str(s.facts["width"])) for s in (suspect, candidate)),
            **{f"r_{matrix}": r for matrix, r in zip(MATRICES, rs, strict=True)},
            "layers_suspect": len(curves[0]),
            "layers_candidate": len(curves[1]),
            "interpolated": len(curves[0]) != len(curves[1]),
            "detrended_r": float(np.mean(found)) if found else None,
            "detrended_note": note if found or note else "a detrended curve is flat",
        }
        raw = list(zip(curves[0].T, curves[1].T, strict=True))
        return _measurement(float(np.mean(rs)), facts, raw, rest)

    def _detrended(self, suspect: Sketch, candidate: Sketch) -> tuple[list[tuple[Floats, Floats]], str]:
        """Balanced curves without their trend, suspect's and candidate's, of Q with K and of V with O; or why not."""
        if suspect.facts["depth"] != candidate.facts["depth"]:
            return [], OTHER_DEPTH
        sides = [s.arrays.get("balanced") for s in (suspect, candidate)]
        if any(side is None for side in sides):
            return [], UNBALANCED
        if not np.array_equal(suspect.arrays["layers"], candidate.arrays["layers"]):
            return [], "attention stands in different layers"
        pairs = []
        for a, b in zip(np.asarray(sides[0]).T, np.asarray(sides[1]).T, strict=True):
            rest = [alignment.detrend(curve, self.degree) for curve in (a, b)]
            if rest[0] is None or rest[1] is None:
                return [], NO_TREND
            pairs.append((alignment.winsorise(rest[0]), alignment.winsorise(rest[1])))
        return pairs, ""


def _lines(panel: str, unit: str, pair: tuple[Floats, Floats]) -> list[Series]:
    """Suspect's and candidate's curve over relative depth, z-scored."""
    lines = []
    for name, curve in zip(("suspect", "candidate"), pair, strict=True):
        z = alignment.z_score(curve)
        if z is not None:
            x = tuple(float(depth) for depth in np.linspace(0.0, 1.0, z.size))
            y = tuple(float(step) for step in z)
            lines.append(Series(panel=panel, name=name, x_label="relative depth", y_label=unit, x=x, y=y))
    return lines


def _measurement(
    value: float,
    facts: dict[str, Scalar],
    raw: list[tuple[Floats, Floats]],
    rest: list[tuple[Floats, Floats]],
) -> Measurement:
    """The reading in words, figures and numbers."""
    series: list[Series] = []
    for matrix, pair in zip(MATRICES, raw, strict=True):
        series += _lines(f"{matrix}: spread as published", "z-scored standard deviation", pair)
    for title, pair in zip(("Q with K", "V with O"), rest, strict=False):
        series += _lines(f"{title}: balanced, detrended", "z-scored log spread", pair)
    detrended = facts["detrended_r"]
    remark = (
        f"without the depth trend {detrended:.2f} remains"
        if isinstance(detrended, float)
        else f"the detrended form does not exist here ({facts['detrended_note']})"
    )
    rows = (*((matrix, facts[f"r_{matrix}"]) for matrix in MATRICES), ("mean, as published", value))
    table = Table(
        title="Correlation over depth", columns=("curve", "r"), rows=(*rows, ("detrended", detrended))
    )
    return Measurement(
        value=value,
        quantity="mean Pearson r of per-layer standard deviations of Q, K, V, O as published, −1 to 1",
        summary=(
            f"The published curves correlate at {value:.3f}, and {remark}; unrelated real models reach 0.93, "
            "so this alone decides nothing."
        ),
        facts=facts,
        tables=(table,),
        series=tuple(series),
    )


@hookimpl
def forensics_probes() -> list[SketchProbe]:
    """Offers the probe."""
    return [WeightStd()]
