"""MLP neurons: whether the suspect's neurons are the candidate's, in place (exact) or anywhere (calibrated).

In place: rows of up_proj are matched by cosine and the matching is ranked against the neurons' own order; neurons
of a layer are exchangeable if nothing is shared, so this p is exact (φ_CSW of Zhu et al. 2025, arXiv 2502.12292).
Anywhere: each neuron's two legs (gate and up; up and down without a gate) answer to the embeddings of shared
tokens, each leg is matched by assignment on its own, and A is the rate at which both find the same partner
(weights-only φ_MATCH, methods §4.3 P2). Unrelated models agree a little because they share concepts, hence A is
judged against unrelated models only. Where tokens find nothing, the other pairs of gate, up and down are asked (one
leg may have been trained anew), and the angles among a layer's neurons, which need no vocabulary and hold in any basis
(alignment/neuron_graph); the largest is the reading. Row cosines in the unchanged basis are no further route: two
trainings from one initialisation are expected to agree in them (not measured).
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
    SketchProbe,
    Table,
    TensorSpec,
    alignment,
    hookimpl,
)

NEURONS_LEAST = 16
"""A unit (an MLP or one expert of it) with fewer usable neurons is left out."""
SAME_ORDER = 1e-6
"""At this exact p neurons stand in the same order."""
NULL = "the MLPs are independent, and training treats every neuron of a layer alike"
SUMMARY = (
    "In {} matched layers {:.1%} of the sampled MLP neurons have one and the same counterpart by both of their "
    "weight vectors, beyond chance; unrelated models reach a few in a hundred."
)

Floats = NDArray[np.float32]
Matching = alignment.Matching
Units = dict[tuple[int, int], "alignment.SampledUnit"]
"""By layer and expert."""


class Neurons:
    """Hands the legs of each examined MLP or expert to its sampler, with the norm's gain for them."""

    def __init__(self, probe: NeuronMatch, checkpoint: Checkpoint) -> None:
        self.probe, self.checkpoint = probe, checkpoint
        shape = self.shape = checkpoint.architecture
        centred, anchors = shape.norm == "layer", checkpoint.anchors(probe.anchors)
        self.hashes, self.inputs = np.zeros(0, np.uint64), np.zeros((0, shape.width or 0), np.float32)
        if anchors is not None:
            usable = alignment.usable_anchors(anchors.hashes, anchors.rows, subtract_mean=centred)
            if len(usable[0]) >= alignment.SHARED_LEAST:
                self.hashes, self.inputs = usable
        width = self.inputs.shape[1]
        if not width:
            raise Abstain(Reason.MISSING_TENSORS, "no width")
        self.examined = alignment.nested_layers(shape.layers, probe.layers)
        rng = np.random.Generator(np.random.PCG64([probe.seed, width]))
        units = max(1, min(shape.experts, probe.experts))
        down = alignment.nested_layers(shape.layers, probe.down_layers * bool(shape.glu and len(self.hashes)))
        self.legs = alignment.MlpLegs(checkpoint=checkpoint, glu=shape.glu, width=width, confirms=bool(down))
        self.samplers = alignment.UnitSamplers(
            inputs=self.inputs,
            projection=rng.standard_normal((width, probe.projection), dtype=np.float32),
            most=max(NEURONS_LEAST, probe.neurons // units),
            experts=probe.experts,
            least=NEURONS_LEAST,
            outputs=not shape.glu,
            subtract_mean=centred,
            graph=min(probe.graph, alignment.GRAPH_MOST),
            third=max(NEURONS_LEAST, probe.down_neurons // units),
            third_layers=down,
        )

    def wants(self, spec: TensorSpec) -> bool:
        """The legs of the examined layers' MLPs and experts that fit each other; the third once neurons are chosen."""
        if spec.layer not in self.examined or not self.legs.fit(spec):
            return False
        return not self.legs.is_third(spec) or alignment.unit_of(spec) in self.samplers.columns

    def see(self, spec: TensorSpec, rows: Floats, start: int) -> None:
        """Hands a block to its unit's sampler and closes the unit when both legs are through."""
        unit, lead = alignment.unit_of(spec), self.legs.of(spec, self.legs.lead)
        if self.legs.is_third(spec):
            self.samplers.confirm(unit, rows, start)
            return
        sampler = self.samplers.of(unit, lead.rows if lead is not None else 0)
        gain = self.legs.gain(unit[0])
        with np.errstate(all="ignore"):
            if spec.role.endswith(self.legs.lead):
                sampler.lead(rows, start, gain)
            else:
                sampler.follow(rows, start, gain if self.shape.glu else None)
        self.samplers.close(unit)

    def finish(self) -> Sketch:
        """Hashes (n,), units (u, 3), codes (2, M, n), rows (M, k), index (M,), energy (M,); M neurons in all."""
        for unit in self.samplers.missed():  # its second leg went by before the first had decided
            self._again(self.legs.follow, unit)
        for unit in self.samplers.unconfirmed():
            self._again("down_proj", unit)
        layers = {layer for layer, _ in self.samplers.kept}
        if len(layers) < 2:
            raise Abstain(Reason.TOO_SMALL, f"fewer than 2 layers with {NEURONS_LEAST} usable neurons")
        shape, dropped = self.shape, len(self.examined) - len(layers)
        facts = {"width": shape.width, "depth": shape.layers, "glu": shape.glu, "layers_dropped": dropped}
        arrays = {"hashes": self.hashes, **alignment.units_to_arrays(self.samplers.samples())}
        return self.probe.sketch(arrays, facts)

    def _again(self, role: str, unit: tuple[int, int]) -> None:
        """Reads one leg of a unit once more."""
        spec = self.legs.at(unit, role)
        if spec is not None and self.legs.fit(spec):
            for start, rows in self.checkpoint.rows(spec):
                self.see(spec, rows, start)


@dataclass(frozen=True, kw_only=True)
class NeuronMatch(SketchProbe):
    """Matches MLP neurons in place and by what they answer to shared tokens."""

    id: ClassVar[str] = "neuron-match"
    version: ClassVar[str] = "3.0"
    title: ClassVar[str] = "MLP neurons matched one by one"
    measures: ClassVar[str] = (
        "How often both weight vectors of a neuron, matched separately by shared tokens or by angles, find the same "
        "counterpart in the other model, judged against unrelated models; and, exactly, whether neurons keep order. "
        "Retrained or replaced MLPs defeat it."
    )
    needs: ClassVar[str] = "MLP matrices; token embeddings and tokenizer where there are any"
    expected: ClassVar[str] = "Derived: agreement near 1, permuted or not; unrelated: a few hundredths."
    layers: int = 12
    neurons: int = 384
    anchors: int = 512
    experts: int = 8
    projection: int = 64
    graph: int = 192
    down_layers: int = 4
    down_neurons: int = 192
    seed: int = 20260

    def first_look(self) -> NeuronMatch:
        """Looks at two layers, the fewest that make a reading, and not at what a gated neuron writes."""
        return replace(self, layers=2, down_layers=0)

    def sketcher(self, checkpoint: Checkpoint) -> Neurons:
        """Neurons of up to `layers` layers that other depths choose too, up to `neurons` a layer over all experts."""
        return Neurons(self, checkpoint)

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """Mean over the suspect's layers that can be found of the agreement rate above chance, at most 1."""
        if suspect.facts.get("glu") != candidate.facts.get("glu"):
            raise Abstain(Reason.NOT_COMPARABLE, "only one side has gated MLPs")
        mine, theirs = self._units(suspect), self._units(candidate)
        depths, widths = ([side.facts[key] for side in (suspect, candidate)] for key in ("depth", "width"))
        depth = depths[1] if depths[0] != depths[1] and isinstance(depths[1], int) else None
        keep = alignment.shared_positions(suspect.arrays["hashes"], candidate.arrays["hashes"])
        glu = suspect.facts.get("glu") is True
        found = alignment.routes(mine, theirs, keep, NEURONS_LEAST, glu=glu, depth=depth)
        if not found:
            raise Abstain(Reason.NOT_INFORMATIVE, "too few neurons whose counterparts could be sought")
        route = max(found, key=lambda name: found[name].value)
        facts: dict[str, Scalar] = {"shared_anchors": len(keep[0]), "route": route}
        facts |= {f"agreement_by_{name.replace(' ', '_')}": one.value for name, one in found.items()}
        same = depths[0] == depths[1] and widths[0] == widths[1]
        placed = alignment.order_tests(mine, theirs) if same else {}
        facts["width"] = min(int(width or 0) for width in widths)
        return _measurement(found[route], facts, placed)

    def _units(self, sketch: Sketch) -> Units:
        """The sketch's units, once its arrays fit each other and this probe's limits."""
        hashes = sketch.arrays.get("hashes")
        units = hashes is not None and alignment.units_from_arrays(
            sketch.arrays, len(hashes), layers=self.layers, experts=self.experts
        )
        if not units or {"width", "depth"} - set(sketch.facts):
            raise Abstain(Reason.INCOMPATIBLE_SKETCHES, "no neurons in a sketch, or arrays that do not fit")
        return units


def _measurement(matching: Matching, facts: dict[str, Scalar], placed: alignment.Orders) -> Measurement:
    """The reading in words, tables and numbers."""
    by_layer = matching.by_layer
    line = Series(
        panel="Neurons matched", name="agreement above chance", x_label="layer of the suspect", y_label="agreement",
        x=tuple(map(float, by_layer)), y=tuple(by_layer.values()),
    )  # fmt: skip
    together = alignment.orders_together(placed)
    exact = Exact(p=together[0], null_hypothesis=NULL, method=together[1]) if together else None
    return Measurement(
        value=matching.value,
        quantity="agreement of two matchings of neurons above chance, mean over layers, at most 1",
        summary=SUMMARY.format(len(matching.matches), max(matching.value, 0.0)),
        group=Group.MLP,
        layers=tuple(by_layer.values()),
        exact=exact,
        facts={**facts, **alignment.match_figures(matching)},
        tables=_tables(matching, placed),
        series=(line,),
        signs=_signs(matching, exact, by_tokens=facts["route"] != "angles"),
    )


def _signs(matching: Matching, exact: Exact | None, *, by_tokens: bool) -> tuple[Sign, ...]:
    """Same order of neurons without their answers: shared initialisation. Some layers only: partial reuse.

    Angles lose single layers of plain fine-tunes (measured: gpt2), so they tell nothing of layers that are gone.
    """
    signs, layers = [], matching.by_layer.values()
    if exact is not None and exact.p <= SAME_ORDER and matching.value < alignment.GONE:
        detail = "neurons stand in the same order, yet their weights no longer answer alike"
        signs.append(Sign(sign=SignKind.SHARED_INITIALISATION, detail=detail))
    kept, gone = sum(a > 0.5 for a in layers), sum(a < alignment.GONE for a in layers)
    if by_tokens and min(kept, gone) >= max(1, len(layers) // 4):
        detail = f"neurons are found again in {kept} of {len(layers)} examined layers, and not in {gone}"
        signs.append(Sign(sign=SignKind.PARTIAL_REUSE, detail=detail))
    return tuple(signs)


def _tables(matching: Matching, orders: alignment.Orders) -> tuple[Table, ...]:
    """Layers; and of mixtures where experts came from, or which of them hold the neurons of an MLP."""
    title, rows = "Matched layers", alignment.layer_rows(matching, orders)
    layers = Table(title=title, columns=alignment.LAYER_COLUMNS, rows=rows)
    rows, omitted = alignment.coverage_rows(matching.matches)
    if not rows:
        return (layers,)
    title = "Experts (-1: the MLP, -2: shared)"
    return layers, Table(title=title, columns=alignment.COVERAGE_COLUMNS, rows=rows, omitted=omitted)


@hookimpl
def forensics_probes() -> list[NeuronMatch]:
    """Offers this probe."""
    return [NeuronMatch()]
