"""One unit's neurons against another's: each leg matched apart, and how often the legs agree.

A leg that was re-trained or replaced spoils every agreement it takes part in and no other, so that of gate, up and
down each pair is told. Statistic, per pair: A = P(π_first = π_second) above chance. Invariances and defeats are those
of the responses: no order of neurons, no rotation of the residual stream matters. Source: methods §4.3 P2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.assignment import agreement, match_rows, spearman, stratified_z
from forensics.alignment.neuron_codes import standardise
from forensics.alignment.neuron_graph import Graph, match_graphs
from forensics.alignment.neuron_sample import SampledUnit

Floats32 = NDArray[np.float32]
Index = NDArray[np.intp]
AngleView = tuple[Graph, Floats32]
"""Angles among a unit's neurons, and their energies."""
LEGS = ("gate", "up", "down")
"""Legs of a gated MLP, in the order of `UnitView.legs`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitView:
    """One MLP (or expert) as its neurons answer to shared anchors; neurons by falling norm."""

    legs: tuple[Floats32, ...]
    """Of each leg its (neurons, anchors), from `standardise`: gate, up and of fewer neurons down; or up and down."""
    importance: Floats32
    """Energy of the answers, (neurons,): the strata of the null."""

    def answering(self, *legs: int) -> Index:
        """Neurons that answer in all these legs; the others take no part."""
        least = min(len(self.legs[leg]) for leg in legs)
        return np.flatnonzero(np.all([self.legs[leg][:least].any(axis=1) for leg in legs], axis=0))


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitMatch:
    """How two units' neurons were matched, leg by leg."""

    rate: float
    """A: share of matched neurons whose two legs found the same partner."""
    excess: float
    """A above its chance level and scaled so that 1 stays 1: (A − 1/n) / (1 − 1/n)."""
    upper: float
    """The same over the half of the matched neurons with the larger norms, which a narrowed MLP keeps."""
    lower: float
    """And over the other half, where noise hides most."""
    z: float
    """A against its null within strata of importance, in standard deviations."""
    rho: float
    """Spearman's ρ between the two legs' matchings (the original φ_MATCH)."""
    found: frozenset[int]
    """Neurons of the second unit that both legs agree on."""
    placed: frozenset[int]
    """Neurons of the first unit that both legs agree on."""


def view_of(unit: SampledUnit, keep: Index) -> UnitView:
    """A unit's answers to the anchors at these positions."""
    codes = [*unit.codes, unit.third] if len(unit.third) else list(unit.codes)
    return UnitView(legs=tuple(standardise(leg, keep) for leg in codes), importance=unit.energy)


def match_units(
    first: UnitView, second: UnitView, least: int, legs: tuple[int, int] = (0, 1), *, signed: bool = True
) -> UnitMatch | None:
    """Two assignments of the smaller unit's neurons to the larger one's; None if either has fewer than `least`.

    Chance: a second partner is any of the n neurons of the larger unit, so E[A] is about 1/n. Of the second leg
    the sign is left out: negating a gated neuron's up row and down column changes nothing it computes. For up with
    down neither leg is `signed`.
    """
    if max(legs) >= min(len(first.legs), len(second.legs)):
        return None
    mine, theirs = first.answering(*legs), second.answering(*legs)
    if min(len(mine), len(theirs)) < least:
        return None
    swapped = len(mine) > len(theirs)
    (a, rows), (b, columns) = (
        ((second, theirs), (first, mine)) if swapped else ((first, mine), (second, theirs))
    )
    likeness = [a.legs[leg][rows] @ b.legs[leg][columns].T for leg in legs]
    lead = match_rows(likeness[0] if signed else np.abs(likeness[0]))
    follow = match_rows(np.abs(likeness[1]))
    agreed = np.flatnonzero(lead == follow)
    ends = rows[agreed], columns[lead[agreed]]
    return _unit_match(lead, follow, a.importance[rows], len(columns), ends[::-1] if swapped else ends)


def _unit_match(
    lead: Index, follow: Index, importance: Floats32, of: int, ends: tuple[Index, Index]
) -> UnitMatch:
    """Figures of two matchings into `of` neurons; `ends` are the agreed neurons of the first and the second unit."""
    chance, half = 1.0 / of, (len(lead) + 1) // 2
    rates = [agreement(lead[part], follow[part]) for part in (slice(None), slice(half), slice(half, None))]
    return UnitMatch(
        rate=rates[0],
        excess=above(rates[0], chance),
        upper=above(rates[1], chance),
        lower=above(rates[2], chance),
        z=stratified_z(lead, follow, importance),
        rho=spearman(lead, follow)[0],
        found=frozenset(ends[1].tolist()),
        placed=frozenset(ends[0].tolist()),
    )


def above(rate: float, chance: float) -> float:
    """A rate above its chance level, scaled so that 1 stays 1."""
    return (rate - chance) / (1.0 - chance) if chance < 1.0 else 0.0


def match_angles(first: AngleView, second: AngleView, least: int) -> UnitMatch | None:
    """The same by the angles among a unit's neurons, without vocabulary and in any basis (`neuron_graph`)."""
    (a, strength), (b, _) = (first, second) if len(first[1]) <= len(second[1]) else (second, first)
    if len(strength) < least:
        return None
    lead, follow = match_graphs(a, b)
    agreed = np.flatnonzero(lead == follow)
    ends = agreed, lead[agreed]
    return _unit_match(lead, follow, strength, len(b.lead), ends if a is first[0] else ends[::-1])


def leg_agreements(first: UnitView, second: UnitView, least: int) -> Mapping[str, float]:
    """Agreement above chance of each pair of gate, up and down over the neurons that have all three; else empty.

    Besides, `two of three`: neurons on whose partner at least two legs agree, which no single leg can hide.
    """
    if min(len(first.legs), len(second.legs)) < len(LEGS):
        return {}
    sides = [(view, view.answering(0, 1, 2)) for view in (first, second)]
    (a, rows), (b, columns) = sorted(sides, key=lambda side: len(side[1]))
    if len(rows) < least:
        return {}
    likeness = [a.legs[leg][rows] @ b.legs[leg][columns].T for leg in range(len(LEGS))]
    found = [match_rows(one if leg == 0 else np.abs(one)) for leg, one in enumerate(likeness)]
    chance = 1.0 / len(columns)
    agreed = {(i, j): found[i] == found[j] for i, j in combinations(range(len(LEGS)), 2)}
    told = {f"{LEGS[i]} and {LEGS[j]}": above(float(same.mean()), chance) for (i, j), same in agreed.items()}
    return told | {
        "two of three": above(float(np.any(list(agreed.values()), axis=0).mean()), min(0.99, 3 * chance))
    }
