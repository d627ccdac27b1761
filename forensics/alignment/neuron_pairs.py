"""Whose counterpart a layer is: every unit against every unit, and layers aligned over the depth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.depths import answerable, match_repeated
from forensics.alignment.neuron_graph import prepared
from forensics.alignment.neuron_sample import SampledUnit, Unit
from forensics.alignment.neuron_units import UnitMatch, leg_agreements, match_angles, match_units, view_of

View = TypeVar("View")
Partners = Mapping[int, tuple[int, UnitMatch]]
"""Per unit (expert) of one layer: its partner by excess, and the match."""

PAIRS_FREE, NEAR = 64, 0.2
"""More pairs of units meet by angles or other legs only where their relative depths differ by at most NEAR."""
PAIRS_MOST = 400
"""Pairs of units that are matched by angles (about 15 ms each for 192 neurons)."""
TOKEN_PAIRS_FREE = 2_500
"""More pairs of units (experts on both sides) meet by tokens only at like relative depth."""
FOUND = 0.5
"""Above this excess a layer is found again; unrelated layers stay below 0.1."""
CLEARLY = 0.3
"""Better by this than in order, and a layer is a copy of one already taken, or stands elsewhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerMatch:
    """One layer of the first model against one of the second: each unit of either with its best partner."""

    layers: tuple[int, int]
    partners: Partners
    """Of the first model's units."""
    takers: Partners
    """Of the second model's units."""
    neurons: tuple[int, int]
    """Sampled neurons of the first and of the second model's layer."""
    legs: Mapping[str, float] = field(default_factory=dict)
    """Agreement of each pair of legs, where gate, up and down are known; mean over the first model's units."""

    def mean(self, quantity: str) -> float:
        """Mean of a figure of `UnitMatch` over the first model's units; 0 without any."""
        figures = [float(getattr(match, quantity)) for _, match in self.partners.values()]
        return float(np.mean(figures)) if figures else 0.0

    def found(self) -> tuple[float, float]:
        """Share of the second layer's sampled neurons found, and by how many units each of those on average.

        Several experts finding the same dense neuron is the mark of up-cycling (methods §4.3 P2).
        """
        finders = Counter((theirs, n) for theirs, match in self.partners.values() for n in match.found)
        share = len(finders) / self.neurons[1] if self.neurons[1] else 0.0
        return share, finders.total() / len(finders) if finders else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Matching:
    """All layers of the first model that could be found again, and where they were."""

    matches: tuple[LayerMatch, ...]
    """Pairs of layers, of the answerable ones."""
    by_layer: Mapping[int, float]
    """Excess of every layer of the first model that was compared and can tell; 0 where it has no counterpart."""
    excused: int
    """Layers that cannot tell, because their counterpart was not examined in a model of another depth."""

    @property
    def value(self) -> float:
        """Mean excess; 0 without any layer."""
        return float(np.mean(list(self.by_layer.values()))) if self.by_layer else 0.0


def match_depths(
    first: Mapping[Unit, SampledUnit],
    second: Mapping[Unit, SampledUnit],
    keep: tuple[NDArray[np.intp], NDArray[np.intp]],
    least: int,
    *,
    legs: tuple[int, int] = (0, 1),
    depth: int | None = None,
) -> Matching:
    """Aligns the layers of the first model with those of the second, `depth` layers deep if that differs.

    `keep` are the shared anchors' positions on either side; units of fewer than `least` neurons take no part. `legs`
    are the two whose matchings are to agree.
    """
    mine, theirs = (
        {key: view_of(unit, kept) for key, unit in units.items()}
        for units, kept in zip((first, second), keep, strict=True)
    )
    sizes = [{key: len(unit.energy) for key, unit in side.items()} for side in (first, second)]
    free = TOKEN_PAIRS_FREE if legs == (0, 1) else PAIRS_FREE
    reach, signed = NEAR if len(mine) * len(theirs) > free else 1.0, 0 in legs
    found = _match(
        mine, theirs, sizes, lambda a, b: match_units(a, b, least, legs, signed=signed), reach, depth
    )
    told = []
    for match in found.matches:
        pairs = [
            (mine[match.layers[0], a], theirs[match.layers[1], b]) for a, (b, _) in match.partners.items()
        ]
        agreed = [told for told in (leg_agreements(a, b, least) for a, b in pairs) if told]
        means = {name: float(np.mean([one[name] for one in agreed])) for name in (agreed or [{}])[0]}
        told.append(replace(match, legs=means))
    return replace(found, matches=tuple(told))


def match_depths_by_angles(
    first: Mapping[Unit, SampledUnit],
    second: Mapping[Unit, SampledUnit],
    least: int,
    *,
    glu: bool,
    depth: int | None = None,
) -> Matching:
    """The same without vocabulary; of many pairs of units only those at like relative depth meet."""
    mine, theirs = (
        {key: (prepared(u.grams, u.traits, glu=glu), u.energy[: len(u.traits)]) for key, u in units.items()}
        for units in (first, second)
    )
    sizes = [{key: len(unit.traits) for key, unit in side.items()} for side in (first, second)]
    pairs = len(mine) * len(theirs)
    reach = 0.0 if pairs > PAIRS_MOST else NEAR if pairs > PAIRS_FREE else 1.0
    return _match(mine, theirs, sizes, lambda a, b: match_angles(a, b, least), reach, depth)


def _match(
    first: Mapping[Unit, View],
    second: Mapping[Unit, View],
    sizes: list[dict[Unit, int]],
    matcher: Callable[[View, View], UnitMatch | None],
    reach: float,
    depth: int | None,
) -> Matching:
    """Layers in order; one that is clearly better elsewhere goes there (repeated and moved layers)."""
    mine, theirs = (sorted({layer for layer, _ in side}) for side in (first, second))
    high, deep = max(1, len(mine) - 1), max(1, len(theirs) - 1)
    tried: list[list[LayerMatch]] = []
    for i, layer in enumerate(mine):
        row = []
        for j, other in enumerate(theirs):
            near = abs(i * deep - j * high) <= reach * high * deep + high / 2
            a, b = (
                {e: view for (n, e), view in side.items() if n == at and near}
                for side, at in ((first, layer), (second, other))
            )
            row.append(_layers((layer, other), a, b, sizes, matcher))
        tried.append(row)
    excess = np.array([[pair.mean("excess") if pair.partners else -1.0 for pair in row] for row in tried])
    partner = match_repeated(excess, CLEARLY, monotone=True).tolist()
    likeness = [
        float(excess[i, j]) if j >= 0 and tried[i][j].partners else 0.0 for i, j in enumerate(partner)
    ]
    tells = np.ones(len(mine), bool) if depth is None else answerable(likeness, partner, theirs, depth, FOUND)
    kept = [i for i in range(len(mine)) if tells[i] and any(pair.partners for pair in tried[i])]
    return Matching(
        matches=tuple(
            tried[i][partner[i]] for i in kept if partner[i] >= 0 and tried[i][partner[i]].partners
        ),
        by_layer={mine[i]: likeness[i] for i in kept},
        excused=int(len(mine) - tells.sum()),
    )


def _layers(
    layers: tuple[int, int],
    first: Mapping[int, View],
    second: Mapping[int, View],
    sizes: list[dict[Unit, int]],
    matcher: Callable[[View, View], UnitMatch | None],
) -> LayerMatch:
    """Every unit of one layer against every unit of the other."""
    tried = [(a, b, matcher(view, seen)) for a, view in first.items() for b, seen in second.items()]
    found = [(a, b, match) for a, b, match in tried if match is not None]
    partners: dict[int, tuple[int, UnitMatch]] = {}
    takers: dict[int, tuple[int, UnitMatch]] = {}
    for a, b, match in found:
        if a not in partners or match.excess > partners[a][1].excess:
            partners[a] = b, match
        if b not in takers or match.excess > takers[b][1].excess:
            takers[b] = a, match
    neurons = tuple(
        sum(n for (at, _), n in side.items() if at == layer)
        for side, layer in zip(sizes, layers, strict=True)
    )
    return LayerMatch(layers=layers, partners=partners, takers=takers, neurons=(neurons[0], neurons[1]))
