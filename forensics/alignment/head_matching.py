"""Heads of two models matched by one kind of circuit, and asked of the other: is it the same graph?

Edges are those of `head_edges`. One circuit's overlaps (QK's) find heads and
layers by graph matching: S_ij = ⟨row i of the first graph, row π(j) of the second⟩, assignment inside pairs of layers
(whole groups of heads that share keys first), layers in order by dynamic programming, repeated. Then the *other*
circuit's overlaps (OV's), and those of the one with the other, which nothing has looked at, are correlated under the
matching. The same is done the other way round. Searched, hence no exact p; but of unrelated models the confirming
half is independent of the search, so that it scatters around 0.
Source: graph matching by projected power iterations (see neuron_graph); composition of heads (Elhage et al. 2021).
Defeats: heads taken from several models.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.assignment import UNMATCHED, match_rows
from forensics.alignment.depths import match_layers
from forensics.alignment.head_edges import OV, QK, HeadGraph

Floats = NDArray[np.float64]
Partners = NDArray[np.intp]

ROUNDS = 8
"""Rounds of refinement at most; it mostly stands still after four."""
SURE = 0.9
"""A matching under which its own circuit agrees this well needs no further start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadMatch:
    """What one circuit's matching of heads makes of the rest."""

    partner: Partners
    """Partner of each of the first graph's heads."""
    own: float
    """Correlation of the edges by which heads were matched: maximised, so it tells nothing on its own."""
    other: float
    """Correlation of the other circuit's edges."""
    across: float
    """Correlation of the edges between the two circuits."""
    by_layer: Floats
    """The mean of `other` and `across` per layer of the first graph; NaN for none."""


def match_heads(first: HeadGraph, second: HeadGraph, circuit: slice, starts: int) -> HeadMatch | None:
    """Heads matched by `circuit` (`QK` or `OV`), and the rest confirmed; None where nothing can be matched."""
    free = np.sqrt(np.minimum(first.spread(), second.spread()))
    weights = np.outer(free, free)
    best, most = None, -np.inf
    rng = np.random.Generator(np.random.PCG64(0))
    for layers, start in product(_layer_starts(first, second), range(starts)):
        seed = _likeness(first, second, int(circuit.start > 0), rng if start else None)
        partner = _refined(first, second, circuit, weights, seed, layers)
        kept = np.count_nonzero(partner != UNMATCHED)
        own = _correlation(first, second, partner, (circuit, circuit), weights)
        if kept and own * kept > most:
            best, most = partner, own * kept
        if own > SURE and kept == min(len(first.layer), len(second.layer)):
            break
    return None if best is None else _confirmed(first, second, best, circuit, weights)


def _confirmed(
    first: HeadGraph, second: HeadGraph, partner: Partners, circuit: slice, weights: Floats
) -> HeadMatch:
    """What the edges that the matching has not looked at say."""
    rest = OV if circuit == QK else QK
    legs = {"own": (circuit, circuit), "other": (rest, rest), "across": (circuit, rest)}
    told = {name: _correlation(first, second, partner, pair, weights) for name, pair in legs.items()}
    by_layer = np.full(int(first.layer.max()) + 1, np.nan)
    for one in np.unique(first.layer[partner != UNMATCHED]):
        rows = first.layer == one
        parts = [_correlation(first, second, partner, legs[n], weights, rows) for n in ("other", "across")]
        by_layer[one] = np.mean(parts)
    return HeadMatch(partner=partner, by_layer=by_layer, **told)


def _layer_starts(first: HeadGraph, second: HeadGraph) -> list[Partners | None]:
    """Layers to start with: as they stand, or from the front, from the back, from both ends; then none (searched)."""
    mine, theirs = int(first.layer.max()) + 1, int(second.layer.max()) + 1
    common = min(mine, theirs)
    found: list[Partners | None] = []
    for back in sorted({0, common // 2, common} if mine != theirs else {0}):
        layers = np.full(mine, UNMATCHED, np.intp)
        layers[: common - back] = np.arange(common - back)
        layers[mine - back :] = np.arange(theirs - back, theirs)
        found.append(layers)
    return [*found, None]


def _likeness(first: HeadGraph, second: HeadGraph, circuit: int, rng: np.random.Generator | None) -> Floats:
    """Likeness of heads by figures that need no partner, (n, m), with noise for a further start."""
    sides = [graph.traits[circuit] for graph in (first, second)]
    size = min(side.shape[1] for side in sides)
    both = np.concatenate([side[:, -size:] for side in sides])
    both = (both - both.mean(axis=0)) / np.maximum(both.std(axis=0), 1e-9)
    a, b = both[: len(sides[0])], both[len(sides[0]) :]
    apart: Floats = -np.square(a[:, None] - b[None]).mean(axis=2)
    return apart if rng is None else apart / max(float(apart.std()), 1e-9) + rng.standard_normal(apart.shape)


def _refined(
    first: HeadGraph,
    second: HeadGraph,
    circuit: slice,
    weights: Floats,
    seed: Floats,
    layers: Partners | None,
) -> Partners:
    """Partners of the first graph's heads, from a likeness to start with and pairs of layers to start in."""
    partner = _assigned(first, second, seed, layers)
    for turn in range(ROUNDS):
        kept = np.flatnonzero(partner != UNMATCHED)
        rows = _rows(first, circuit, weights, kept)
        likeness = rows @ _rows(second, circuit, weights, partner[kept]).T
        again = _assigned(first, second, likeness, layers if turn < 2 else None)
        if np.array_equal(again, partner):
            break
        partner = again
    return partner


def _rows(graph: HeadGraph, circuit: slice, weights: Floats, columns: Partners) -> Floats:
    """Each head's edges to the heads at `columns`, of unit length, legs weighted."""
    edges = graph.edges[circuit, circuit][..., columns]
    size = np.sqrt(np.mean(np.square(edges), axis=(2, 3), keepdims=True))
    scale = np.sqrt(weights[circuit, circuit])[..., None, None]
    rows = (edges / np.maximum(size, 1e-12) * scale).transpose(2, 0, 1, 3).reshape(edges.shape[2], -1)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def _assigned(first: HeadGraph, second: HeadGraph, likeness: Floats, layers: Partners | None) -> Partners:
    """Partners inside pairs of layers; layers in order, paired by how far their heads stand out, unless given."""
    mine, theirs = (
        [np.flatnonzero(g.layer == one) for one in range(int(g.layer.max()) + 1)] for g in (first, second)
    )
    gain = np.zeros((len(mine), len(theirs)))
    inside: dict[tuple[int, int], Partners] = {}
    for a, rows in enumerate(mine):
        for b, columns in enumerate(theirs):
            if layers is not None and layers[a] != b:
                continue
            block = likeness[rows[:, None], columns]
            found = _by_groups(block, first.group[rows], second.group[columns])
            paired = found != UNMATCHED
            gain[a, b] = block[paired, found[paired]].mean() - block.mean()
            inside[a, b] = np.where(paired, columns[found], UNMATCHED)
    if layers is None:
        layers = match_layers(gain, monotone=True)
    partner = np.full(len(first.layer), UNMATCHED, np.intp)
    for a, b in enumerate(layers):
        if b != UNMATCHED:
            partner[mine[a]] = inside[a, int(b)]
    return partner


def _by_groups(block: Floats, mine: Partners, theirs: Partners) -> Partners:
    """Best matching of a layer's heads that sends heads of one group to heads of one group."""
    groups = [[np.flatnonzero(side == one) for one in np.unique(side)] for side in (mine, theirs)]
    if any(len(found) in (1, len(side)) for found, side in zip(groups, (mine, theirs), strict=True)):
        return match_rows(block)
    inner = [[match_rows(block[rows[:, None], columns]) for columns in groups[1]] for rows in groups[0]]
    total = np.zeros((len(groups[0]), len(groups[1])))
    for a, rows in enumerate(groups[0]):
        for b, columns in enumerate(groups[1]):
            paired = inner[a][b] != UNMATCHED
            total[a, b] = block[rows[paired], columns[inner[a][b][paired]]].sum()
    partner = np.full(len(mine), UNMATCHED, np.intp)
    for a, b in enumerate(match_rows(total)):
        if b != UNMATCHED:
            found = inner[a][b]
            partner[groups[0][a]] = np.where(found != UNMATCHED, groups[1][b][found], UNMATCHED)
    return partner


def _correlation(
    first: HeadGraph,
    second: HeadGraph,
    partner: Partners,
    legs: tuple[slice, slice],
    weights: Floats,
    rows: NDArray[Any] | None = None,
) -> float:
    """Weighted mean over legs of the correlation of matched edges, in [−1, 1]; of edges at `rows` only, if given."""
    there = partner != UNMATCHED
    kept = np.flatnonzero(there)
    chosen = kept if rows is None else np.flatnonzero(there & rows)
    a = first.edges[legs][..., chosen[:, None], kept]
    b = second.edges[legs][..., partner[chosen][:, None], partner[kept]]
    size = np.sqrt(np.square(a).sum(axis=(2, 3)) * np.square(b).sum(axis=(2, 3)))
    share = np.where(size > 1e-12, weights[legs], 0.0)
    if not share.any():
        return 0.0
    return float(np.sum(share * (a * b).sum(axis=(2, 3)) / np.maximum(size, 1e-12)) / share.sum())
