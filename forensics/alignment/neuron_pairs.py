"""Whose counterpart a neuron is: two legs matched apart, unit by unit and layer by layer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.assignment import agreement, match_layers, match_rows, spearman, stratified_z
from forensics.alignment.neuron_codes import standardise
from forensics.alignment.neuron_graph import Graph, match_graphs, prepared
from forensics.alignment.neuron_sample import SampledUnit, Unit

Floats32 = NDArray[np.float32]
AngleView = tuple[Graph, Floats32]
"""Angles among a unit's neurons, and their energies."""
View = TypeVar("View")

PAIRS_FREE, NEAR = 64, 0.2
"""More pairs of units meet by angles only where their relative depths differ by at most NEAR."""
PAIRS_MOST = 400
"""Pairs of units that are matched by angles (about 15 ms each for 192 neurons)."""
REPEATED = 0.5
"""At this excess a layer is the copy of one already taken; unrelated layers stay below 0.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitView:
    """One MLP (or expert) as its neurons answer to shared anchors."""

    lead: Floats32
    """First leg, (neurons, anchors), from `standardise`."""
    follow: Floats32
    """Second leg, likewise."""
    importance: Floats32
    """Energy of the answers, (neurons,): the strata of the null."""

    def answering(self) -> NDArray[np.intp]:
        """Neurons that answer in both legs; the others take no part."""
        return np.flatnonzero(self.lead.any(axis=1) & self.follow.any(axis=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitMatch:
    """How two units' neurons were matched, leg by leg."""

    rate: float
    """A: share of matched neurons whose two legs found the same partner."""
    excess: float
    """A above its chance level and scaled so that 1 stays 1: (A − 1/n) / (1 − 1/n)."""
    z: float
    """A against its null within strata of importance, in standard deviations."""
    rho: float
    """Spearman's ρ between the two legs' matchings (the original φ_MATCH)."""
    found: frozenset[int]
    """Neurons of the second unit that both legs agree on."""


def match_units(first: UnitView, second: UnitView, least: int) -> UnitMatch | None:
    """Two assignments of the smaller unit's neurons to the larger one's; None if either has fewer than `least`.

    Chance: a second partner is any of the n neurons of the larger unit, so E[A] is about 1/n. Of the second leg
    the sign is left out: negating a gated neuron's up row and down column changes nothing it computes.
    """
    mine, theirs = first.answering(), second.answering()
    if min(len(mine), len(theirs)) < least:
        return None
    swapped = len(mine) > len(theirs)
    (a, rows), (b, columns) = (
        ((second, theirs), (first, mine)) if swapped else ((first, mine), (second, theirs))
    )
    lead = match_rows(a.lead[rows] @ b.lead[columns].T)
    follow = match_rows(np.abs(a.follow[rows] @ b.follow[columns].T))
    agreed = lead == follow
    found = (rows[agreed] if swapped else columns[lead[agreed]]).tolist()
    return _unit_match(lead, follow, a.importance[rows], len(columns), found)


def _unit_match(
    lead: NDArray[np.intp], follow: NDArray[np.intp], importance: Floats32, of: int, found: Iterable[int]
) -> UnitMatch:
    """Figures of two matchings into `of` neurons."""
    rate, chance = agreement(lead, follow), 1.0 / of
    return UnitMatch(
        rate=rate,
        excess=(rate - chance) / (1.0 - chance),
        z=stratified_z(lead, follow, importance),
        rho=spearman(lead, follow)[0],
        found=frozenset(found),
    )


def match_angles(first: AngleView, second: AngleView, least: int) -> UnitMatch | None:
    """The same by the angles among a unit's neurons, without vocabulary and in any basis (`neuron_graph`)."""
    (a, strength), (b, _) = (first, second) if len(first[1]) <= len(second[1]) else (second, first)
    if len(strength) < least:
        return None
    lead, follow = match_graphs(a, b)
    agreed = np.flatnonzero(lead == follow)
    found = (agreed if a is not first[0] else lead[agreed]).tolist()
    return _unit_match(lead, follow, strength, len(b.lead), found)


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerMatch:
    """One layer of the first model against one of the second: each unit of it with its best partner."""

    layers: tuple[int, int]
    partners: Mapping[int, tuple[int, UnitMatch]]
    """Per unit (expert) of the first: its partner by excess, and the match."""
    neurons: int
    """Sampled neurons of the second model's layer."""

    def mean(self, quantity: str) -> float:
        """Mean of a figure of `UnitMatch` over the first model's units; 0 without any."""
        figures = [float(getattr(match, quantity)) for _, match in self.partners.values()]
        return float(np.mean(figures)) if figures else 0.0

    def found(self) -> tuple[float, float]:
        """Share of the second layer's sampled neurons found, and by how many units each of those on average.

        Several experts finding the same dense neuron is the mark of up-cycling (methods §4.3 P2).
        """
        finders = Counter((theirs, n) for theirs, match in self.partners.values() for n in match.found)
        share = len(finders) / self.neurons if self.neurons else 0.0
        return share, finders.total() / len(finders) if finders else 0.0


def match_depths(
    first: Mapping[Unit, SampledUnit],
    second: Mapping[Unit, SampledUnit],
    keep: tuple[NDArray[np.intp], NDArray[np.intp]],
    least: int,
) -> list[LayerMatch]:
    """Matches every layer of the first model with one of the second, by the summed excess; unmatched are left out.

    `keep` are the shared anchors' positions on either side; units of fewer than `least` neurons take no part.
    """
    sides = []
    for units, kept in zip((first, second), keep, strict=True):
        views = {}
        for key, unit in units.items():
            lead, follow = (standardise(codes, kept) for codes in unit.codes)
            views[key] = UnitView(lead=lead, follow=follow, importance=unit.energy)
        sides.append(views)
    sizes = {key: len(unit.energy) for key, unit in second.items()}
    return _match(sides[0], sides[1], sizes, lambda a, b: match_units(a, b, least))


def match_depths_by_angles(
    first: Mapping[Unit, SampledUnit], second: Mapping[Unit, SampledUnit], least: int, *, glu: bool
) -> list[LayerMatch]:
    """The same without vocabulary; of many pairs of units only those at like relative depth meet."""
    mine, theirs = (
        {key: (prepared(u.grams, u.traits, glu=glu), u.energy[: len(u.traits)]) for key, u in units.items()}
        for units in (first, second)
    )
    sizes = {key: len(unit.traits) for key, unit in second.items()}
    pairs = len(mine) * len(theirs)
    reach = 0.0 if pairs > PAIRS_MOST else NEAR if pairs > PAIRS_FREE else 1.0
    return _match(mine, theirs, sizes, lambda a, b: match_angles(a, b, least), reach=reach)


def _match(
    first: Mapping[Unit, View],
    second: Mapping[Unit, View],
    sizes: Mapping[Unit, int],
    matcher: Callable[[View, View], UnitMatch | None],
    *,
    reach: float = 1.0,
) -> list[LayerMatch]:
    """Layers one to one; then a layer left without a likeness takes the best even if taken (repeated layers)."""
    mine, theirs = (sorted({layer for layer, _ in side}) for side in (first, second))
    high, deep = max(1, len(mine) - 1), max(1, len(theirs) - 1)
    tried: list[list[LayerMatch]] = []
    for i, layer in enumerate(mine):
        row = []
        for j, other in enumerate(theirs):
            a = {e: view for (at, e), view in first.items() if at == layer}
            b = {e: view for (at, e), view in second.items() if at == other}
            best: dict[int, tuple[int, UnitMatch]] = {}
            for unit, view in a.items() if abs(i * deep - j * high) <= reach * high * deep + high / 2 else ():
                pairs = [(them, matcher(view, seen)) for them, seen in b.items()]
                found = [(them, match) for them, match in pairs if match is not None]
                if found:
                    best[unit] = max(found, key=lambda pair: pair[1].excess)
            neurons = sum(sizes[other, e] for e in b)
            row.append(LayerMatch(layers=(layer, other), partners=best, neurons=neurons))
        tried.append(row)
    excess = np.array([[pair.mean("excess") if pair.partners else -1.0 for pair in row] for row in tried])
    partner = match_layers(excess)
    for i, j in enumerate(partner.tolist()):
        best_j = int(np.argmax(excess[i]))
        if excess[i, best_j] > REPEATED and (j < 0 or excess[i, j] < REPEATED / 2):
            partner[i] = best_j
    matched = [row[j] for row, j in zip(tried, partner.tolist(), strict=True) if j >= 0]
    return [pair for pair in matched if pair.partners]


def coverage_rows(matches: Sequence[LayerMatch], most: int = 64) -> tuple[list[tuple[int | float, ...]], int]:
    """Which units' neurons live where: (layer, unit, candidate's layer, unit, agreement, share of its neurons).

    Only layers in which either side has experts; the second value counts rows beyond `most`.
    """
    rows: list[tuple[int | float, ...]] = []
    for match in matches:
        for mine, (theirs, found) in sorted(match.partners.items()):
            if mine >= 0 or theirs >= 0:
                share = len(found.found) / max(1, match.neurons)
                rows.append(
                    (match.layers[0], mine, match.layers[1], theirs, round(found.rate, 4), round(share, 4))
                )
    return rows[:most], max(0, len(rows) - most)


def match_figures(matches: Sequence[LayerMatch]) -> dict[str, float]:
    """Side figures of matched layers; those of experts only where one side has several units in a layer."""
    shares, finders = zip(*(match.found() for match in matches), strict=True)
    figures: dict[str, float] = {
        "layers_matched": len(matches),
        "layers_repeated": len(matches) - len({match.layers[1] for match in matches}),
        "matched_in_order": all(a.layers[1] <= b.layers[1] for a, b in pairwise(matches)),
        "median_z_within_strata": float(np.median([match.mean("z") for match in matches])),
        "median_rho": float(np.median([match.mean("rho") for match in matches])),
        "candidate_neurons_found": float(np.mean(shares)),
    }
    experts = [found for match in matches for found in match.partners.items()]
    if any(mine >= 0 or theirs >= 0 for mine, (theirs, _) in experts):
        figures["units_compared"] = len(experts)
        figures["units_recognised"] = sum(found.excess > 0.5 for _, (_, found) in experts)
        figures["finders_per_neuron"] = float(np.mean(finders))
    return figures
