"""Edges between the heads of one model, ready to be compared with another's.

The roots of the overlaps of `head_graph`, each block of two layers freed of its row and column means, so that neither
what depth explains nor how strongly a head reads what all heads read can count. Blocks of a layer with itself and
with a copy of itself are left out: in any model a copied head overlaps most with its original.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.assignment import UNMATCHED, match_rows

Floats = NDArray[np.float64]
Partners = NDArray[np.intp]

QK, OV = slice(0, 2), slice(2, 4)
"""The legs of the two circuits."""
GRAPH_HEADS, LAYERS_MOST = 512, 16
"""Heads and layers of a graph that is worth its time."""
COPIES = 0.5
"""Of the way from the overlap of any two heads to that of one head with itself: layers whose best paired heads go
further, in the mean of all legs, are copies of each other (repeated layers)."""


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


def graph_of_heads(arrays: Mapping[str, NDArray[Any]]) -> HeadGraph | None:
    """A graph of arrays that `holds_heads`; heads without a circuit are left out. None of fewer than two layers."""
    layer, group = (arrays[name].astype(np.intp) for name in ("layer", "group"))
    overlap, spectra = (arrays[name].astype(np.float64) for name in ("overlap", "spectra"))
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
    found, usual = float(alike[paired, partner[paired]].mean()), float(alike.mean())
    return found - usual > COPIES * max(1.0 - usual, 0.05)


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


def holds_heads(arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Whether these arrays are `overlap` (4, n, 4, n), `spectra` (2, n, r), `layer` and `group` (n,), and fit."""
    if {"overlap", "spectra", "layer", "group"} - set(arrays):
        return False
    overlap, spectra, layer, group = (arrays[name] for name in ("overlap", "spectra", "layer", "group"))
    n = len(layer) if layer.ndim == 1 else 0
    fits = 0 < n <= GRAPH_HEADS and overlap.shape == (4, n, 4, n) and group.shape == (n,)
    fits = fits and spectra.ndim == 3 and spectra.shape[:2] == (2, n) and spectra.shape[2] > 0
    fits = fits and len(np.unique(layer)) <= LAYERS_MOST
    return fits and all(bool(np.isfinite(one).all()) for one in (overlap, spectra, layer, group))
