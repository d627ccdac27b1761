"""How much two vocabularies share, under which ids, and how far they were learned in the same order."""

from __future__ import annotations

from bisect import bisect
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from forensics.alignment.vocabularies import Hashes, Vocabulary, hashed

SLACK, SLACK_SHARE = 8, 0.01
"""Ranks by which a shared token may have moved and still stand in its place, and the same as a share of its rank."""
IN_PLACE = 0.95
"""Share of the first tokens that must stand in their places for these to count as one beginning."""
FEWEST = 10
"""Shared tokens below which no order is told."""

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """Two vocabularies beside each other. Special tokens of either and the 256 single bytes take no part."""

    ours: int
    """Tokens compared on the first side."""
    theirs: int
    shared: int
    same_ids: int
    """Shared tokens with equal ids."""
    shift: int
    """Most common difference of ids (ours minus theirs) among shared tokens; the smallest in magnitude of several."""
    shifted_ids: int
    """Shared tokens with that difference."""
    by_merges: bool
    """Whether the order is that of merges; otherwise one side has none, and it is that of ids."""
    prefix: int
    """How many of the first tokens are equal, one by one, with equal halves where both sides tell them."""
    prefix_most: int
    """How many could be: tokens in the shorter order."""
    ordered: int
    """Shared tokens that stand in both orders."""
    in_place: int
    """The most first ones of these that stand in their places on both sides, but for one in twenty."""
    tau: float | None
    """Kendall's τ of their ranks (Kendall 1938; there are no ties); None below ten."""
    ranked: int
    """How many of them τ was taken over."""
    halves_alike: float | None
    """Share of equal left halves among shared tokens of which both sides have one merge; None below ten."""

    @property
    def jaccard(self) -> float:
        """Shared tokens over all tokens of the two."""
        return self.shared / (self.ours + self.theirs - self.shared)

    @property
    def of_the_smaller(self) -> float:
        """Shared tokens over those of the smaller vocabulary."""
        return self.shared / max(1, min(self.ours, self.theirs))

    @property
    def id_agreement(self) -> float:
        """Share of the shared tokens that stand under equal ids."""
        return self.same_ids / max(1, self.shared)

    def facts(self) -> dict[str, float | int | str | None]:
        """All of it under the names of the record."""
        shared = max(1, self.shared)
        return {
            "shared_tokens": self.shared,
            "containment_of_suspect": self.shared / self.ours,
            "containment_of_candidate": self.shared / self.theirs,
            "id_agreement": self.same_ids / shared,
            "id_shift": self.shift,
            "id_agreement_shifted": self.shifted_ids / shared,
            "order_of": "merges" if self.by_merges else "ids",
            "common_merge_prefix": self.prefix,
            "common_merge_prefix_share": self.prefix / max(1, self.prefix_most),
            "common_beginning": self.in_place,
            "merge_rank_tau": self.tau,
            "merges_ranked": self.ranked,
            "merge_halves_alike": self.halves_alike,
        }


def likeness(ours: Vocabulary, theirs: Vocabulary, *, sample: int, rng: np.random.Generator) -> Likeness:
    """The two compared; τ over at most `sample` shared tokens, drawn by `rng`."""
    keep, keep_theirs = _compared(ours, theirs)
    at, there = _shared(ours, keep, theirs, keep_theirs)
    differences, counts = np.unique(ours.ids[at] - theirs.ids[there], return_counts=True)
    most = np.lexsort((np.abs(differences), -counts))[:1]
    by_merges = bool(len(ours.learned) and len(theirs.learned))
    first = _Order.of(ours, keep, by_merges=by_merges)
    second = _Order.of(theirs, keep_theirs, by_merges=by_merges)
    ranks, their_ranks = first.ranks[at], second.ranks[there]
    known = (ranks >= 0) & (their_ranks >= 0)
    dense = _dense(ranks[known], their_ranks[known])
    tau, ranked = _tau(dense, sample, rng)
    return Likeness(
        ours=int(keep.sum()),
        theirs=int(keep_theirs.sum()),
        shared=len(at),
        same_ids=int((ours.ids[at] == theirs.ids[there]).sum()),
        shift=int(differences[most].sum()),
        shifted_ids=int(counts[most].sum()),
        by_merges=by_merges,
        prefix=_prefix(first, second),
        prefix_most=min(len(first.tokens), len(second.tokens)),
        ordered=len(dense),
        in_place=_in_place(dense),
        tau=tau,
        ranked=ranked,
        halves_alike=_halves(first.cuts[ranks[known]], second.cuts[their_ranks[known]]),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """The tokens of one side that take part, in the order of merges or else of ids."""

    tokens: Hashes
    cuts: Places
    """Left half of each one's merge, 0 where it is not told."""
    ranks: Places
    """Rank of every token of the vocabulary, −1 where it is not in this order, shape (n,)."""

    @classmethod
    def of(cls, side: Vocabulary, keep: NDArray[np.bool_], *, by_merges: bool) -> _Order:
        """The order of one side."""
        order = side.learned if by_merges else np.arange(len(side.tokens))
        cuts = side.cuts if by_merges else np.zeros(len(order), np.int64)
        cuts, order = cuts[keep[order]], order[keep[order]]
        ranks = np.full(len(side.tokens), -1, np.int64)
        ranks[order] = np.arange(len(order))
        return cls(tokens=side.tokens[order], cuts=cuts, ranks=ranks)


def _shared(
    ours: Vocabulary, keep: NDArray[np.bool_], theirs: Vocabulary, keep_theirs: NDArray[np.bool_]
) -> tuple[Places, Places]:
    """Places on either side of the tokens that both have and that take part."""
    here, beyond = np.flatnonzero(keep), np.flatnonzero(keep_theirs)
    _, at, there = np.intersect1d(
        ours.tokens[here], theirs.tokens[beyond], assume_unique=True, return_indices=True
    )
    return here[at], beyond[there]


@cache
def _single_bytes() -> Hashes:
    return hashed((bytes([byte]),) for byte in range(256))


def _compared(ours: Vocabulary, theirs: Vocabulary) -> list[NDArray[np.bool_]]:
    """Which tokens take part on either side, shapes (n,).

    A side that calls most of its tokens special would hide them: then special ones take part. So do single bytes where
    a side has nothing else.
    """
    sides = (ours, theirs)
    words = [~np.isin(v.tokens, _single_bytes()) for v in sides]
    special = np.concatenate([v.tokens[v.apart] for v in sides])
    plain = [w & ~np.isin(v.tokens, special) for v, w in zip(sides, words, strict=True)]
    if all(2 * p.sum() >= w.sum() > 0 for p, w in zip(plain, words, strict=True)):
        return plain
    return words if all(w.any() for w in words) else [np.ones_like(w) for w in words]


def _dense(ours: Places, theirs: Places) -> Places:
    """Their rank among the shared tokens, 0, 1, 2, …, of each shared token in our order."""
    return np.argsort(np.argsort(theirs[np.argsort(ours)]))


def _prefix(first: _Order, second: _Order) -> int:
    """Length of the longest common beginning of two orders."""
    n = min(len(first.tokens), len(second.tokens))
    a, b = first.cuts[:n], second.cuts[:n]
    alike = (first.tokens[:n] == second.tokens[:n]) & ((a == b) | (a == 0) | (b == 0))
    return int(np.logical_and.accumulate(alike).sum())


def _halves(ours: Places, theirs: Places) -> float | None:
    """Share of equal left halves where both are told."""
    told = (ours > 0) & (theirs > 0)
    return float((ours == theirs)[told].mean()) if told.sum() >= FEWEST else None


def _in_place(dense: Places) -> int:
    """The largest r so that at least 95 % of the first r stand within 8 ranks plus 1 % of their place."""
    rank = np.arange(len(dense))
    near = np.abs(dense - rank) <= SLACK + SLACK_SHARE * rank
    enough = np.flatnonzero(np.cumsum(near) >= IN_PLACE * (rank + 1))
    return int(enough[-1]) + 1 if len(enough) else 0


def _tau(dense: Places, sample: int, rng: np.random.Generator) -> tuple[float | None, int]:
    """1 − 4 · inversions / n(n − 1) over all or a sample, and n."""
    if len(dense) > sample:
        dense = dense[np.sort(rng.choice(len(dense), sample, replace=False))]
    n = len(dense)
    if n < FEWEST:
        return None, n
    inversions, before = 0, list[int]()
    for rank in dense.tolist():
        at = bisect(before, rank)
        inversions += len(before) - at
        before.insert(at, rank)
    return 1 - 4 * inversions / (n * (n - 1)), n


def special_likeness(ours: Vocabulary, theirs: Vocabulary) -> tuple[str, bool]:
    """How the special tokens compare, in words, and False where both sides list some and these differ."""
    if not len(ours.special) or not len(theirs.special):
        absent = [name for name, v in (("suspect", ours), ("candidate", theirs)) if not len(v.special)]
        return f"not listed in the {' and the '.join(absent)}", True
    first, second = (
        dict(zip(v.special_ids.tolist(), v.special.tolist(), strict=True)) for v in (ours, theirs)
    )
    if first == second:
        return "identical", True
    if first.keys() == second.keys():
        renamed = sum(first[number] != second[number] for number in first)
        return f"the same ids, {renamed} of {len(first)} renamed", False
    names = set(first.values()) & set(second.values())
    return f"{len(names)} names in common of {len(first)} and {len(second)}", False
