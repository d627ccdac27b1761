"""The reader's own sum, done for three choices of prior: what the likelihood ratios make of each. It weighs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from forensics.records import Opinion

PRIORS: tuple[tuple[str, float], ...] = (("1 in 2", 0.5), ("1 in 10", 0.1), ("1 in 100", 0.01))


@dataclass(frozen=True, slots=True, kw_only=True)
class After:
    """One candidate's probability after the findings, at its LR and at the ends of the LR's interval."""

    middle: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Posterior:
    """What one prior becomes for each candidate, in their order."""

    prior: str
    columns: tuple[After, ...]


def _posterior(own: float, others: float, prior: float, share: float) -> float:
    """share·LR / (1 − prior + share·LR + Σ over the others); log10 ratios are within ±cap, so nothing overflows."""
    mine = share * 10 ** max(-300.0, min(300.0, own))
    return mine / (1.0 - prior + mine + others)


def posteriors(opinions: Sequence[Opinion]) -> tuple[Posterior, ...]:
    """For each prior that some candidate is the ancestor, shared equally: P(candidate k) after the findings.

    P_k = share·LR_k / (1 − prior + Σ_j share·LR_j), with share = prior / number of candidates and LR 1 where
    none is stated; the range takes the candidate's own LR at the ends of its interval. Candidates are treated as
    alternatives, which relatives of one another are not.
    """
    table = []
    for words, prior in PRIORS:
        share = prior / max(1, len(opinions))
        lrs = [opinion.log10_lr or 0.0 for opinion in opinions]
        columns = []
        for k, opinion in enumerate(opinions):
            others = sum(share * 10 ** max(-300.0, min(300.0, lr)) for j, lr in enumerate(lrs) if j != k)
            ends = (lrs[k], *(lrs[k] if end is None else end for end in (opinion.lower, opinion.upper)))
            middle, lower, upper = (_posterior(lr, others, prior, share) for lr in ends)
            columns.append(After(middle=middle, lower=lower, upper=upper))
        table.append(Posterior(prior=words, columns=tuple(columns)))
    return tuple(table)
