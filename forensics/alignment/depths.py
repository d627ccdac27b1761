"""Layers: which are examined, which is which, and which had a chance to be found again.

Where layers were dropped, repeated or put in, two models' examined layers are not the same ones. A layer whose
counterpart the other side cannot have examined is not one that is missing (`answerable`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.assignment import UNMATCHED, Floats, match_rows


def evenly_spaced(count: int, most: int) -> tuple[int, ...]:
    """At most `most` of `count` layers, evenly spaced, with the first and the last."""
    if count <= most or most < 2:
        return tuple(range(min(count, max(most, 0))))
    return tuple(round(step) for step in np.linspace(0, count - 1, most))


def nested_layers(count: int, most: int) -> tuple[int, ...]:
    """At most `most` of `count` layers at distances from the nearer end that other depths choose as well.

    Multiples of the smallest power of two that are few enough, then the halves between them, from the ends inwards:
    a model of which middle layers were dropped, and one with layers put in, still meet the original at both ends.
    """
    distance = np.minimum(np.arange(count), np.arange(count)[::-1])
    step = 1
    while np.count_nonzero(distance % step == 0) > max(most, 2):
        step *= 2
    between = np.flatnonzero(distance % step == step // 2) if step > 1 else np.arange(0)
    chosen = np.flatnonzero(distance % step == 0)
    room = max(0, most - len(chosen))
    chosen = np.concatenate([chosen, between[np.argsort(distance[between], kind="stable")][:room]])
    return tuple(sorted(chosen.tolist())[: max(most, 0)])


def match_layers(similarity: Floats, *, monotone: bool = False) -> NDArray[np.intp]:
    """The partner of each row layer among the column layers, shape (rows,), `UNMATCHED` for none.

    Free matching allows reordered layers; monotone matching (dynamic programming over gaps that cost nothing)
    keeps their order, and pairs only layers of positive similarity.
    """
    if not monotone:
        return match_rows(similarity)
    gain = np.where(np.isfinite(similarity), np.maximum(similarity, 0.0), 0.0)
    rows, columns = gain.shape
    best = np.zeros((rows + 1, columns + 1))
    for i in range(1, rows + 1):
        paired = best[i - 1, :-1] + gain[i - 1]
        best[i, 1:] = np.maximum.accumulate(np.maximum(paired, best[i - 1, 1:]))
    partner = np.full(rows, UNMATCHED, np.intp)
    i, j = rows, columns
    while i and j:
        if best[i, j] == best[i - 1, j]:
            i -= 1
        elif best[i, j] == best[i, j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            partner[i] = j
    return partner


def match_repeated(similarity: Floats, clearly: float, *, monotone: bool = False) -> NDArray[np.intp]:
    """`match_layers`, but a row whose best column is better by `clearly` than the one assigned gets that one.

    For models that repeat layers: one column may then have several rows, and with `monotone` layers may also stand in
    another order where they are that clear. Entries that are not finite are no partner.
    """
    partner = match_layers(similarity, monotone=monotone)
    known = np.where(np.isfinite(similarity), similarity, -np.inf)
    rows = np.arange(len(known))
    assigned = np.where(partner == UNMATCHED, 0.0, known[rows, partner])
    best = known.argmax(axis=1)
    return np.where(known[rows, best] > assigned + clearly, best, partner).astype(np.intp)


def answerable(
    likeness: Sequence[float], partner: Sequence[int], theirs: Sequence[int], depth: int, clear: float
) -> NDArray[np.bool_]:
    """Which rows of a matching can tell whether their layer is found again, shape (rows,).

    `likeness` is each row's to its partner, `partner` a position in `theirs`, the numbers of the layers examined of
    a model `depth` layers deep. Rows above `clear` are found. Any other lies between two found ones (or an end), and
    so does its counterpart: if some layer in that gap was not examined, the row tells nothing. That holds only once
    half of the rows are found that even luck would leave: otherwise every row counts, for nothing is bracketed.
    """
    found = [i for i, (p, like) in enumerate(zip(partner, likeness, strict=True)) if p >= 0 and like > clear]
    counts = np.ones(len(partner), bool)
    if len(found) < max(2.0, 0.5 * len(partner) * len(theirs) / max(1, depth)):
        return counts
    examined = set(theirs)
    for i in set(range(len(partner))) - set(found):
        below = max((theirs[partner[k]] for k in found if k < i), default=-1)
        above = min((theirs[partner[k]] for k in found if k > i), default=depth)
        low, high = (below, above) if below <= above else (-1, depth)  # a block that stands twice: anywhere
        counts[i] = all(layer in examined for layer in range(low + 1, high))
    return counts
