"""Heads of two models matched by one kind of circuit, and asked of the other: is it the same graph?

From the overlaps of `head_graph` each block of two layers is freed of its row and column means, so that neither what
depth explains nor how strongly a head reads what all read can count. One circuit's overlaps (QK's) find heads and
layers by graph matching: S_ij = ⟨row i of the first graph, row π(j) of the second⟩, assignment inside pairs of layers
(whole groups of heads that share keys first), layers in order by dynamic programming, repeated. Then the *other*
circuit's overlaps (OV's), and those of the one with the other, which nothing has looked at, are correlated under the
matching. The same is done the other way round. Searched, hence no exact p; but of unrelated models the confirming
half is independent of the search, so that it scatters around 0.
Source: graph matching by projected power iterations (see neuron_graph); composition of heads (Elhage et al. 2021).
Defeats: heads taken from several models; layers that are copies of each other are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.assignment import UNMATCHED, match_layers, match_rows

Floats = NDArray[np.float64]
Partners = NDArray[np.intp]

ROUNDS = 8
"""Rounds of refinement at most; it mostly stands still after four."""
SURE = 0.9
"""A matching under which its own circuit agrees this well needs no further start."""
COPIES = 0.6
"""Layers whose heads overlap this much, in the mean of all legs, are copies of each other (repeated layers)."""
QK, OV = slice(0, 2), slice(2, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadGraph:
    """One model's heads."""

    layer: Partners
    """Index of each head's layer among those kept, (n,)."""
    group: Partners
    """Index of the key-value head it uses."""
    edges: Floats
    """Centred overlaps, (4, 4, n, n)."""
    traits: Floats
    """Spectrum of each circuit and overlap of its two legs, (2, n, t)."""

    def spread(self) -> Floats:
        """Free directions among heads, per leg: heads or key-value heads of a layer, less one."""
        heads = [len(np.unique(self.group[self.layer == one])) for one in np.unique(self.layer)]
        sizes = np.bincount(self.layer)
        pair = [float(np.median(sizes)) - 1.0, float(np.median(heads)) - 1.0]
        return np.array(pair * 2)


def head_graph(layer: Partners, group: Partners, overlap: Floats, spectra: Floats) -> HeadGraph | None:
    """A graph of stored arrays; heads without a circuit are left out. None where fewer than two layers are left."""
    alive = np.flatnonzero(spectra[..., 0].min(axis=0) > 0.0)
    numbers, index = np.unique(layer[alive], return_inverse=True)
    if len(numbers) < 2:
        return None
    edges = np.sqrt(np.maximum(overlap[:, alive][..., alive], 0.0)).transpose(0, 2, 1, 3)
    own = np.stack([np.diagonal(edges[near, near + 1]) for near in (0, 2)])
    traits = np.concatenate([spectra[:, alive], own[..., None]], axis=2)
    members = [np.flatnonzero(index == one) for one in range(len(numbers))]
    centred = np.zeros_like(edges)
    for a, rows in enumerate(members):
        for b, columns in enumerate(members):
            block = edges[:, :, rows[:, None], columns]
            if a != b and not _copies(block):
                means = block.mean(axis=2, keepdims=True), block.mean(axis=3, keepdims=True)
                centred[:, :, rows[:, None], columns] = (
                    block - means[0] - means[1] + block.mean(axis=(2, 3), keepdims=True)
                )
    return HeadGraph(layer=index.astype(np.intp), group=group[alive], edges=centred, traits=traits)


def _copies(block: Floats) -> bool:
    """Whether the heads of one layer are those of another."""
    alike = np.mean([block[leg, leg] for leg in range(len(block))], axis=0)
    partner = match_rows(alike)
    paired = partner != UNMATCHED
    return bool(alike[paired, partner[paired]].mean() > COPIES)


def shared_edges(first: HeadGraph, second: HeadGraph) -> float:
    """Independent edges of the poorer circuit, in the graph that has fewer: pairs of layers times free directions."""
    free = np.minimum(first.spread(), second.spread())
    blocks = [
        sum(
            bool(graph.edges[:, :, graph.layer == a][..., graph.layer == b].any())
            for a in np.unique(graph.layer)
            for b in np.unique(graph.layer[graph.layer > a])
        )
        for graph in (first, second)
    ]
    return float(min(blocks) * min(free[QK].sum() ** 2, free[OV].sum() ** 2))


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
    best, most = None, 0.0
    rng = np.random.Generator(np.random.PCG64(0))
    for layers in _layer_starts(first, second):
        for start in range(starts):
            seed = _likeness(first, second, int(circuit.start > 0), rng if start else None)
            partner = _refined(first, second, circuit, weights, seed, layers)
            kept = np.count_nonzero(partner != UNMATCHED)
            own = _correlation(first, second, partner, (circuit, circuit), weights)
            if own * kept > most:
                best, most = partner, own * kept
            if own > SURE:
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


def _refined(  # noqa: PLR0913, PLR0917 - the two graphs, what matches them and where to start
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


def _correlation(  # noqa: PLR0913, PLR0917 - the two graphs, how they are matched and which edges are asked
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
