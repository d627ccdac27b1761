"""Spectra of key and value matrices at a few relative depths, as supporting evidence.

Singular values do not change when the residual stream is rotated or permuted (gains are folded in first), and so they
see through what coordinates do not; but unrelated models of one recipe have much the same spectra. A published
fingerprint of singular values scores Llama-2-13B against Qwen1.5-14B, which share nothing, at 0.78. So this is
shown and never weighed: no group, no p-value.
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
    TensorSpec,
    alignment,
    hookimpl,
)

MATRICES = ("k_proj", "v_proj")
SEED = 20_251_107
PANEL = "Singular values"

Floats = NDArray[np.float64]


class Sums:
    """Takes sign-summed rows of K and V in a few layers."""

    def __init__(self, probe: Spectra, checkpoint: Checkpoint) -> None:
        self._probe, shape = probe, checkpoint.architecture
        self._facts: dict[str, Scalar] = {"width": shape.width, "layers": shape.layers}
        layers = alignment.evenly_spaced(shape.layers, probe.layers)
        specs = {(m, k): checkpoint.find(m, n) for m in MATRICES for k, n in enumerate(layers)}
        self._layers = dict(enumerate(layers))
        self._sums = {
            (m, self._layers[k]): alignment.SummedRows.of(spec.rows, spec.columns, SEED)
            for (m, k), spec in specs.items()
            if spec and 16 <= spec.rows <= alignment.WIDEST and 16 <= spec.columns <= alignment.WIDEST // 4
        }
        if not self._sums:
            raise Abstain(Reason.MISSING_TENSORS, "no key or value matrices of usable size")
        self._gains = {n: checkpoint.vector("input_norm", n) for n in layers}

    def wants(self, spec: TensorSpec) -> bool:
        """K and V of the examined layers."""
        return spec.expert is None and (spec.role, spec.layer) in self._sums

    def see(self, spec: TensorSpec, rows: NDArray[np.float32], start: int) -> None:
        """Adds a block with the gain folded in."""
        layer = -1 if spec.layer is None else spec.layer
        gain = self._gains[layer]
        with np.errstate(all="ignore"):
            folded = rows * gain if gain is not None and gain.size == spec.columns else rows
            self._sums[spec.role, layer].see(folded, start)

    def finish(self) -> Sketch:
        """Log spectra (places, quantiles), by matrix and place in depth."""
        arrays: dict[str, NDArray[np.generic]] = {}
        for place, layer in self._layers.items():
            for m in MATRICES:
                found = self._sums[m, layer].spectrum() if (m, layer) in self._sums else None
                if found is not None:
                    arrays[f"{m}.{place}"] = found
        if not arrays:
            raise Abstain(Reason.NOT_FINITE, "key and value matrices hold NaN, infinity or nothing but zeros")
        return self._probe.sketch(arrays, self._facts)


@dataclass(frozen=True, kw_only=True)
class Spectra(SketchProbe):
    """Likeness of singular values of K and V at the same relative depth."""

    id: ClassVar[str] = "spectra"
    version: ClassVar[str] = "1.0"
    title: ClassVar[str] = "Singular values"
    measures: ClassVar[str] = (
        "Likeness of the singular values of keys and values; supporting only: spectra follow the recipe (a published "
        "form scores the unrelated Llama-2-13B and Qwen1.5-14B at 0.78), and mixing inside heads rewrites them."
    )
    needs: ClassVar[str] = "key or value matrices"
    aspect: ClassVar[Aspect | None] = Aspect.RECIPE
    expected: ClassVar[str] = (
        "derived: 0.95 to 1; unrelated of one recipe: up to 0.97, so no evidence either way"
    )

    layers: int = 3

    def sketcher(self, checkpoint: Checkpoint) -> Sketcher:
        """Keeps 64 numbers per matrix."""
        return Sums(self, checkpoint)

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """exp(−D), D the root mean square difference of log spectra, averaged over matrices."""
        shared = sorted(suspect.arrays.keys() & candidate.arrays.keys())
        pairs = {
            n: tuple(np.asarray(s.arrays[n], np.float64).ravel() for s in (suspect, candidate))
            for n in shared
        }
        usable = {n: (a, b) for n, (a, b) in pairs.items() if a.size == b.size == alignment.QUANTILES}
        apart = {n: float(np.sqrt(np.mean((a - b) ** 2))) for n, (a, b) in usable.items()}
        apart = {n: gap for n, gap in apart.items() if np.isfinite(gap)}
        if not apart:
            raise Abstain(Reason.NOT_COMPARABLE, "no key or value matrix stands at the same depth in both")
        value = float(np.exp(-np.mean(list(apart.values()))))
        return Measurement(
            value=value,
            quantity="exp of minus the root mean square difference of log singular values, 0 to 1",
            summary=(
                f"Singular values of keys and values are alike to {value:.2f}; unrelated models of one recipe reach "
                "about as much, so this only supports what other probes say."
            ),
            facts={
                "matrices": len(apart),
                "layers_differ": suspect.facts.get("layers") != candidate.facts.get("layers"),
            },
            series=tuple(line for n in list(apart)[:4] for line in _lines(n, usable[n])),
        )


def _lines(name: str, pair: tuple[Floats, Floats]) -> list[Series]:
    """Both spectra over rank."""
    x = tuple(float(rank) for rank in np.linspace(0.0, 1.0, alignment.QUANTILES))
    return [
        Series(
            panel=f"{PANEL}: {name}",
            name=who,
            x_label="relative rank",
            y_label="log share of rms",
            x=x,
            y=tuple(map(float, curve)),
        )
        for who, curve in zip(("suspect", "candidate"), pair, strict=True)
    ]


@hookimpl
def forensics_probes() -> list[SketchProbe]:
    """Offers the probe."""
    return [Spectra()]
