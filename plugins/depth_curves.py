"""Curves over depth, all of them as one voice: sizes, unevenness of heads, tails, effective ranks and gains.

Every published fingerprint over depth (spread of weights, moments, norms, spectra) reads the same recipe, so they share
one reading and one capped vote (methods §5.3). Each curve is taken in a gauge of its own (gain folded, queries with
keys, values with outputs), loses its trend over depth, is limited to three robust standard deviations and
correlated with the other model's; the value is the mean over curves. Depths must be equal: interpolating smooths, and
smooth curves correlate. No p-value: neighbouring layers are not independent. It never speaks for a group of tensors.
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
FEWEST_LAYERS = 5
FEWEST_CURVES = 3
SEED = 20_250_703
PANEL = "Curves over depth without their trend"

Floats = NDArray[np.float64]


class Profiles:
    """Takes a profile of the attention of every layer as it goes by."""

    def __init__(self, probe: DepthCurves, checkpoint: Checkpoint) -> None:
        self._probe, shape = probe, checkpoint.architecture
        layers = [n for n in range(shape.layers) if all(checkpoint.find(m, n) for m in MATRICES)]
        if len(layers) < FEWEST_LAYERS or not 0 < shape.width <= alignment.WIDEST:
            detail = f"{len(layers)} layers with Q, K, V and O; depth curves need {FEWEST_LAYERS}"
            raise Abstain(Reason.TOO_SMALL, detail)
        if min(shape.heads, shape.kv_heads) < 1 or shape.heads % shape.kv_heads:
            raise Abstain(
                Reason.UNSUPPORTED, f"{shape.heads} heads over {shape.kv_heads} KV heads cannot be grouped"
            )
        projection = alignment.seeded_signs(shape.width, alignment.PROJECTED, SEED)
        self._profiles = {
            n: alignment.Profile(
                shape.heads, shape.kv_heads, _finite(checkpoint.vector("input_norm", n)), projection
            )
            for n in layers
        }
        self._mlp_gains = {n: _finite(checkpoint.vector("mlp_norm", n)) for n in layers}
        self._facts: dict[str, Scalar] = {"width": shape.width, "depth": shape.layers}

    def wants(self, spec: TensorSpec) -> bool:
        """Q, K, V and O of the layers that have all four."""
        return spec.expert is None and spec.role in MATRICES and spec.layer in self._profiles

    def see(self, spec: TensorSpec, rows: NDArray[np.float32], start: int) -> None:
        """Adds a block to its layer's profile."""
        with np.errstate(all="ignore"):  # hostile values surface as figures that are not finite
            self._profiles[-1 if spec.layer is None else spec.layer].see(spec.role, rows, start, spec.rows)

    def finish(self) -> Sketch:
        """Figures, (layers, curves), not finite where there is none, and the layers."""
        figures = np.array([p.figures(self._mlp_gains[n]) for n, p in self._profiles.items()])
        if not np.isfinite(figures).all(axis=0).any():
            raise Abstain(Reason.NOT_FINITE, "no curve over depth is finite in every layer")
        layers = np.array(list(self._profiles), np.int32)
        return self._probe.sketch({"figures": figures, "layers": layers}, self._facts)


def _finite(gain: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
    """The gain, if it is there and finite."""
    return gain if gain is not None and np.isfinite(gain).all() else None


@dataclass(frozen=True, kw_only=True)
class DepthCurves(SketchProbe):
    """Mean correlation of detrended curves over depth."""

    id: ClassVar[str] = "depth-curves"
    version: ClassVar[str] = "1.0"
    title: ClassVar[str] = "Curves over depth"
    measures: ClassVar[str] = (
        "Mean correlation over depth of sizes, tails, effective ranks and gains without their trend; reads the recipe "
        "as much as descent, has no p-value, and is defeated by turning values or keys and by longer training."
    )
    needs: ClassVar[str] = "Q, K, V and O of at least 5 layers, equal depth"
    aspect: ClassVar[Aspect | None] = Aspect.RECIPE
    blind_to: ClassVar[tuple[str, ...]] = ("noise",)
    expected: ClassVar[str] = "derived: 0.8 to 1; unrelated: about 0, up to 0.7 in shallow models"

    degree: int = 3

    def sketcher(self, checkpoint: Checkpoint) -> Sketcher:
        """Keeps ten figures per layer."""
        return Profiles(self, checkpoint)

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """Pearson's r of every curve that both have, averaged."""
        if suspect.facts.get("depth") != candidate.facts.get("depth"):
            raise Abstain(
                Reason.NOT_COMPARABLE, "depths differ, and interpolated curves correlate by themselves"
            )
        figures = [_figures(side) for side in (suspect, candidate)]
        if not np.array_equal(suspect.arrays["layers"], candidate.arrays["layers"]):
            raise Abstain(Reason.NOT_COMPARABLE, "attention stands in different layers")
        degree = max(0, min(self.degree, (len(figures[0]) - 5) // 2))
        pairs = {}
        for name, *curves in zip(alignment.CURVES, figures[0].T, figures[1].T, strict=True):
            rest = [alignment.detrend(curve, degree) for curve in curves]
            if rest[0] is not None and rest[1] is not None:
                pairs[name] = (alignment.winsorise(rest[0]), alignment.winsorise(rest[1]))
        found = {name: r for name, (a, b) in pairs.items() if (r := alignment.pearson(a, b)) is not None}
        if len(found) < FEWEST_CURVES:
            raise Abstain(Reason.NOT_INFORMATIVE, "fewer than 3 curves vary over depth in both models")
        return _measurement(suspect, candidate, found, pairs, degree)


def _figures(side: Sketch) -> Floats:
    """Figures of a sketch, (layers, curves); abstains where its arrays or facts do not fit."""
    figures, layers = side.arrays.get("figures"), side.arrays.get("layers")
    if figures is None or layers is None or not isinstance(side.facts.get("width"), int):
        raise Abstain(Reason.INCOMPATIBLE_SKETCHES, "a sketch without curves")
    if layers.ndim != 1 or figures.shape != (len(layers), len(alignment.CURVES)):
        raise Abstain(Reason.INCOMPATIBLE_SKETCHES, "a sketch whose arrays do not fit")
    return np.asarray(figures, np.float64)


def _measurement(
    suspect: Sketch,
    candidate: Sketch,
    found: dict[str, float],
    pairs: dict[str, tuple[Floats, Floats]],
    degree: int,
) -> Measurement:
    """The reading in words, figures and numbers."""
    value = float(np.clip(np.mean(list(found.values())), -1.0, 1.0))
    widths = [width for s in (suspect, candidate) if isinstance(width := s.facts.get("width"), int)]
    return Measurement(
        value=value,
        quantity="mean Pearson r over depth of detrended, gauge-fixed curves, −1 to 1",
        summary=(
            f"{len(found)} curves over depth correlate at {value:.2f} once their trends are removed; such curves "
            "tell of the recipe as much as of descent, so this alone decides nothing."
        ),
        facts={"width": min(widths), "layers": len(suspect.arrays["layers"]), "trend_degree": degree},
        tables=(Table(title=PANEL, columns=("curve", "r"), rows=tuple(found.items())),),
        series=tuple(line for name in found for line in _lines(name, pairs[name])),
    )


def _lines(name: str, pair: tuple[Floats, Floats]) -> list[Series]:
    """Suspect's and candidate's curve over relative depth, z-scored."""
    lines = []
    for who, curve in zip(("suspect", "candidate"), pair, strict=True):
        z = alignment.z_score(curve)
        if z is not None:
            x = tuple(float(depth) for depth in np.linspace(0.0, 1.0, z.size))
            panel, y = f"{PANEL}: {name}", tuple(float(step) for step in z)
            lines.append(
                Series(panel=panel, name=who, x_label="relative depth", y_label="z-scored", x=x, y=y)
            )
    return lines


@hookimpl
def forensics_probes() -> list[SketchProbe]:
    """Offers the probe."""
    return [DepthCurves()]
