"""MLP neurons: whether the suspect's neurons are the candidate's, in place (exact) or anywhere (calibrated).

In place: rows of up_proj are matched by cosine and the matching is ranked against the neurons' own order; neurons
of a layer are exchangeable if nothing is shared, so this p is exact (φ_CSW of Zhu et al. 2025, arXiv 2502.12292).
Anywhere: each neuron's two legs (gate and up; up and down without a gate) answer to the embeddings of shared
tokens, each leg is matched by assignment on its own, and A is the rate at which both find the same partner
(weights-only φ_MATCH, methods §4.3 P2). Unrelated models agree a little because they share concepts, hence A is
judged against unrelated models only. Where tokens find nothing (another vocabulary, re-trained embeddings), the
angles among a layer's neurons are asked, which need no vocabulary and hold in any basis (alignment/neuron_graph);
the larger of the two is the reading. Row cosines in the unchanged basis are no third route: two trainings from one
initialisation are expected to agree in them (not measured).
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

SHARED_LEAST = 64
"""Fewer shared anchors than this say nothing."""
NEURONS_LEAST = 16
"""A unit (an MLP or one expert of it) with fewer usable neurons is left out."""
ORDER_LEAST, UNIT_FLOOR = 32, 1e-6
"""Neurons below which an order is not tested, and the least p that one MLP may contribute."""
SAME_ORDER = 1e-6
"""At this exact p neurons stand in the same order."""
GONE = 0.2
"""Below this agreement a layer's neurons are not found again (measured means: shared initialisation 0.01 to 0.05,
unrelated at most 0.04, continued for as long as pre-training 0.75 to 1.00)."""
DENSE, SHARED = -1, -2
"""Stand for "the MLP itself" and "the shared expert" where an expert's number would be."""

SUMMARY = (
    "In {} matched layers {:.1%} of the sampled MLP neurons have one and the same counterpart by both of their "
    "weight vectors, beyond chance; unrelated models reach a few in a hundred."
)

Floats = NDArray[np.float32]
Unit = tuple[int, int]
"""(layer, expert)."""
Units = dict[Unit, "alignment.SampledUnit"]
Placed = dict[Unit, tuple[int, float, float]]
"""Per unit: neurons compared, ρ of their order, p."""


class Neurons:
    """Hands the legs of each examined MLP or expert to its sampler, with the norm's gain for them."""

    def __init__(self, probe: NeuronMatch, checkpoint: Checkpoint) -> None:
        self.probe, self.checkpoint = probe, checkpoint
        shape = self.shape = checkpoint.architecture
        anchors = checkpoint.anchors(probe.anchors)
        self.hashes, self.inputs = np.zeros(0, np.uint64), np.zeros((0, shape.width or 0), np.float32)
        if anchors is not None:
            hashes, inputs = alignment.usable_anchors(
                anchors.hashes, anchors.rows, subtract_mean=shape.norm == "layer"
            )
            if len(hashes) >= SHARED_LEAST:
                self.hashes, self.inputs = hashes, inputs
        if not self.inputs.shape[1]:
            raise Abstain(Reason.MISSING_TENSORS, "no width")
        self.examined = alignment.evenly_spaced(shape.layers, probe.layers)
        width = self.inputs.shape[1]
        generator = np.random.Generator(np.random.PCG64([probe.seed, width]))
        self.lead, self.follow = ("gate_proj", "up_proj") if shape.glu else ("up_proj", "down_proj")
        self.samplers = alignment.UnitSamplers(
            inputs=self.inputs,
            projection=generator.standard_normal((width, probe.projection), dtype=np.float32),
            most=max(NEURONS_LEAST, probe.neurons // max(1, min(shape.experts, probe.experts))),
            experts=probe.experts,
            least=NEURONS_LEAST,
            outputs=not shape.glu,
            subtract_mean=shape.norm == "layer",
            graph=min(probe.graph, alignment.GRAPH_MOST),
        )

    def wants(self, spec: TensorSpec) -> bool:
        """Both legs of the examined layers' MLPs and experts, where their shapes fit each other and the width."""
        role = spec.role.removeprefix("shared_")
        if role not in {self.lead, self.follow} or spec.layer not in self.examined:
            return False
        lead, follow = self._leg(spec, self.lead), self._leg(spec, self.follow)
        if lead is None or follow is None or lead.columns != self.inputs.shape[1]:
            return False
        rows, columns = follow.rows, follow.columns
        return (lead.rows, lead.columns) == ((rows, columns) if self.shape.glu else (columns, rows))

    def _leg(self, spec: TensorSpec, role: str) -> TensorSpec | None:
        """The leg `role` of the unit that `spec` belongs to."""
        prefix = "shared_" if spec.role.startswith("shared_") else ""
        return self.checkpoint.find(prefix + role, spec.layer, spec.expert)

    def see(self, spec: TensorSpec, rows: Floats, start: int) -> None:
        """Hands a block to its unit's sampler and closes the unit when both legs are through."""
        unit, lead = _unit(spec), self._leg(spec, self.lead)
        sampler = self.samplers.of(unit, lead.rows if lead is not None else 0)
        with np.errstate(all="ignore"):
            if spec.role.endswith(self.lead):
                sampler.lead(rows, start, self._gain(unit[0]))
            else:
                sampler.follow(rows, start, self._gain(unit[0]) if self.shape.glu else None)
        self.samplers.close(unit)

    def _gain(self, layer: int) -> Floats | None:
        """Gain of the norm in front of the MLP; where attention and MLP share one norm, that one; else none."""
        for role in ("mlp_norm", "input_norm"):
            gain = self.checkpoint.vector(role, layer)
            if gain is not None and len(gain) == self.inputs.shape[1]:
                return gain
        return None

    def finish(self) -> Sketch:
        """Hashes (n,), units (u, 3), codes (2, M, n), rows (M, k), index (M,), energy (M,); M neurons in all."""
        for layer, expert in self.samplers.missed():  # its second leg went by before the first had decided
            role = "shared_" * (expert == SHARED) + self.follow
            spec = self.checkpoint.find(role, layer, expert if expert >= 0 else None)
            if spec is not None:
                for start, rows in self.checkpoint.rows(spec):
                    self.see(spec, rows, start)
        layers = {layer for layer, _ in self.samplers.kept}
        if len(layers) < 2:
            raise Abstain(Reason.TOO_SMALL, f"fewer than 2 layers with {NEURONS_LEAST} usable neurons")
        return self.probe.sketch(
            {"hashes": self.hashes, **alignment.units_to_arrays(self.samplers.kept)},
            {
                "width": self.shape.width,
                "depth": self.shape.layers,
                "glu": self.shape.glu,
                "layers_dropped": len(self.examined) - len(layers),
            },
        )


def _unit(spec: TensorSpec) -> Unit:
    """The unit a leg belongs to."""
    if spec.role.startswith("shared_"):
        return spec.layer or 0, SHARED
    return spec.layer or 0, DENSE if spec.expert is None else spec.expert


@dataclass(frozen=True, kw_only=True)
class NeuronMatch(SketchProbe):
    """Matches MLP neurons in place and by what they answer to shared tokens."""

    id: ClassVar[str] = "neuron-match"
    version: ClassVar[str] = "2.1"
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
    seed: int = 20260

    def first_look(self) -> NeuronMatch:
        """Looks at two layers, the fewest that make a reading."""
        return replace(self, layers=2)

    def sketcher(self, checkpoint: Checkpoint) -> Neurons:
        """Neurons of up to `layers` evenly spaced layers, up to `neurons` a layer over all its experts."""
        return Neurons(self, checkpoint)

    def compare(self, suspect: Sketch, candidate: Sketch) -> Measurement:
        """Mean over the suspect's matched layers of the agreement rate above chance, at most 1."""
        if suspect.facts.get("glu") != candidate.facts.get("glu"):
            raise Abstain(Reason.NOT_COMPARABLE, "only one side has gated MLPs")
        mine, theirs = _units(suspect), _units(candidate)
        matches, facts = _routes(mine, theirs, suspect, candidate)
        same_shape = all(suspect.facts[key] == candidate.facts[key] for key in ("width", "depth"))
        placed = alignment.order_tests(mine, theirs) if same_shape else {}
        value = float(np.mean([match.mean("excess") for match in matches]))
        by_layer = {match.layers[0]: match.mean("excess") for match in matches}
        width = min(int(side.facts["width"] or 0) for side in (suspect, candidate))
        return Measurement(
            value=value,
            quantity="agreement of two matchings of neurons above chance, mean over matched layers, at most 1",
            summary=SUMMARY.format(len(matches), max(value, 0.0)),
            group=Group.MLP,
            layers=tuple(by_layer.get(layer) for layer in dict.fromkeys(layer for layer, _ in mine)),
            exact=_exact(placed),
            facts={"width": width, **facts, **alignment.match_figures(matches)},
            tables=(_table(matches, placed), *_coverage(matches)),
            series=(
                Series(
                    panel="Neurons matched",
                    name="agreement above chance",
                    x_label="layer of the suspect",
                    y_label="agreement",
                    x=tuple(float(layer) for layer in by_layer),
                    y=tuple(by_layer.values()),
                ),
            ),
            signs=_signs(value, by_layer, placed, by_tokens=facts["route"] == "tokens"),
        )


def _units(sketch: Sketch) -> Units:
    """The sketch's units, once its arrays fit each other."""
    hashes = sketch.arrays.get("hashes")
    units = None if hashes is None else alignment.units_from_arrays(sketch.arrays, len(hashes))
    if not units or {"width", "depth"} - set(sketch.facts):
        raise Abstain(Reason.INCOMPATIBLE_SKETCHES, "a sketch without neurons, or whose arrays do not fit")
    return units


def _routes(
    mine: Units, theirs: Units, suspect: Sketch, candidate: Sketch
) -> tuple[list[alignment.LayerMatch], dict[str, Scalar]]:
    """By shared tokens; where these are too few or find nothing, by angles too, and the one that finds more."""
    keep = alignment.shared_positions(suspect.arrays["hashes"], candidate.arrays["hashes"])
    facts: dict[str, Scalar] = {"shared_anchors": len(keep[0])}
    routes: dict[str, list[alignment.LayerMatch]] = {}
    if len(keep[0]) >= SHARED_LEAST:
        routes["tokens"] = alignment.match_depths(mine, theirs, keep, NEURONS_LEAST)
    if _mean(routes.get("tokens", [])) < GONE:
        glu = suspect.facts.get("glu") is True
        routes["angles"] = alignment.match_depths_by_angles(mine, theirs, NEURONS_LEAST, glu=glu)
    routes = {name: matches for name, matches in routes.items() if matches}
    if not routes:
        raise Abstain(Reason.NOT_INFORMATIVE, "too few neurons whose counterparts could be sought")
    facts |= {f"agreement_by_{name}": _mean(matches) for name, matches in routes.items()}
    best = max(routes, key=lambda name: _mean(routes[name]))
    return routes[best], facts | {"route": best}


def _mean(matches: list[alignment.LayerMatch]) -> float:
    """Mean excess over matched layers; 0 without any."""
    return float(np.mean([match.mean("excess") for match in matches])) if matches else 0.0


def _coverage(matches: list[alignment.LayerMatch]) -> tuple[Table, ...]:
    """Where experts are: which unit of the candidate each came from, and how much of its layer it holds."""
    rows, omitted = alignment.coverage_rows(matches)
    columns = (
        "suspect layer",
        "expert",
        "candidate layer",
        "its expert",
        "agreement",
        "share of its neurons",
    )
    table = Table(
        title="Experts (-1: the MLP, -2: shared)", columns=columns, rows=tuple(rows), omitted=omitted
    )
    return (table,) if rows else ()


def _exact(placed: Placed) -> Exact | None:
    """Fisher's combination over layers; experts of one layer may be copies, so of those the least p times their number.

    Student's t for Spearman's ρ is up to twice too small in its tail for few neurons (measured: 1.6 at 1e-4 for 16
    of them), so each p is doubled and none counts for less than one in a million.
    """
    layers: dict[int, list[float]] = {}
    for (layer, _), (neurons, _, p) in placed.items():
        if neurons >= ORDER_LEAST:
            layers.setdefault(layer, []).append(max(2.0 * p, UNIT_FLOOR))
    if not layers:
        return None
    by_layer = [min(1.0, len(found) * min(found)) for found in layers.values()]
    return Exact(
        p=alignment.floored(alignment.fisher(by_layer)),
        null_hypothesis="the MLPs are independent, and training treats every neuron of a layer alike",
        method=(
            f"Spearman's closed form, doubled and floored at 1e-6, least over a layer's experts (Bonferroni), "
            f"combined by Fisher over {len(layers)} layers"
        ),
    )


def _signs(value: float, by_layer: dict[int, float], placed: Placed, *, by_tokens: bool) -> tuple[Sign, ...]:
    """Same order of neurons without their answers: shared initialisation. Some layers only: partial reuse.

    Angles lose single layers of plain fine-tunes (measured: gpt2), so they tell nothing of layers that are gone.
    """
    exact, signs = _exact(placed), []
    if exact is not None and exact.p <= SAME_ORDER and value < GONE:
        detail = "neurons stand in the same order, yet their weights no longer answer alike"
        signs.append(Sign(sign=SignKind.SHARED_INITIALISATION, detail=detail))
    kept, gone = (sum(test) for test in zip(*((a > 0.5, a < GONE) for a in by_layer.values()), strict=True))
    if by_tokens and min(kept, gone) >= max(1, len(by_layer) // 4):
        detail = f"neurons are found again in {kept} of {len(by_layer)} examined layers, and not in {gone}"
        signs.append(Sign(sign=SignKind.PARTIAL_REUSE, detail=detail))
    return tuple(signs)


def _table(matches: list[alignment.LayerMatch], placed: Placed) -> Table:
    """One row per matched pair of layers; the last two columns compare the suspect's layer with its namesake."""
    rows = []
    for match in matches:
        _, rho, p = placed.get((match.layers[0], DENSE), (0, None, None))
        figures = (round(match.mean(q), 4) for q in ("rate", "excess", "z", "rho"))
        rows.append((*match.layers, *figures, rho, p if p is None else alignment.floored(p)))
    columns = (
        "suspect layer",
        "candidate layer",
        "agreement",
        "above chance",
        "z within strata",
        "ρ of legs",
    )
    return Table(title="Matched layers", columns=(*columns, "ρ in place", "p in place"), rows=tuple(rows))


@hookimpl
def forensics_probes() -> list[NeuronMatch]:
    """Offers this probe."""
    return [NeuronMatch()]
