"""Which layer of one model answers to which of another of different depth, in order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def monotone_partners(scores: Floats) -> list[tuple[int, int]]:
    """Pairs (i, j), both strictly increasing, of largest summed score; layers may stay alone, as at a score below zero.

    Dynamic programming over an (m, n) table. Selection is a maximisation: whatever chose the pairs has no p-value of
    its own any more, and must be told apart from what is tested on them.
    """
    scores = np.nan_to_num(np.asarray(scores, np.float64), nan=-1.0, posinf=-1.0, neginf=-1.0)
    rows, columns = scores.shape
    best = np.zeros((rows + 1, columns + 1))
    for i in range(rows):
        with_pair = best[i, :-1] + scores[i]
        best[i + 1, 1:] = np.maximum.accumulate(np.maximum(best[i, 1:], with_pair))
    pairs, i, j = [], rows, columns
    while i and j:
        if best[i, j] == best[i - 1, j]:
            i -= 1
        elif best[i, j] == best[i, j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    return pairs[::-1]
