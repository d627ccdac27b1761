"""Signed bias agreement between models of different depth: one kind chooses the layers, the other is tested.

Flipping the sign of a value dimension leaves queries and keys alone, and turning a rotary pair of those leaves the
values alone. So the layers that agree best in Q and K may be searched without spoiling the exact test of V there, and
the other way round; of the two tests the smaller p counts twice (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.assignment import UNMATCHED
from forensics.alignment.depths import match_layers
from forensics.alignment.permutation import signed_scores

Floats = NDArray[np.float64]
ByLayer = Mapping[int, Floats]
Paired = list[tuple[str, int, int]]
"""Kind of bias, suspect's layer, candidate's layer."""
MOST_LAYERS = 256
QK, V = ("q_bias", "k_bias"), ("v_bias",)


def cross_depth_pairs(
    suspect: Mapping[str, ByLayer], candidate: Mapping[str, ByLayer]
) -> tuple[Paired, Paired]:
    """V's pairs as Q and K choose them, and Q's and K's as V chooses them; both empty where either kind is missing."""
    by_qk, by_v = _chosen(suspect, candidate, QK), _chosen(suspect, candidate, V)
    return (
        [(kind, i, j) for i, j in by_qk for kind in V if _there(suspect, candidate, kind, i, j)],
        [(kind, i, j) for i, j in by_v for kind in QK if _there(suspect, candidate, kind, i, j)],
    )


def _there(
    suspect: Mapping[str, ByLayer], candidate: Mapping[str, ByLayer], kind: str, i: int, j: int
) -> bool:
    return i in suspect.get(kind, {}) and j in candidate.get(kind, {})


def _chosen(
    suspect: Mapping[str, ByLayer], candidate: Mapping[str, ByLayer], kinds: tuple[str, ...]
) -> list[tuple[int, int]]:
    """Layers paired in order by the mean signed correlation of these kinds."""
    shared = [kind for kind in kinds if suspect.get(kind) and candidate.get(kind)]
    if not shared:
        return []
    rows, columns = (sorted(set.intersection(*(set(s[k]) for k in shared))) for s in (suspect, candidate))
    if not rows or not columns or max(len(rows), len(columns)) > MOST_LAYERS:
        return []
    scores = np.zeros((len(rows), len(columns)))
    for kind in shared:
        a, b = (_units(side[kind], layers) for side, layers in ((suspect, rows), (candidate, columns)))
        scores += a @ b.T / len(shared)
    partner = match_layers(scores, monotone=True)
    return [(rows[i], columns[j]) for i, j in enumerate(partner.tolist()) if j != UNMATCHED]


def _units(biases: ByLayer, layers: list[int]) -> Floats:
    """Signed scores of each layer, at unit length."""
    found = np.array([signed_scores(biases[n]) for n in layers])
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-30)
