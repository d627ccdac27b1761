"""Two models' likeliest next tokens at the same places: whether they agree, how far apart they are, who is nearer.

Sources: Cohen (1960) for agreement beyond chance; Lin (1991) for the divergence; Holm (1979); Nikolić et al. (2025),
"Model Provenance Testing", for setting the nearest candidate against each other one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

ONE_VOCABULARY = 0.9
"""Share of their smallest token hashes that two vocabularies must have in common to count as one."""
LOWEST_P = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class NextTokens:
    """What one model thinks comes next at n places: the k likeliest tokens of each."""

    hashes: NDArray[np.uint64]
    """Of the tokens' bytes, likeliest first, (n, k)."""
    probs: NDArray[np.float64]
    """Over the whole vocabulary, (n, k)."""
    likeliest: tuple[bytes, ...]
    """Bytes of the likeliest token at each place; empty where it stands for no text."""
    vocabulary: NDArray[np.uint64]
    """The smallest hashes of all tokens, without repetition."""

    def at(self, rows: Sequence[int]) -> NextTokens:
        """The same at some of the places."""
        where = np.asarray(rows, np.intp)
        return NextTokens(
            hashes=self.hashes[where],
            probs=self.probs[where],
            likeliest=tuple(self.likeliest[row] for row in where),
            vocabulary=self.vocabulary,
        )

    def shares_vocabulary(self, other: NextTokens) -> bool:
        """Whether both know nearly the same tokens, so that one token means the same in both."""
        shared = len(np.intersect1d(self.vocabulary, other.vocabulary))
        return shared >= ONE_VOCABULARY * max(len(self.vocabulary), len(other.vocabulary), 1)

    def agreements(self, other: NextTokens) -> NDArray[np.bool_]:
        """Whether the likeliest token here at place i agrees with the other's at place j, (n, m).

        With one vocabulary the same token; with two, that the bytes of one begin with the bytes of the other.
        """
        if self.shares_vocabulary(other):
            equal: NDArray[np.bool_] = self.hashes[:, :1] == other.hashes[:, 0][None, :]
            return equal
        begins = [
            [bool(a and b) and (a.startswith(b) or b.startswith(a)) for b in other.likeliest]
            for a in self.likeliest
        ]
        return np.array(begins, np.bool_).reshape(len(self.likeliest), len(other.likeliest))

    def divergences(self, other: NextTokens) -> NDArray[np.float64]:
        """Jensen-Shannon divergence per place in bits, 0 to 1, (n,), of two models with one vocabulary.

        Over the tokens in both lists, and all others together as one, which makes it a lower bound of the true one.
        """
        found = np.zeros(len(self.hashes))
        for row in range(len(found)):
            _, left, right = np.intersect1d(self.hashes[row], other.hashes[row], return_indices=True)
            p, q = _with_rest(self.probs[row, left]), _with_rest(other.probs[row, right])
            found[row] = _entropy((p + q) / 2) - (_entropy(p) + _entropy(q)) / 2
        return np.clip(found, 0.0, 1.0)


def _with_rest(shared: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of some tokens, then of everything else; they sum to 1."""
    whole = np.append(shared, max(0.0, 1.0 - float(shared.sum())))
    return whole / whole.sum()


def _entropy(probs: NDArray[np.float64]) -> float:
    """In bits."""
    positive = probs[probs > 0]
    return float(-(positive * np.log2(positive)).sum())


def beyond_chance(alike: NDArray[np.bool_]) -> tuple[float, float]:
    """(agreement at the same place, agreement by chance: over all pairs of different places) of an (n, n) matrix."""
    n = len(alike)
    same = int(alike.diagonal().sum())
    return same / n, (int(alike.sum()) - same) / (n * (n - 1))


def nearer(
    texts: Sequence[int], ours: NDArray[np.bool_], theirs: NDArray[np.bool_]
) -> tuple[int, int, float]:
    """(texts where `ours` agrees at more places, at fewer, one-sided p of the exact sign test).

    `texts` numbers the text of each place. Texts count, not places, which depend on each other within one.
    """
    from scipy.stats import binom

    of = np.asarray(texts)
    leads = [int(ours[of == text].sum()) - int(theirs[of == text].sum()) for text in np.unique(of)]
    won, lost = sum(lead > 0 for lead in leads), sum(lead < 0 for lead in leads)
    p = float(binom.sf(won - 1, won + lost, 0.5)) if won else 1.0
    return won, lost, min(1.0, max(LOWEST_P, p))


def stepped_down(ps: Sequence[float], chosen_from: int) -> list[float]:
    """Holm's correction over the tests of the nearest against each other one, times how many it was chosen from."""
    corrected = [1.0] * len(ps)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda one: ps[one])):
        highest = max(highest, (len(ps) - rank) * ps[index] * chosen_from)
        corrected[index] = min(1.0, highest)
    return corrected
