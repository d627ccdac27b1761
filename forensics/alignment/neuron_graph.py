"""Neurons matched without vocabulary and in any basis: by the angles they make with each other.

With the norm's gain folded in, no rotation, permutation or sign flip of the residual stream changes the cosines
between the neurons of a layer (their Gram matrix), and no rescaling of up against down does. The first leg's Gram
finds a matching; the *other* leg's Gram, its own diagonal left out, is asked whom it would match (methods §4.3 P2).

Statistic: A = P(π_first = π_second). π_first starts from each neuron's norm, the cosine of its two legs and the
quantiles of its Gram row, and is refined: S_ij = Σ_r G_ir G'_jπ(r), assignment, repeated (graph matching by
projected power iterations). π_second is the assignment of H_ir H'_jπ(r), r ≠ i, j. Searched, hence no exact p.
Without a gate both legs share a few strong directions in unrelated models too (A up to 0.40 measured), so that the
largest `COMMON` eigenvectors of each Gram are projected out (then 0.03); gated MLPs need none of it (0.04).
Defeats: sampled neurons mostly different on both sides; angles moved by long further training of ungated MLPs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.assignment import UNMATCHED, match_rows

Floats32 = NDArray[np.float32]

COMMON = 24
"""Eigenvectors of a Gram that ungated MLPs of unrelated models may share."""
QUANTILES = 12
ROUNDS = 8
"""Rounds of refinement at most; it mostly stands still after four."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The angles among one unit's g sampled neurons."""

    lead: Floats32
    """Cosines within the first leg, (g, g), diagonal zero."""
    follow: Floats32
    """Cosines within the second leg, likewise."""
    traits: Floats32
    """Logarithm of the first leg's norm and cosine of the two legs, (g, 2)."""


def prepared(grams: NDArray[np.float16], traits: NDArray[np.float16], *, glu: bool) -> Graph:
    """A graph of stored Grams (2, g, g) and traits (g, 2); values that are not finite count as zero."""
    clean = np.nan_to_num(grams.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    lead, follow = (_deflated(gram, 0 if glu else min(COMMON, len(gram) // 4)) for gram in clean)
    clean_traits = np.nan_to_num(traits.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    return Graph(lead=lead, follow=follow, traits=clean_traits)


def _deflated(gram: Floats32, common: int) -> Floats32:
    """A Gram without its `common` largest eigenvectors, as cosines again, and with a diagonal of zero."""
    gram = (gram + gram.T) / 2.0
    if common:
        values, vectors = np.linalg.eigh(gram.astype(np.float64))
        values[-common:] = 0.0
        kept = (vectors * values) @ vectors.T
        lengths = np.sqrt(np.maximum(np.diag(kept), 1e-6))
        gram = (kept / lengths[:, None] / lengths).astype(np.float32)
    np.fill_diagonal(gram, 0.0)
    return gram


def match_graphs(first: Graph, second: Graph) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Partners of the first graph's neurons by either leg; the first graph is not the larger one."""
    similarity, lead = _seed(first, second), np.full(len(first.lead), UNMATCHED, np.intp)
    for _ in range(ROUNDS):
        found = match_rows(similarity)
        if np.array_equal(found, lead):
            break
        lead = found
        similarity = _rows(first.lead) @ _rows(second.lead[:, lead]).T
    return lead, match_rows(_rows(first.follow) @ _rows(second.follow[:, lead]).T)


def _rows(values: Floats32) -> Floats32:
    """Rows of unit length."""
    lengths = np.linalg.norm(values, axis=1, keepdims=True)
    return values / np.maximum(lengths, 1e-9)


def _seed(first: Graph, second: Graph) -> Floats32:
    """Likeness of neurons by figures that need no partner."""
    described = [_described(graph) for graph in (first, second)]
    both = np.concatenate(described)
    spread = np.maximum(both.std(axis=0), 1e-9)
    a, b = ((values - both.mean(axis=0)) / spread for values in described)
    weights = np.array([1.0] * QUANTILES + [1.0, float(QUANTILES)], np.float32)
    a, b = a * np.sqrt(weights), b * np.sqrt(weights)
    return np.asarray(2.0 * a @ b.T - np.sum(a**2, axis=1)[:, None] - np.sum(b**2, axis=1), np.float32)


def _described(graph: Graph) -> Floats32:
    """Quantiles of each neuron's Gram row, and its traits, (g, QUANTILES + 2)."""
    steps = np.linspace(0, len(graph.lead) - 1, QUANTILES).round().astype(int)
    return np.column_stack([np.sort(graph.lead, axis=1)[:, steps], graph.traits])
